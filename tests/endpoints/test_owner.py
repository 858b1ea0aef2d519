"""Who owns the traffic, over a bare StateStore."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.endpoints.port import EndpointState, VariantState
from isthmus.endpoints.traffic import owner
from isthmus.errors import Conflict, Refused
from isthmus.storage import Versioned, state_conflict

NOW = datetime(2026, 11, 25, 14, 2, tzinfo=UTC)
COMMAND = "isthmus rollout abort ranker"


class Documents:
    """A StateStore in memory."""

    def __init__(self):
        self.values = {}

    def get(self, key):
        return self.values.get(key)

    def put(self, key, value, *, expect):
        there = self.values.get(key)
        if (there.token if there else None) != expect:
            raise state_conflict(key, there.token if there else None, expect)
        token = str(int(there.token) + 1 if there else 1)
        self.values[key] = Versioned(value=value, token=token, written_at=NOW)
        return token


def endpoint(percent=90, target=None, phase="ready"):
    shares = (
        (percent, percent if target is None else target),
        (100 - percent, 100 - (percent if target is None else target)),
    )
    variants = tuple(
        VariantState(
            name=name,
            model="ranker",
            version=number,
            percent=Decimal(serving),
            target_percent=Decimal(wanted),
            instances=1,
            target_instances=1,
            phase="ready",
        )
        for number, (name, (serving, wanted)) in enumerate(
            zip(("champion", "challenger"), shares, strict=True), 1
        )
    )
    return EndpointState(name="ranker", phase=phase, revision="r", token="t", variants=variants)


def split(percent):
    return {"champion": Decimal(percent), "challenger": Decimal(100 - percent)}


def take(state, seen=None, *, by="rollout", name="ro3", now=NOW):
    return owner.take(state, seen or endpoint(), kind=by, name=name, command=COMMAND, now=now)


def test_a_rollout_takes_what_nobody_has_and_gives_it_back():
    state = Documents()
    claim = take(state)
    assert (claim.owner.owner, claim.owner.name, claim.owner.command, claim.owner.split) == (
        "rollout",
        "ro3",
        COMMAND,
        split(90),
    )
    assert take(state, now=NOW + timedelta(days=2)) == claim, "again, after a crash: no write"
    owner.release(state, "ranker", kind="rollout", name="ro3", now=NOW)
    assert owner.read(state, "ranker").owner.owner == "none"
    owner.release(state, "ranker", kind="rollout", name="ro3", now=NOW)
    assert take(state, name="ro4").owner.name == "ro4"


@pytest.mark.parametrize(("by", "name"), [("rollout", "ro2"), ("experiment", "ro3")])
def test_what_another_rollout_or_experiment_has_is_refused_by_its_name_and_the_command_that_ends_it(
    by, name
):
    state = Documents()
    take(state, by=by, name=name)
    later = NOW + timedelta(days=30)
    with pytest.raises(
        Refused, match=f"^ranker's traffic belongs to {by} {name} since 2026-11-25 14:02 UTC$"
    ) as error:
        take(state, now=later)
    assert error.value.remedy.startswith(COMMAND)
    assert (
        owner.whose(owner.read(state, "ranker"), endpoint(), kind="rollout", name="ro3", now=later)
        == "other"
    )
    owner.release(state, "ranker", kind="rollout", name="ro3", now=later)
    assert owner.read(state, "ranker").owner.owner == by, "what is not ours is not given back"


def test_a_hand_may_not_move_what_a_rollout_owns():
    state = Documents()
    take(state)
    with pytest.raises(Refused, match="belongs to rollout ro3"):
        owner.intend(
            state, "ranker", split(50), kind="traffic", claim=owner.read(state, "ranker"), now=NOW
        )


@pytest.mark.parametrize(
    ("seen", "age", "expected"),
    [
        (endpoint(50), 0, "free"),  # its split is what serves
        (endpoint(90), 0, "other"),  # it was not sent yet
        (endpoint(90), 14, "other"),
        (endpoint(90), 15, "free"),  # it was killed before it was sent
        (endpoint(90, 50, "updating"), 15, "other"),  # it is on its way still
        (endpoint(50, 50, "updating"), 0, "other"),
    ],
)
@pytest.mark.parametrize("by", ["deploy", "traffic"])
def test_an_unfinished_change_by_hand_holds_the_traffic_until_it_is_there_or_long_dead(
    by, seen, age, expected
):
    state = Documents()
    owner.intend(state, "ranker", split(50), kind=by, claim=None, now=NOW)
    now = NOW + timedelta(minutes=age)
    assert (
        owner.whose(owner.read(state, "ranker"), seen, kind="rollout", name="ro3", now=now)
        == expected
    )
    if expected == "other":
        with pytest.raises(
            Refused, match=f"is being moved by isthmus {by} since 2026-11-25 14:02 UTC"
        ):
            take(state, seen, now=now)
    else:
        assert take(state, seen, now=now).owner.name == "ro3"


def test_of_two_that_take_it_at_once_the_second_is_told():
    class Slow(Documents):
        """Somebody else takes it between our look and our write."""

        def put(self, key, value, *, expect):
            if not self.values:
                super().put(key, value.replace(b"ro3", b"ro9"), expect=None)
            return super().put(key, value, expect=expect)

    state = Slow()
    with pytest.raises(Conflict):
        take(state)
    assert owner.read(state, "ranker").owner.name == "ro9"


@given(
    st.lists(
        st.tuples(st.sampled_from(["take", "release", "hand"]), st.sampled_from(["ro1", "ro2"])),
        max_size=12,
    )
)
def test_whatever_is_tried_an_owner_loses_the_traffic_only_by_its_own_release(steps):
    state, holder = Documents(), None
    for verb, name in steps:
        try:
            if verb == "take":
                take(state, name=name)
                assert holder in (None, name)
                holder = name
            elif verb == "release":
                owner.release(state, "ranker", kind="rollout", name=name, now=NOW)
                holder = None if holder == name else holder
            else:
                claim = owner.intend(
                    state,
                    "ranker",
                    split(10),
                    kind="traffic",
                    claim=owner.read(state, "ranker"),
                    now=NOW,
                )
                assert holder is None
                owner.settle(state, "ranker", claim, now=NOW)
        except Refused:
            assert holder not in (None, name if verb == "take" else None)
        claim = owner.read(state, "ranker")
        assert (claim.owner.name if claim and claim.owner.lasting else None) == holder
