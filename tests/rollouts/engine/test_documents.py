"""A rollout's document, its history and its number in the StateStore."""

import math
from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from isthmus.core.formats import decode
from isthmus.endpoints.split import check
from isthmus.errors import Conflict, Invalid, Refused
from isthmus.rollouts.state import documents
from isthmus.rollouts.state import transitions as moves
from isthmus.rollouts.state.states import Observation, RolloutState, Wish, Wishes

from ..scene import LOCAL, MINUTE, SAGEMAKER, START, TARGETS, VERTEX, Scene, begun, plan

WORDS = st.text(max_size=40)


def test_the_document_stays_small_after_ten_thousand_looks():
    """People pause and resume all the while; nobody says yes.

    Ten thousand looks take three seconds.
    """
    scene = Scene(guardrails=())
    largest = 0
    for number in range(10_000):
        scene.look()
        if number % 5 == 0:
            store, at = scene.store, scene.world.now()
            stored = documents.read(store, "ranker")
            pause = None if stored.state.wish.pause else Wish(who="ann", at=at, because="x" * 80)
            changed = moves.note(
                replace(stored.state, wish=Wishes(pause=pause)),
                at,
                "paused" if pause else "resumed",
                who="ann",
            )
            documents.write(store, changed, expect=stored.token)
        largest = max(largest, len(scene.world.documents.values["rollouts/ranker"].value))
        scene.world.clock.move(scene.world.now() + timedelta(seconds=1))
    assert largest < documents.LARGEST / 4
    assert [entry.seq for entry in scene.history()] == list(range(1, scene.state.seq + 1))


def test_a_document_that_grew_too_large_is_not_written():
    scene = Scene()
    stored = documents.read(scene.store, "ranker")
    with pytest.raises(Invalid, match=r"rollout ro1 of ranker: 5\d,\d{3} bytes"):
        documents.write(scene.store, replace(stored.state, cause="x" * 50_000), expect=stored.token)
    assert documents.read(scene.store, "ranker") == stored


@settings(deadline=None, max_examples=30)
@given(
    WORDS,
    WORDS,
    st.integers(0, 10**6),
    st.datetimes(min_value=START.replace(tzinfo=None)),
    st.booleans(),
)
def test_what_is_written_is_read_back(who, why, seq, at, wishes):
    at = at.replace(tzinfo=START.tzinfo)
    wish = Wishes(abort=Wish(who=who, at=at, because=why)) if wishes else Wishes()
    state = moves.note(
        replace(
            begun(plan(SAGEMAKER)),
            seq=seq,
            wish=wish,
            hold_until=at,
            intent={"a": Decimal("33.33")},
        ),
        at,
        "held",
        why,
    )
    assert decode(msgspec.json.encode(state), RolloutState, what="it") == state


def test_what_a_newer_version_wrote_is_refused_and_nothing_is_written():
    scene = Scene()
    token = scene.store.get("rollouts/ranker").token
    newer = scene.store.get("rollouts/ranker").value.replace(b'"schema":2', b'"schema":3', 1)
    scene.store.put("rollouts/ranker", newer, expect=token)
    before = dict(scene.world.documents.values)
    with pytest.raises(Refused, match="newer Isthmus"):
        scene.look()
    assert scene.world.documents.values == before


def test_one_rollout_at_a_time_and_each_has_a_number_of_its_own():
    scene = Scene()
    with pytest.raises(Refused, match="rollout ro1 of ranker is starting since"):
        documents.begin(scene.store, "ranker", lambda name: begun(scene.plan, id=name))
    scene.wish("abort")
    scene.run(30)
    stored = documents.begin(scene.store, "ranker", lambda name: begun(scene.plan, id=name))
    assert stored.state.id == "ro2"


def test_an_entry_that_is_in_the_history_stands():
    scene = Scene()
    state = scene.until("baking")
    with pytest.raises(Conflict):
        scene.store.put(documents.history_key(state, 1), b"{}", expect=None)
    again = moves.note(replace(state, seq=0, outbox=()), START, "lost", "another content")
    assert documents.flush(scene.store, again).outbox == ()
    assert scene.history()[0].what == "taken"


@settings(deadline=None)
@given(st.sampled_from(TARGETS), st.integers(0, 10_000), st.integers(0, 10_000))
def test_every_split_of_a_plan_sums_to_100_and_is_representable(traits, had, wanted):
    """Also where the two variants share what a third one leaves them."""
    had, wanted = (
        (Decimal(hundredths) / 100 // traits.resolution) * traits.resolution
        for hundredths in (had, wanted)
    )
    for third in (Decimal(0), Decimal(7)):
        initial = {
            "champion": 100 - third - min(had, 100 - third),
            "challenger": min(had, 100 - third),
            "other": third,
        }
        split = moves.split_at(plan(traits, initial=initial), min(wanted, 100 - third))
        assert check(split, variants=initial, resolution=traits.resolution, where="it") == split


def test_minutes_that_a_decision_stood_on_can_be_read_again():
    for traits in (LOCAL, VERTEX):
        scene = Scene(traits)
        scene.until("baking", 2)
        blobs = scene.ports().blobs
        bake = documents.kept_minutes(blobs, scene.state)["1-0"]
        step = next(entry for entry in scene.history() if entry.what == "step" and entry.stage == 2)
        assert (bake.since, bake.until) == step.window
        assert sum(bucket.requests for bucket in bake.minutes["challenger"]) == step.checks[0].n
        assert bake.until - bake.since >= 5 * MINUTE


def test_a_minute_whose_latency_is_none_is_read_again_as_such():
    """SageMaker's, where no request reached the model. JSON has no nan."""
    scene = Scene()
    state, blobs = scene.until("baking", 2), scene.ports().blobs
    bucket = documents.kept_minutes(blobs, state)["1-0"].minutes["challenger"][0]
    latencies = ("mean_ms", "p50_ms", "p90_ms", "p99_ms")
    unreached = replace(bucket, **dict.fromkeys(latencies, math.nan))
    documents.keep_minutes(
        blobs,
        state,
        Observation(settled=state.bake_from + MINUTE, minutes={"challenger": (unreached, bucket)}),
    )
    first, second = documents.kept_minutes(blobs, state)["2-0"].minutes["challenger"]
    assert all(math.isnan(getattr(first, name)) for name in latencies)
    assert replace(first, **{name: getattr(bucket, name) for name in latencies}) == second == bucket
    blobs.put(
        documents.minutes_uri(blobs, state),
        blobs.get(documents.minutes_uri(blobs, state)).replace(b'"requests":', b'"r":'),
    )
    with pytest.raises(Invalid, match=r"2-0.json is damaged"):
        documents.kept_minutes(blobs, state)
