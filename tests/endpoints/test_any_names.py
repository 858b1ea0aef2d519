"""A project may call its attributes and features whatever it likes: nothing that Isthmus names
inside its SQL can meet them.
"""

import json
import sys
from datetime import UTC, datetime
from random import Random

import pytest

import isthmus
from isthmus.adapters.sagemaker import sql as athena
from isthmus.adapters.vertex import sql as bigquery
from isthmus.endpoints.deploy.deploy import deploy
from isthmus.endpoints.gateway.gateway import Gateway
from isthmus.events.intake.ingest import ingest
from isthmus.feature_store.joins import view_history as history
from isthmus.feature_store.joins.point_in_time import JoinView, join_params, join_sql, point_in_time
from isthmus.feature_store.offline.materialize import materialize
from isthmus.feature_store.offline.training_set import join_view, training_set
from isthmus.feature_store.online.skew import skew
from isthmus.feature_store.views.sources import view_sources
from isthmus.project.specs.description import Feature
from isthmus.tests.conformance.toy_models import remove_endpoints
from isthmus.tests.endpoints import mini

pytestmark = pytest.mark.slow

FEATURES = (
    "age",
    "copies",
    "latest",
    "held",
    "fresh",
    "known",
    "row",
    "version_number",
    "rank",
    "moment",
    "asked",
    "newest",
)
ATTRIBUTES = (
    "good",
    "existing",
    "awaited",
    "ranked",
    "missing",
    "shown",
    "hit",
    "exposure",
    "filename",
    "spool_sequence",
    "copy_number",
)
# Each feature is the number of the item's impressions and its own place, so one that is read for
# another is seen.
SELECTED = ", ".join(f"count(*) OVER w + {place} AS {name}" for place, name in enumerate(FEATURES))
VIEW = f"""SELECT item_id, event_timestamp, created_timestamp, {SELECTED}
FROM ctr WINDOW w AS (PARTITION BY item_id ORDER BY event_timestamp RANGE BETWEEN INTERVAL 30 DAY PRECEDING AND CURRENT ROW)
"""
TRAINER = """
class Sum:
    def __init__(self, names):
        self.names = names

    def predict(self, rows):
        return [sum(float(row[name] or 0) for name in self.names) for row in rows]


def popular(data, label, features):
    return Sum(FEATURES)
""".replace("FEATURES", repr(FEATURES))
FILES = {
    "project.yaml": mini.FILES["project.yaml"]
    .replace(
        "      position:   {type: int}\n",
        "".join(f"      {name}: {{type: int}}\n" for name in ("position", *ATTRIBUTES)),
    )
    .replace("  segment_history: {entity: segment, ttl: 2d}\n", "")
    .replace(
        "champion:   {model: ranker@champion,   traffic: 90}",
        "champion: {model: ranker@champion, traffic: 100}",
    )
    .replace("      challenger: {model: ranker@challenger, traffic: 10}\n", "")
    .replace("item_history:    {entity: item}", "item_history: {entity: item, ttl: 20d}"),
    "profiles.yaml": mini.FILES["profiles.yaml"],
    "features/item_history.sql": VIEW,
    "models/popular.yaml": mini.FILES["models/popular.yaml"].replace(
        "[item_history.item_impressions]",
        "[" + ", ".join(f"item_history.{name}" for name in FEATURES) + "]",
    ),
    "mini_ranker.py": TRAINER,
}


