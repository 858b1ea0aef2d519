"""Stream views in project.yaml: what one means, and each mistake with its line and remedy."""

from datetime import timedelta

import pytest

from isthmus.feature_store.views.schema import view_schemas
from isthmus.project.load import load

P = "project.yaml"
SEGMENT = "  segment_history: {entity: segment, ttl: 7d}\n"


def live(
    *,
    entity="item",
    stream="stream: {every: 1m, lateness: 5m, delay: 1m}, ",
    ttl="ttl: 1h, ",
    shown="count: impression, window: 10m",
    name="shown",
):
    """The example's views with a stream view, on one line."""
    return f"{SEGMENT}  item_live: {{entity: {entity}, {stream}{ttl}features: {{{name}: {{{shown}}}}}}}\n"


CASES = {
    "a stream view without features": (
        P,
        SEGMENT,
        SEGMENT + "  item_live: {entity: item, ttl: 1h, stream: {every: 1m}}\n",
        "item_live:",
        "feature_views.item_live: it has stream and no features",
        "count: impression",
    ),
    "a stream view without a stream": (
        P,
        SEGMENT,
        live(stream=""),
        "item_live:",
        "feature_views.item_live: it has features and no stream",
        "stream: {every: 1m}",
    ),
    "a stream view without a ttl": (
        P,
        SEGMENT,
        live(ttl=""),
        "item_live:",
        "feature_views.item_live: ttl is missing",
        "ttl: 1h",
    ),
    "a tile that divides nothing": (
        P,
        SEGMENT,
        live(stream="stream: {every: 90s}, "),
        "item_live:",
        "feature_views.item_live.stream.every: 90s does not divide a minute, an hour or a day",
        "5m",
    ),
    "a tile of two days": (
        P,
        SEGMENT,
        live(stream="stream: {every: 2d}, "),
        "item_live:",
        "stream.every: 2d does not divide",
        "1d",
    ),
    "a delay below nothing": (
        P,
        SEGMENT,
        live(stream="stream: {every: 1m, delay: -1m}, "),
        "item_live:",
        "'-1m' is not a duration",
        "30m",
    ),
    "a window of no whole tiles": (
        P,
        SEGMENT,
        live(shown="count: impression, window: 90s"),
        "item_live:",
        "feature_views.item_live.features.shown.window: window 90s is not a multiple of every (1m)",
        "write 2m",
    ),
    "a window of too many tiles": (
        P,
        SEGMENT,
        live(shown="count: impression, window: 30d"),
        "item_live:",
        "window 30d has 43,200 tiles of 1m; 10,000 at most",
        "longer every",
    ),
    "a feature of no aggregate": (
        P,
        SEGMENT,
        live(shown="window: 10m"),
        "item_live:",
        "features.shown: it has none of count, sum, mean, min, max",
        "{count: impression, window: 10m}",
    ),
    "a feature of two aggregates": (
        P,
        SEGMENT,
        live(shown="count: impression, max: impression.propensity, window: 10m"),
        "item_live:",
        "features.shown: it has count and max of",
        "one of them",
    ),
    "a count of an unknown event": (
        P,
        SEGMENT,
        live(shown="count: impresion, window: 10m"),
        "item_live:",
        "features.shown.count: impresion is not an event",
        "did you mean impression?",
    ),
    "a count of an event without the key": (
        P,
        SEGMENT,
        live(entity="segment", shown="count: click, window: 10m"),
        "item_live:",
        "features.shown.count: click has no segment_id, the key of segment",
        "add segment_id",
    ),
    "a mean of text": (
        P,
        SEGMENT,
        live(shown="mean: impression.policy, window: 10m"),
        "item_live:",
        "features.shown.mean: impression.policy is of type string, not a number",
        "numbers of impression are item_id, position, propensity",
    ),
    "a mean of an unknown attribute": (
        P,
        SEGMENT,
        live(shown="mean: impression.propensty, window: 10m"),
        "item_live:",
        "propensty is not an attribute of impression",
        "did you mean propensity?",
    ),
    "a mean of an event": (
        P,
        SEGMENT,
        live(shown="mean: impression, window: 10m"),
        "item_live:",
        "'impression' is not an event's attribute",
        "stay.seconds",
    ),
    "a feature that is named as the key": (
        P,
        SEGMENT,
        live(name="item_id"),
        "item_live:",
        "features.item_id: item_id is the key of item",
        "another name",
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_mistake_in_a_stream_view_is_named_with_its_line_and_remedy(example, case):
    _, old, new, blamed, message, remedy = case
    example.edit(P, old, new)
    problems = [problem for problem in example.problems() if message in problem.message]
    assert len(problems) == 1, [str(problem) for problem in example.problems()]
    (problem,) = problems
    assert (problem.severity, problem.file) == ("error", P)
    assert blamed in (example.path / P).read_text().splitlines()[problem.line - 1]
    assert remedy in (problem.remedy or "")


def test_a_stream_view_with_a_file_of_sql_is_refused(example):
    example.edit(P, SEGMENT, live())
    (example.path / "features" / "item_live.sql").write_text("SELECT 1")
    problems = [p for p in example.problems() if "features/item_live.sql, too" in p.message]
    assert [(p.file, p.severity) for p in problems] == [(P, "error")]
    assert problems[0].line == example.line(P, "item_live:")


def test_a_stream_view_has_its_definition_and_the_sql_that_is_made_from_it(example):
    example.edit(P, SEGMENT, live(stream="stream: {every: 1m, delay: 0s}, "))
    view = load(example.path).spec.feature_views["item_live"]
    stream = view.stream
    assert (stream.every, stream.lateness, stream.delay) == (
        timedelta(minutes=1),
        timedelta(minutes=5),
        timedelta(0),
    )
    (feature,) = stream.features
    assert (feature.name, feature.aggregate, feature.event) == ("shown", "count", "impression")
    assert view.path == P
    assert "FROM events_impression" in view.sql
    assert "isthmus_" not in view.sql


def test_a_feature_may_not_have_a_name_that_stores_reserve(example):
    example.edit(P, SEGMENT, live(name="is_deleted"))
    schemas, problems = view_schemas(load(example.path))
    assert "item_live" not in schemas
    (problem,) = problems
    assert (problem.file, problem.line) == (P, example.line(P, "item_live:"))
    assert "is_deleted is made by Isthmus itself" in problem.message
