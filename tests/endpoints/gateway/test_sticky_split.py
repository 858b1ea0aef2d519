"""The split of a sticky endpoint: exactly the share that moves changes its variant, and a copy of
it is applied for 15 s.
"""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.endpoints.gateway.decide import sticky_split as sticky
from isthmus.endpoints.gateway.decide.assignment import Assigner, bucket
from isthmus.endpoints.gateway.decide.live_document import LIVE, LiveArm
from isthmus.endpoints.gateway.decide.live_reader import LiveReader
from isthmus.endpoints.gateway.gateway import Gateway
from isthmus.errors import Invalid
from isthmus.project.specs.description import BUCKETS
from isthmus.tests.endpoints import shop
from isthmus.tests.endpoints.shop import NOW, VARIANTS, State, live, run

KEY = "split/ranker"
STICKY = msgspec.structs.replace(
    shop.SPEC, endpoints={"ranker": msgspec.structs.replace(shop.ENDPOINT, routing="sticky")}
)


def percents(challenger):
    return {"champion": 100 - Decimal(challenger), "challenger": Decimal(challenger)}


def variants(ranges):
    """Variant by bucket."""
    owned = {
        bucket: variant
        for variant, spans in ranges.items()
        for low, high in spans
        for bucket in range(low, high + 1)
    }
    assert (
        len(owned)
        == BUCKETS
        == sum(high - low + 1 for spans in ranges.values() for low, high in spans)
    ), "each bucket once"
    return owned


def changed(before, after):
    first, second = variants(before), variants(after)
    return sum(first[bucket] != second[bucket] for bucket in first)


def test_a_split_that_is_moved_moves_exactly_its_share_of_the_buckets_each_time():
    ranges, now = sticky.whole("champion"), Decimal(0)
    for share in map(Decimal, (5, 25, 50, 100, 0)):
        after = sticky.moved_ranges(ranges, percents(share))
        assert changed(ranges, after) == abs(share - now) * 100
        assert sticky.shares(after) == percents(share)
        ranges, now = after, share


def test_a_variant_that_grows_takes_the_highest_buckets():
    five = sticky.moved_ranges(sticky.whole("champion"), percents(5))
    assert five == {"champion": ((0, 9499),), "challenger": ((9500, 9999),)}
    assert sticky.moved_ranges(five, percents("5.01")) == {
        "champion": ((0, 9498),),
        "challenger": ((9499, 9999),),
    }


@given(st.lists(st.lists(st.integers(0, 10_000), min_size=3, max_size=3), min_size=1, max_size=6))
def test_of_any_splits_in_any_order_nobody_moves_but_who_must(cuts):
    ranges = sticky.whole("a")
    for ends in cuts:
        bounds = [0, *sorted(ends), 10_000]
        split = {
            name: Decimal(high - low) / 100
            for name, low, high in zip("abcd", bounds, bounds[1:], strict=False)
        }
        before, after = sticky.shares(ranges), sticky.moved_ranges(ranges, split)
        assert sticky.shares(after) == split
        grown = sum(
            (max(split[name] - before.get(name, Decimal(0)), Decimal(0)) for name in split),
            Decimal(0),
        )
        assert changed(ranges, after) == grown * 100
        ranges = after


@pytest.mark.parametrize(
    "ranges",
    [
        {},
        {"a": ((0, 9998),)},
        {"a": ((0, 9999),), "b": ((5, 5),)},
        {"a": ((0, 10_000),)},
        {"a": ((-1, 9999),)},
        {"a": ((9999, 0),)},
        {"a": ((0, 4), (5, 4), (5, 9999))},
    ],
)
def test_a_document_that_leaves_a_unit_without_a_variant_or_with_two_is_damaged(ranges):
    with pytest.raises(Invalid, match="split/ranker is damaged"):
        sticky.sound(document(ranges), KEY)


def document(ranges, *, version=1, written=NOW, before=None):
    return sticky.Split(
        version=version, written=written, ranges=ranges, before=before or percents(0)
    )


def test_what_was_before_is_served_until_no_gateway_can_have_an_older_copy():
    split = document(sticky.moved_ranges(sticky.whole("champion"), percents(25)))
    assert sticky.served_shares(split, NOW + timedelta(seconds=14.9)) == percents(0)
    assert sticky.served_shares(split, NOW + timedelta(seconds=15)) == percents(25)
    assert sticky.served_shares(split, NOW - timedelta(minutes=14)) == percents(
        0
    )  # by whoever is behind by as much as may be
    assert sticky.served_shares(split, NOW - timedelta(days=7)) == percents(
        25
    )  # written by a clock that was moved


@given(st.text(min_size=1), st.integers(0, 10_000))
def test_a_unit_is_aimed_at_the_variant_that_has_its_bucket_of_the_endpoint_s_split(unit, share):
    ranges = sticky.moved_ranges(sticky.whole("champion"), percents(Decimal(share) / 100))
    decision = Assigner(None, "ranker", {}, ranges).decide(unit, {})
    assert decision.variant == variants(ranges)[bucket("split", "ranker", unit)]
    assert (decision.assignments, decision.sources) == ((), {})