def impressions(folder, name, numbers, day):
    rows = [
        {
            "event_id": f"i{n}",
            "event_timestamp": f"2024-01-0{day}T{n:02d}:00:00Z",
            "item_id": 1 + n % 2,
            "segment_id": "a",
            "position": 1,
        }
        | {attribute: n + place for place, attribute in enumerate(ATTRIBUTES)}
        for n in numbers
    ]
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / name


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Ingested and materialized, then corrected by events that came late."""
    folder = tmp_path_factory.mktemp("names")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    clicks = folder / "clicks.jsonl"
    clicks.write_text(
        json.dumps(
            {
                "event_id": "c",
                "event_timestamp": "2024-01-03T10:01:00Z",
                "impression_id": "i10",
                "item_id": 1,
            }
        )
    )
    with mini.opened(folder) as opened:
        isthmus.apply(opened)
        ingest(
            opened, event="impression", data=impressions(folder, "first.jsonl", range(10, 20), 3)
        )
        ingest(opened, event="click", data=clicks)
        materialize(opened)
        ingest(opened, event="impression", data=impressions(folder, "late.jsonl", range(4), 2))
        assert [report.rows for report in materialize(opened)] == [
            4 + 10
        ]  # the late rows, and a correction of every row after them
        yield opened
    sys.modules.pop("mini_ranker", None)


def test_a_training_set_has_every_feature_under_its_own_name(project):
    features = [Feature(view="item_history", name=name) for name in FEATURES]
    rows = training_set(
        project,
        "ctr",
        features,
        start=datetime(2024, 1, 1, tzinfo=UTC),
        end=datetime(2024, 1, 9, tzinfo=UTC),
    ).to_pylist()
    assert len(rows) == 14
    seen = [row["age"] for row in rows if row["event_id"] in {f"i{n}" for n in range(10, 20)}]
    assert sorted(n for n in seen if n is not None) == [1, 1, 2, 2, 3, 3, 4, 4], (
        "half an hour after its own time nobody knew of the late"
    )
    for row in rows:
        assert [row[name] for name in ATTRIBUTES] == [
            int(row["event_id"][1:]) + place for place in range(len(ATTRIBUTES))
        ]
        if row["age"] is not None:
            assert [row[name] - row["age"] for name in FEATURES] == list(range(len(FEATURES)))


def test_both_renderings_of_the_join_say_the_same(project):
    """Asked at a time after the corrections, with a spine whose own columns have such names, too."""
    [source] = view_sources(project.description)
    spine = (
        "SELECT event_id, item_id, created_timestamp + INTERVAL 8 DAY AS later, hit, shown FROM ctr"
    )
    published = join_view(project, source)
    for view in (
        published,
        JoinView(
            history="item_history", key="item_id", features=source.features, ttl=source.view.ttl
        ),
    ):
        asked = [
            point_in_time(
                project.target,
                spine,
                ["event_id", "hit", "shown"],
                [view],
                time="later",
                order_by=["event_id"],
                rendering=how,
            )
            for how in ("asof", "portable")
        ]
        assert asked[0].equals(asked[1])
        assert {row["age"] for row in asked[0].to_pylist()} == {7}


def test_what_is_served_is_what_the_events_say(project):
    report = skew(project)
    assert (report.keys, report.differ) == (2, 0)
    [served] = project.target.online.get({"item_history": ["1"]})["item_history"]
    assert [served[name] for name in FEATURES] == [7 + place for place in range(len(FEATURES))]


def test_an_endpoint_serves_such_features(project):
    try:
        mini.register(project, "popular")
        deploy(project, "ranker")
        answer = Gateway(project, "ranker", rng=Random(0)).rank(
            {**mini.REQUEST, "item_id": [1, 3], "slots": 2}
        )
    finally:
        remove_endpoints(project.target)
    assert dict(zip(answer.items, answer.scores, strict=True)) == {
        1: sum(7 + place for place in range(len(FEATURES))),
        3: 0,
    }


@pytest.mark.parametrize("engine", [athena, bigquery])
def test_the_clouds_sql_takes_such_names(project, engine):
    [source] = view_sources(project.description)
    view = join_view(project, source)
    join = join_sql(
        "SELECT event_id, item_id, event_timestamp FROM ctr",
        ["event_id"],
        [view],
        rendering="portable",
    )
    assert join_params([view])
    for text in (
        history.first_sql(source),
        history.next_sql(source),
        history.latest_sql(source),
        join,
    ):
        assert engine.check(text) == ()
        assert engine.render(text).sql
