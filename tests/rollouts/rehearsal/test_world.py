"""The scripted world keeps the ports' rules: what the conformance suite says of endpoints and
state, and how its clock moves.
"""

from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.endpoints.port import EndpointSpec, VariantSpec, Window
from isthmus.errors import Busy, Conflict, NotSettled, OutcomeUnknown, Throttled, Unavailable
from isthmus.rollouts.world import START, Traits, VariantBehaviour, World
from isthmus.target import CallLog, Capability
from isthmus.tests.conformance.conftest import cut  # noqa: F401  the fixture
from isthmus.tests.conformance.test_endpoint_host import (  # noqa: F401  collected here: the fixtures below are the world's
    test_a_stale_token_moves_nothing,
    test_an_endpoint_that_is_not_there_is_none,
    test_shift_that_was_cut_leaves_one_of_two_states,
    test_the_smallest_step_is_set_and_a_smaller_one_refused,
)
from isthmus.tests.conformance.test_state import (  # noqa: F401
    test_64_kib_fit_and_one_byte_more_does_not,
    test_a_document_is_read_back_with_the_token_that_its_writer_got,
    test_a_put_that_was_cut_is_decided_by_reading_again,
    test_a_stale_token_conflicts_for_put_and_delete,
    test_a_token_is_never_given_twice_for_a_b_a_nor_after_a_delete,
    test_an_absent_key_is_none,
    test_expecting_absence_of_what_is_there_conflicts,
    test_keys_are_listed_by_prefix_in_order_and_wildcards_mean_nothing,
    test_writing_to_a_deleted_key_needs_absence,
)

SPEC = EndpointSpec(
    name="ranker",
    variants=(
        VariantSpec(name="champion", model="ranker", version=1),
        VariantSpec(name="challenger", model="ranker", version=2),
    ),
)
SAGEMAKER = Traits(
    name="sagemaker", fenced=False, metrics_delay=timedelta(minutes=3), takes=timedelta(minutes=1)
)
MINUTE = timedelta(minutes=1)


def split(challenger):
    return {"champion": 100 - Decimal(challenger), "challenger": Decimal(challenger)}


def world(traits=None, **fields):
    return World(traits or Traits(), SPEC, **fields)


@pytest.fixture
def target():
    calls = CallLog()
    ports = world().ports(calls)
    rows = {
        "traffic.resolution": Capability(
            name="traffic.resolution", level="native", value=Decimal("0.01")
        )
    }
    return SimpleNamespace(
        state=ports.state, endpoints=ports.endpoints, calls=calls, capabilities=rows
    )


@pytest.fixture
def host(target):
    return target.endpoints


@pytest.fixture
def ready(host):
    return SPEC, host.observe("ranker")


def served(place):
    return {v.name: v.percent for v in place.ports().endpoints.observe("ranker").variants}


def test_a_slow_target_is_updating_until_its_change_has_ended():
    place = world(SAGEMAKER)
    host = place.ports().endpoints
    host.shift("ranker", split(25), expect=host.observe("ranker").token)
    state = host.observe("ranker")
    assert (state.phase, served(place)) == ("updating", split(0))
    assert {v.name: v.target_percent for v in state.variants} == split(25)
    with pytest.raises(Busy):
        host.shift("ranker", split(50), expect=state.token)
    place.advance(MINUTE)
    assert (host.observe("ranker").phase, served(place)) == ("ready", split(25))


def test_a_silent_rollback_ends_ready_with_the_old_split():
    place = world(SAGEMAKER)
    host = place.ports().endpoints
    before = host.observe("ranker")
    place.fleet.rollbacks = 1
    host.shift("ranker", split(25), expect=before.token)
    place.advance(MINUTE)
    after = host.observe("ranker")
    assert after.phase == "ready"
    assert [(v.percent, v.target_percent) for v in after.variants] == [(100, 100), (0, 0)]
    assert after.token != before.token


@pytest.mark.parametrize(("traits", "moved"), [(Traits(), False), (Traits(fenced=False), True)])
def test_a_call_that_was_stopped_on_its_way_is_refused_only_where_the_target_can_fence(
    traits, moved
):
    """Another moves the traffic between this controller's check and its effect."""
    place = world(traits)
    calls = CallLog()
    slow, other = place.ports(calls).endpoints, place.ports().endpoints

    def overtaken(_call):
        calls.before = None
        other.shift("ranker", split(10), expect=other.observe("ranker").token)

    calls.before = overtaken
    token = slow.observe("ranker").token
    if moved:
        slow.shift("ranker", split(50), expect=token)
    else:
        with pytest.raises(Conflict):
            slow.shift("ranker", split(50), expect=token)
    assert served(place) == (split(50) if moved else split(10))