def test_a_run_that_aims_has_the_last_word_and_one_that_does_not_leaves_the_split_as_it_is():
    ranges = sticky.moved_ranges(sticky.whole("champion"), percents(100))
    units = [f"visitor-{number}" for number in range(50)]
    control = (LiveArm("control", 10_000, {"variant": "champion"}),)
    narrow = {"arms": control, "ranges": ((0, 4999),)}
    for document in (live(run(**narrow)), live(run(**narrow, state="shipped", ships="control"))):
        assert {
            Assigner(document, "ranker", {}, ranges).decide(unit, {}).variant for unit in units
        } == {"champion"}, "also outside"
    decisions = [Assigner(live(run()), "ranker", {}, ranges).decide(unit, {}) for unit in units]
    assert {decision.variant for decision in decisions} == {"challenger"}
    assert {decision.parameters.get("blend") for decision in decisions} == {None, 0.7}


def store(split=None, live=None):
    state = State(live)
    if split is not None:
        state.put(split, KEY)
    return state


def opened(state):
    project = shop.project(spec=STICKY)
    project.target.state = state
    return project, Gateway(
        project, "ranker", emit=lambda _stream, _rows: (), durable=True, rng=Random(0)
    )


def test_a_gateway_aims_every_call_by_the_split_and_says_so_to_who_ranks_elsewhere():
    state = store(document(sticky.whole("challenger")))
    project, gateway = opened(state)
    with gateway:
        assert gateway.rank(shop.REQUEST).variant == "challenger"
        assert project.target.endpoints.calls == [("challenger", {"blend": 0.5, "tone": "calm"})]
        assert gateway.assign({"visitor_id": "visitor-1"}).parameters["variant"] == "challenger"
        state.put(document(sticky.whole("champion"), version=2), KEY)
        gateway._arms.reader.look()
        assert gateway.rank(shop.REQUEST).variant == "champion"
        state.put(live(run(arms=VARIANTS)))
        gateway._arms.reader.look()
        assert gateway.rank(shop.REQUEST).variant == "challenger"


def test_without_a_document_or_under_weighted_routing_no_call_is_aimed():
    project, gateway = opened(store())
    weighted = shop.project()
    weighted.target.state = store(document(sticky.whole("challenger")))
    with (
        gateway,
        Gateway(weighted, "ranker", emit=lambda _stream, _rows: (), durable=True) as other,
    ):
        for asked in (gateway, other):
            asked.rank(shop.REQUEST)
        assert [call[0] for of in (project, weighted) for call in of.target.endpoints.calls] == [
            None,
            None,
        ]


def test_a_variant_of_the_split_that_is_not_deployed_leaves_the_call_unaimed():
    project, gateway = opened(store(document(sticky.whole("third"))))
    with gateway:
        assert json.loads(str(gateway.rank(shop.REQUEST)))["variant"] == "champion"
        assert (project.target.endpoints.calls[0][0], gateway.tally.gone) == (None, 1)


def test_a_store_that_is_away_leaves_the_split_for_15_s_and_the_experiments_for_ever():
    now, state = [0.0], store(document(sticky.whole("challenger")), live(run()))
    reader = LiveReader(
        lambda: state.get(LIVE), splits={"ranker": lambda: state.get(KEY)}, clock=lambda: now[0]
    )
    assert "split/ranker was not read yet" in reader.problems[1]
    reader.look()
    assert (reader.split("ranker").version, reader.split("other"), reader.problems) == (1, None, ())
    state.away = "no route to the store"
    now[0] = 14.9
    reader.look()
    assert reader.split("ranker").version == 1
    assert reader.problems[1] == "split/ranker as it was 15 s ago is used: no route to the store"
    now[0] = 15.0
    reader.look()
    assert (reader.split("ranker"), reader.last.value.version) == (None, 12)
    assert (
        reader.problems[1]
        == "split/ranker was last read 15 s ago, and holds for 15 s: calls are not aimed: no "
        "route to the store"
    )
    state.away = ""
    reader.look()
    assert (reader.split("ranker").version, reader.problems) == (1, ())


def test_a_damaged_split_is_as_one_that_cannot_be_read():
    now, state = [0.0], store(document(sticky.whole("challenger")))
    reader = LiveReader(
        lambda: state.get(LIVE), splits={"ranker": lambda: state.get(KEY)}, clock=lambda: now[0]
    )
    reader.look()
    state.put(document({"challenger": ((0, 5),)}, version=2), KEY)
    now[0] = 5.0
    reader.look()
    assert reader.split("ranker").version == 1
    now[0] = 20.0
    reader.look()
    assert reader.split("ranker") is None
    assert "split/ranker is damaged" in reader.problems[0]
