"""A stream view in a project: its history, what training sees of it, what is put online, replay."""

from datetime import UTC, timedelta
from random import Random

import msgspec
import pytest

import isthmus as im
from isthmus.errors import Invalid, Refused
from isthmus.feature_store.offline.materialize import materialize
from isthmus.feature_store.offline.training_set import training_set
from isthmus.feature_store.online.skew import skew
from isthmus.feature_store.streams.consumer import stream_view_consumer, stream_view_consumers
from isthmus.feature_store.streams.replay import replay
from isthmus.feature_store.views.sources import view_sources
from isthmus.project.features.tile_sql import stream_view_sql
from isthmus.project.specs.description import Feature, FeatureView
from isthmus.project.specs.stream_views import StreamDefinition, StreamFeature

from ..shop import START, Clock, history, open_shop, plain, put, spec

MINUTE = timedelta(minutes=1)
LIVE = StreamDefinition(
    every=MINUTE,
    lateness=5 * MINUTE,
    delay=2 * MINUTE,
    features=tuple(
        StreamFeature(
            name=f"shown_{minutes}m",
            aggregate="count",
            event="impression",
            attribute=None,
            window=minutes * MINUTE,
            type="int64",
        )
        for minutes in (10, 60)
    ),
)

ALIKE = """name: alike
entities: {user: {key: user_id, type: string}}
events:
  stay: {attributes: {user_id: {type: string}, long_seconds: {type: float}}}
  stay_long: {attributes: {user_id: {type: string}, seconds: {type: float}}}
feature_views:
  live:
    entity: user
    stream: {every: 1m, delay: 0s}
    ttl: 1h
    features:
      a: {sum: stay.long_seconds, window: 2m}
      b: {sum: stay_long.seconds, window: 2m}
"""


def live_spec():
    shop = spec()
    view = FeatureView(
        name="item_live",
        entity="item",
        path="project.yaml",
        sql=stream_view_sql("item_live", shop.entities["item"], LIVE),
        ttl=timedelta(hours=1),
        stream=LIVE,
    )
    return msgspec.structs.replace(shop, feature_views=shop.feature_views | {"item_live": view})


@pytest.fixture
def live(tmp_path):
    """A day of impressions of three items, some of which had a click, materialized."""
    clock = Clock()
    with open_shop(tmp_path, clock=clock, described=live_spec()) as project:
        random = Random(7)
        shown = [(n, random.uniform(0, 24), random.randrange(3)) for n in range(400)]
        put(project, "b1", impressions=shown, clicks=[(n, hours) for n, hours, _ in shown[::5]])
        clock.to(30)
        project.clock = clock
        materialize(project, ["item_live"])
        yield project


def test_a_stream_views_history_has_a_row_at_a_tiles_end_and_when_it_leaves_each_window(tmp_path):
    clock = Clock()
    with open_shop(tmp_path, clock=clock, described=live_spec()) as project:
        put(project, "b1", impressions=[(1, 0.01, 7)])  # 36 s
        clock.to(10)
        (report,) = materialize(project, ["item_live"])
        assert (report.rows, report.keys_online) == (3, 0)
        assert [
            (row["event_timestamp"], row["created_timestamp"], row["shown_10m"], row["shown_60m"])
            for row in history(project, "item_live")
        ] == [
            (plain(1 / 60), plain(3 / 60), 1, 1),
            (plain(11 / 60), plain(13 / 60), 0, 1),
            (plain(61 / 60), plain(63 / 60), 0, 0),
        ]
        put(project, "b2", impressions=[(2, 0.012, 7)])  # a late one: a correction, known now
        clock.to(11)
        (report,) = materialize(project, ["item_live"])
        assert report.rows == 2  # the row of zeros is the same
        last = [row for row in history(project, "item_live") if row["shown_60m"] == 2]
        assert [row["created_timestamp"] for row in last] == [plain(11)] * 2
        assert replay(project, "item_live").differ == 0


def test_materialize_puts_a_stream_view_not_online_and_skew_leaves_it_out(live):
    assert live.target.online.get({"item_live": ["0", "1", "2"]})["item_live"] == [None] * 3
    assert skew(live).keys == 0


def test_training_never_sees_a_row_before_its_tiles_end_and_delay(live):
    rows = training_set(
        live,
        "ctr",
        [Feature(view="item_live", name=f.name) for f in LIVE.features],
        start=START,
        end=START + timedelta(days=1),
        as_of=START + timedelta(hours=29),
        stamps=True,
    ).to_pylist()
    assert len(rows) > 350
    shown = [(row["item_id"], row["event_timestamp"]) for row in rows]
    with_features = 0
    for row in rows:
        stamp = next(v for name, v in row.items() if name.endswith("item_live"))
        if stamp is None:
            continue
        with_features += 1
        now = row["event_timestamp"]
        assert stamp + LIVE.delay <= now
        for feature in LIVE.features:
            expected = sum(
                item == row["item_id"] and stamp - feature.window <= at < stamp
                for item, at in shown
            )
            assert row[feature.name] == expected
        # no later row was to be had
        ends = [
            at.replace(second=0, microsecond=0) + MINUTE for i, at in shown if i == row["item_id"]
        ]
        moments = {end + window for end in ends for window in (0 * MINUTE, *LIVE.windows)}
        assert stamp == max(m for m in moments if m + LIVE.delay <= now)
    assert with_features > 200