def test_a_touch_makes_older_tokens_stale():
    host = world().ports().endpoints
    token = host.observe("ranker").token
    host.shift("ranker", split(0), expect=token)
    with pytest.raises(Conflict):
        host.shift("ranker", split(10), expect=token)


def test_instances_follow_a_spec_when_the_change_has_ended():
    place = world(SAGEMAKER)
    host = place.ports().endpoints
    larger = EndpointSpec(
        name="ranker",
        variants=(
            SPEC.variants[0],
            VariantSpec(name="challenger", model="ranker", version=2, instances=(3, 3)),
        ),
    )
    host.apply(larger)
    assert [v.instances for v in host.observe("ranker").variants] == [1, 1]
    place.advance(MINUTE)
    assert [v.instances for v in host.observe("ranker").variants] == [1, 3]
    before = host.observe("ranker")
    assert host.apply(larger) == before == host.observe("ranker"), "again changes nothing"


def test_minutes_are_settled_late_and_may_be_unreadable():
    place = world(
        SAGEMAKER,
        per_minute=600,
        split=split(25),
        behaviours={"challenger": VariantBehaviour(error_rate=0.03)},
    )
    metrics = place.ports().metrics
    window = Window(start=START, end=START + MINUTE)
    place.advance(3 * MINUTE)
    with pytest.raises(NotSettled):
        metrics.read("ranker", window)
    place.advance(MINUTE)
    buckets = metrics.read("ranker", window)
    assert [(b.requests, b.server_errors) for b in buckets["challenger"]] == [(150, 4)]
    assert [(b.requests, b.server_errors) for b in buckets["champion"]] == [(450, 0)], (
        "0.9 expected: the tenth minute has the ninth error"
    )
    place.outage = True
    with pytest.raises(Unavailable):
        metrics.read("ranker", window)


@given(
    per_minute=st.integers(0, 5000),
    changes=st.lists(st.tuples(st.integers(1, 150), st.integers(0, 100)), max_size=12),
    error_rate=st.sampled_from([0, 0.002, 0.5, 1]),
)
def test_no_request_is_lost_or_made_up_however_the_clock_is_moved(per_minute, changes, error_rate):
    """Counts differ from the expected ones by less than one request a variant, whole minutes being
    closed.
    """
    place = world(
        per_minute=per_minute, behaviours={"challenger": VariantBehaviour(error_rate=error_rate)}
    )
    expected = dict.fromkeys(("champion", "challenger"), Fraction(0))
    for seconds, share in changes:
        place.fleet.set_split(split(share))
        place.advance(timedelta(seconds=seconds))
        for name, percent in split(share).items():
            expected[name] += per_minute * Fraction(percent) * seconds / 6000
    rest = 60 - place.now().second if place.now().second else 0
    place.fleet.set_split(split(0))
    place.advance(timedelta(seconds=rest))
    expected["champion"] += Fraction(per_minute * rest, 60)
    for name, wanted in expected.items():
        counted = sum(minute.requests for minute in place.minutes.get(name, ()))
        assert wanted - 1 < counted <= wanted
        assert all(minute.requests > 0 for minute in place.minutes.get(name, ()))
    errors = sum(minute.server_errors for minute in place.minutes.get("challenger", ()))
    assert abs(errors - float(expected["challenger"]) * error_rate) < 2


def test_an_instance_answers_only_so_many_requests():
    place = world(Traits(room=300), split=split(50), per_minute=1000)
    place.advance(MINUTE)
    assert [minute.server_errors for minute in place.minutes["challenger"]] == [200]


@pytest.mark.parametrize("error", [Throttled, OutcomeUnknown])
def test_a_hook_may_refuse_a_call_or_lose_its_reply(error):
    place = world()
    calls = CallLog()
    host = place.ports(calls).endpoints

    def fault(_call):
        raise error("scripted")

    calls.before, calls.after = (fault, None) if error is Throttled else (None, fault)
    with pytest.raises(error):
        host.shift("ranker", split(10), expect=host.observe("ranker").token)
    assert served(place) == (split(0) if error is Throttled else split(10))
