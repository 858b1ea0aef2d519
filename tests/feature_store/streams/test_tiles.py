"""The definition of a stream view by brute force, its SQL and its consumer give the same rows."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.errors import Invalid
from isthmus.feature_store.sql.subset import check
from isthmus.feature_store.streams.tiles import EPOCH
from isthmus.project.features.tile_sql import stream_view_sql

from ...sampled import costly
from .world import ITEM, START, brute_force, by_sql, consumer_of, definition

# parts of a minute, an hour and a day: each is rendered by another branch of the SQL
EVERY = st.sampled_from([1, 15, 60, 300, 3_600, 21_600, 86_400])
SECONDS = st.one_of(st.none(), st.floats(-100, 1_000).map(lambda value: round(value, 3)))
PAGES = st.one_of(st.none(), st.integers(-3, 9))


@st.composite
def worlds(draw):
    """A definition, its events in the order of arrival (some twice), and sizes of batches."""
    every = draw(EVERY)
    short = draw(st.integers(1, 3))
    spec = definition(every, short, short + draw(st.integers(0, 9)), lateness=20 * every)
    times = st.integers(0, 20 * every * 1_000)
    # boundaries of tiles, too
    times = st.one_of(times, st.integers(0, 20).map(lambda tile: tile * every * 1_000))
    events = []
    for number, at in enumerate(draw(st.lists(times, max_size=25))):
        row = {
            "event_id": str(number),
            "event_timestamp": START + timedelta(milliseconds=at),
            "item_id": draw(st.sampled_from([1, 1, 2, None])),
        }
        if draw(st.booleans()):
            events.append(("show", row))
        else:
            row |= {"seconds": draw(SECONDS), "pages": draw(PAGES)}
            events.append(("stay", row))
    order = draw(st.permutations(events + draw(st.lists(st.sampled_from(events), max_size=5))
                 if events else events))  # fmt: skip
    return spec, order, draw(st.lists(st.integers(1, 6), min_size=1, max_size=30))


def same(mine, theirs):
    assert mine.keys() == theirs.keys()
    for place, values in mine.items():
        for one, other in zip(values, theirs[place], strict=True):
            if one is None or other is None:
                assert one is other, place
            else:  # values up to 1,000 are added: what cancels leaves a rest
                assert one == pytest.approx(other, rel=1e-9, abs=1e-9), place


def unique(events):
    return list({row["event_id"]: (name, row) for name, row in events}.values())


def through_consumer(spec, events, sizes, *, restart, clock):
    """All rows that the consumer makes of events in this order: the last of each place counts."""
    consumer = consumer_of(spec)
    inputs = {stream.event: stream for stream in consumer.inputs}
    state, rows, seen, number = consumer.empty(), {}, set(), 0
    end = START + 21 * spec.every + spec.windows[-1]
    low = EPOCH
    moments = iter([*clock, end])
    while events or number == 0:
        size = sizes[number % len(sizes)]
        number += 1
        batch, events = events[:size], events[size:]
        for name, row in batch:  # the runner drops what comes twice
            if row["event_id"] not in seen:
                seen.add(row["event_id"])
                state = consumer.apply(state, inputs[name], [row], watermark=low)
        if restart:
            state = consumer.decode(consumer.encode(state))
        now = next(moments, end)
        step = consumer.advance(state, watermark=low, now=now)
        state = step.state
        collect(consumer, step, rows)
        if restart:
            state = consumer.decode(consumer.encode(state))
    collect(consumer, consumer.advance(state, watermark=end, now=end + timedelta(days=9)), rows)
    return rows, consumer.figures(state)


def collect(consumer, step, rows):
    for effect in step.effects:
        for moment, key, values in effect.rows:
            rows[key, consumer.windows.moment(moment)] = values


@costly(60, of=2_000)
@given(world=worlds(), restart=st.booleans(), steps=st.lists(st.integers(0, 21), max_size=30))
def test_brute_force_sql_and_consumer_give_the_same_rows(world, restart, steps):
    """Whatever the keys, windows, order, doubles and batches, and wherever it is restarted."""
    spec, events, sizes = world
    expected = brute_force(unique(events), spec)
    rows, known = by_sql(events, spec)
    same(rows, expected)
    assert all(known[place] == place[1] + spec.delay for place in known)
    clock = sorted(START + step * spec.every for step in steps)
    replayed, figures = through_consumer(spec, events, sizes, restart=restart, clock=clock)
    same(replayed, expected)
    assert figures["late"] == 0
    assert figures["events"] == len(unique(events))


@pytest.mark.parametrize("every", [1, 2, 30, 60, 120, 1_800, 3_600, 43_200, 86_400])
def test_the_sql_of_every_length_of_a_tile_is_in_the_subset(every):
    assert check(stream_view_sql("item_live", ITEM, definition(every))) == ()


def show(number, at, item=1):
    return {
        "event_id": f"s{number}",
        "event_timestamp": START + timedelta(seconds=at),
        "item_id": item,
    }


class Steps:
    """A consumer with its state, by which tests say what comes and how late it is."""

    def __init__(self, **options):
        self.consumer = consumer_of(definition(**options))
        self.inputs = {stream.event: stream for stream in self.consumer.inputs}
        self.state = self.consumer.empty()
        self.low = EPOCH

    def shows(self, *rows):
        self.state = self.consumer.apply(self.state, self.inputs["show"], rows, watermark=self.low)

    def rows(self, at):
        """The rows of the moments up to `at` seconds, as (seconds, item, shown in the long one)."""
        now = START + timedelta(seconds=at)
        self.low = max(self.low, now - self.consumer.lateness)
        step = self.consumer.advance(self.state, watermark=self.low, now=now)
        self.state = step.state
        return [
            ((self.consumer.windows.moment(m) - START).total_seconds(), item, values[1])
            for effect in step.effects
            for m, item, values in effect.rows
        ]


def test_a_row_waits_for_its_tiles_end_by_the_clock_and_not_for_lateness():
    steps = Steps()
    steps.shows(show(1, 10))
    assert steps.rows(59) == []
    assert steps.rows(60) == [(60, 1, 1)]
    assert steps.rows(61) == []


def test_an_entity_that_nothing_happens_to_goes_to_zero():
    steps = Steps(short=1, long=3)
    steps.shows(show(1, 10))
    assert steps.rows(3_600) == [(60, 1, 1), (120, 1, 1), (240, 1, 0)]
    assert steps.rows(90_000) == []
    assert not steps.state.entities  # and nothing of it is kept


def test_a_late_event_corrects_every_row_from_its_tile_on():
    steps = Steps(short=1, long=5, lateness=600)
    steps.shows(show(1, 10), show(2, 130))
    assert steps.rows(200)[-1] == (180, 1, 2)
    steps.shows(show(3, 70))
    assert steps.rows(200) == [(120, 1, 2), (180, 1, 3)]
    assert steps.rows(240) == [(240, 1, 3)]


def test_an_event_older_than_the_lateness_is_counted_and_changes_nothing():
    steps = Steps(lateness=60)
    steps.shows(show(1, 10))
    steps.rows(300)
    steps.shows(show(2, 200), show(3, 250))
    assert steps.consumer.figures(steps.state) == {"events": 3, "late": 1, "rows put": 1}
    assert {(at, count) for at, _, count in steps.rows(300)} == {(300, 2)}


@pytest.mark.parametrize(
    "seconds",
    [[1e308] * 2, [-1e308] * 2, [1e308, 1e308, -1e308, -1e308]],
)
def test_sums_beyond_the_range_of_floats_are_those_of_sql(seconds):
    """In tiles of their own, so that each figure is a finite number."""
    events = [
        ("stay", show(n, 60 * n) | {"seconds": value, "pages": 1})
        for n, value in enumerate(seconds)
    ]
    spec = definition(short=len(seconds), long=len(seconds) + 1)
    rows, _ = through_consumer(spec, events, [1], restart=True, clock=[])
    theirs, _ = by_sql(events, spec)
    assert rows.keys() == theirs.keys()
    places = [n for n, f in enumerate(spec.features) if f.attribute == "seconds"]
    for place, values in rows.items():
        assert [repr(values[n]) for n in places] == [repr(theirs[place][n]) for n in places]


@pytest.mark.parametrize("often", [2, 8])
def test_whole_numbers_beyond_64_bits_are_refused_by_name(often):
    consumer = consumer_of(definition())
    stay = next(stream for stream in consumer.inputs if stream.event == "stay")
    events = [show(n, 1) | {"seconds": 1.0, "pages": 2**62} for n in range(often)]
    state = consumer.apply(consumer.empty(), stay, events, watermark=EPOCH)
    step = consumer.advance(state, watermark=EPOCH, now=START + timedelta(seconds=60))
    with pytest.raises(Invalid, match="item_live: pages_sum adds up to more than a whole number"):
        step.effects[0].carry_out(None, written_at=START)
    if often == 8:  # nor has the checkpoint a place for it
        with pytest.raises(Invalid, match="64 bits"):
            consumer.encode(state)


def test_another_definition_has_another_digest():
    digests = {
        consumer_of(definition(**options)).digest for options in ({}, {"long": 6}, {"delay": 0})
    }
    assert len(digests) == 3
    assert consumer_of(definition()).digest in digests