def test_a_replay_agrees_with_the_history_whenever_it_begins(live):
    whole = replay(live, "item_live")
    assert (whole.events, whole.differ, whole.late) == (400, 0, 0)
    assert whole.rows == len(history(live, "item_live"))
    part = replay(live, "item_live", since=START + timedelta(hours=12, minutes=3))
    assert part.differ == 0
    assert 0 < part.events < 400
    assert 0 < part.rows < whole.rows
    assert str(whole).startswith(
        f"replayed 400 events as fast as they go   {whole.rows:,} rows   0 differ"
    )


def test_a_replay_names_the_rows_that_differ(live):
    put(live, "b2", impressions=[(1000, 5, 1)])  # not in the history yet
    report = replay(live, "item_live")
    assert report.differ > 0
    assert report.examples[0].key == "1"
    assert report.examples[0].moment == START + timedelta(hours=5, minutes=1)
    materialize(live, ["item_live"])
    assert replay(live, "item_live").differ == 0


def test_a_replay_of_what_is_no_stream_view_or_has_no_history_is_refused(tmp_path):
    with open_shop(tmp_path, described=live_spec()) as project:
        with pytest.raises(Invalid, match="item_history is not a stream view"):
            replay(project, "item_history")
        with pytest.raises(Invalid, match="item_live has no history yet"):
            replay(project, "item_live")


def test_a_replay_from_beyond_the_history_is_refused(live):
    with pytest.raises(Invalid, match="history of item_live ends at 2"):
        replay(live, "item_live", since=START + timedelta(days=90))


def test_a_replay_tells_attributes_apart_whose_names_and_events_join_alike(tmp_path):
    """`stay.long_seconds` and `stay_long.seconds`."""
    (tmp_path / "project.yaml").write_text(ALIKE)
    with im.open(tmp_path) as project:
        im.apply(project)
        at = project.now() - timedelta(minutes=10)
        for n, (event, seconds) in enumerate([("stay", "long_seconds"), ("stay_long", "seconds")]):
            row = {"event_id": "1", "event_timestamp": at, "user_id": "a b", seconds: 1.5 + n}
            im.emit(project, event, [row])
        materialize(project, ["live"])
        assert [(row["a"], row["b"]) for row in history(project, "live")] == [(1.5, 2.5), (0, 0)]
        report = replay(project, "live")
        assert (report.events, report.rows, report.differ) == (2, 2, 0)


def test_a_worker_of_a_changed_definition_is_refused_and_puts_nothing(tmp_path):
    file = tmp_path / "project.yaml"
    file.write_text(ALIKE)
    with im.open(tmp_path) as project:
        im.apply(project)
    file.write_text(ALIKE.replace("long_seconds, window: 2m", "long_seconds, window: 5m"))
    with im.open(tmp_path) as project:
        at = project.now() - timedelta(minutes=2)
        row = {"event_id": "1", "event_timestamp": at, "user_id": "a", "long_seconds": 1.5}
        im.emit(project, "stay", [row])
        with pytest.raises(Refused, match="live: its definition changed since it was applied"):
            im.stream.run(project, ["live"], duration=timedelta(seconds=1))
        assert project.target.online.get({"live": ["a"]})["live"] == [None]


def test_the_consumer_puts_each_entitys_newest_row_online_as_the_history_has_it(live):
    consumer = stream_view_consumer(live, "item_live")
    (stream,) = consumer.inputs
    events = [
        row | {"event_timestamp": row["event_timestamp"].replace(tzinfo=UTC)}
        for row in live.target.warehouse.query(
            "SELECT * FROM events_impression ORDER BY event_timestamp", {}
        ).to_pylist()
    ]
    noon = START + timedelta(hours=12)
    newest = {
        row["entity_key"]: row
        for row in history(live, "item_live")
        if row["event_timestamp"].replace(tzinfo=UTC) <= noon
    }
    state = consumer.apply(consumer.empty(), stream, events[:300], watermark=START)
    step = consumer.advance(state, watermark=START, now=noon)
    for _ in range(2):  # done twice it is as if done once
        for effect in step.effects:
            assert effect.carry_out(live.target, written_at=noon) == 3
        served = live.target.online.get({"item_live": ["0", "1", "2"]})["item_live"]
        for key, row in zip(("0", "1", "2"), served, strict=True):
            assert row["feature_timestamp"] == newest[key]["event_timestamp"].replace(tzinfo=UTC)
            assert all(row[f.name] == newest[key][f.name] for f in LIVE.features)
    later = consumer.advance(step.state, watermark=noon, now=noon + timedelta(days=3))
    for effect in later.effects:
        effect.carry_out(live.target, written_at=noon + MINUTE)
    served = live.target.online.get({"item_live": ["0", "1", "2"]})["item_live"]
    assert [[row[f.name] for f in LIVE.features] for row in served] == [[0, 0]] * 3


def test_a_stream_views_types_are_those_that_its_sql_returns(live):
    (source,) = view_sources(live.description, ["item_live"])
    assert [(c.name, c.type) for c in source.features] == [(f.name, f.type) for f in LIVE.features]
    assert source.has_created
    assert [consumer.name for consumer in stream_view_consumers(live)] == ["item_live"]
