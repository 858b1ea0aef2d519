"""Models of any number of features, with runs that say how much each column counts."""

from datetime import UTC, datetime

import msgspec

from isthmus.pipelines.builtin.column_weights import ColumnWeight
from isthmus.pipelines.model_graph.graph import RegisteredVersion, model_graph
from isthmus.pipelines.models.model_columns import ModelColumn
from isthmus.pipelines.run_pages.records import Run
from isthmus.project.load import load
from isthmus.project.specs.description import Feature, Model, Transform

PROJECT = """
name: shop
entities:
  item: {key: item_id, type: int}
events:
  impression: {attributes: {item_id: {type: int}, position: {type: int}}}
  click: {attributes: {impression_id: {type: string}}}
objectives:
  ctr: {rate: click / impression, within: 30m}
feature_views:
  item_history: {entity: item, ttl: 7d}
  item_trend: {entity: item, ttl: 7d}
"""
MOMENT = datetime(2026, 1, 8, tzinfo=UTC)


def spec_of(folder):
    """The project: a view that reads the objective, and a view that reads the first one."""
    (folder / "features").mkdir(parents=True)
    (folder / "project.yaml").write_text(PROJECT)
    for name, source in (("item_history", "ctr"), ("item_trend", "item_history")):
        (folder / "features" / f"{name}.sql").write_text(
            f"SELECT item_id, event_timestamp, created_timestamp, 1.0 AS f0 FROM {source}\n"
        )
    return load(folder / "project.yaml").spec


def model_of_size(features, **more):
    """A model of so many features: position, the rest from two views by turns, and two transforms."""
    names = [
        Feature(view=("item_history", "item_trend")[number % 2], name=f"rate_of_{number}_days")
        for number in range(1, features)
    ]
    transforms = (
        Transform(kind="bucketize", name="shown", inputs=("rate_of_1_days",), at=(5.0, 10.0)),
        Transform(kind="cross", name="place", inputs=("position", "shown"), into=64),
    )
    features = (Feature(view=None, name="position"), *names)
    listed = (*(feature.name for feature in names), "shown", "place")
    settings = {
        "name": "history",
        "path": "models/history.yaml",
        "model": "ranker",
        "objective": "ctr",
        "features": features,
        "trainer": "isthmus.boosting",
        "parameters": {"trees": 20},
        "transforms": transforms,
        "listed": listed,
    }
    return Model(**(settings | more))


def run_of(model, columns=None, **more):
    """A run of a model, in which the first column that the trainer reads has the greatest gain."""
    if columns is None:
        names = {feature.name: str(feature) for feature in model.features}
        columns = [
            ModelColumn(
                name=names.get(name, name),
                rows=1000,
                nulls=number,
                known=1000 - number,
                weight=ColumnWeight(measure="gain", value=100.0 / (number + 1)),
            )
            for number, name in enumerate(model.columns)
        ] + [ModelColumn(name="position", rows=1000, nulls=0, known=1000)]
    settings = {
        "name": "r1",
        "status": "done",
        "target": "local",
        "configuration": model.name,
        "path": model.path,
        "config": "",
        "settings": msgspec.to_builtins(model),
        "model": model.model,
        "objective": model.objective,
        "features": tuple(map(str, model.features)),
        "trainer": model.trainer,
        "parameters": model.parameters,
        "started": MOMENT,
        "ended": MOMENT,
        "columns": tuple(columns),
    }
    return Run(**(settings | more))


VERSION = RegisteredVersion(
    name="ranker@1", about="champion, run r1", variants=(("home", "champion"),)
)


def graph_of_size(spec, features):
    """The graph of a trained model of so many features, which an endpoint serves."""
    model = model_of_size(features)
    return model_graph(model, spec, run=run_of(model), versions=[VERSION])
