"""Values of the sections `tables:` and `feature_views:` -> structs."""

from __future__ import annotations

from collections.abc import Mapping

from ..reading import files
from ..reading.fence import ProjectPaths
from ..reading.report import ProblemReport
from ..sections.references import DeclaredNames
from ..sections.values import YamlValues
from ..specs.description import Entity, Event, FeatureView, StaticTable
from .stream_build import build_stream
from .tile_sql import stream_view_sql


def build_table(name: str, path: str) -> StaticTable:
    """Build the StaticTable struct from its name and file in project.yaml."""
    return StaticTable(name=name, path=path)


def build_feature_view(name: str, values: YamlValues, path: str, sql: str) -> FeatureView:
    """Build the FeatureView struct from its section of project.yaml and its SQL."""
    return FeatureView(name=name, path=path, sql=sql, **values)


def build_views(
    sections: Mapping[str, YamlValues],
    entities: Mapping[str, Entity],
    events: Mapping[str, Event],
    declared: DeclaredNames,
    fenced: ProjectPaths,
    report: ProblemReport,
) -> dict[str, FeatureView]:
    """Build the feature views of project.yaml, in its order, from files of SQL or generated SQL."""
    views: dict[str, FeatureView] = {}
    for name, values in sections.items():
        if is_stream_view(values):
            view = build_stream_view(name, values, entities, events, declared, fenced, report)
            if view is not None:
                views[name] = view
            continue
        views[name] = build_feature_view(
            name,
            values,
            f"features/{name}.sql",
            files.read_sql(
                fenced,
                f"features/{name}.sql",
                f"feature_views.{name}",
                report,
                remedy="write a SELECT: the entity's key, event_timestamp and the features",
            ),
        )
    return views


def is_stream_view(values: YamlValues) -> bool:
    """Return whether an entry of `feature_views:` is a stream view, whose SQL we write."""
    return "stream" in values or "features" in values


def build_stream_view(
    name: str,
    values: YamlValues,
    entities: Mapping[str, Entity],
    events: Mapping[str, Event],
    declared: DeclaredNames,
    fenced: ProjectPaths,
    report: ProblemReport,
) -> FeatureView | None:
    """Build a stream view with its SQL, and report mistakes; None if it has any."""
    key = f"feature_views.{name}"
    file = f"features/{name}.sql"
    if (fenced.folder / file).exists():
        report.add(
            key,
            f"it has stream and features, and there is {file}, too",
            "a view has one of the two: take the file away, or the keys out",
        )
    entity = entities.get(values.get("entity", ""))
    stream = build_stream(values, key, entity, events, declared.events, report)
    if stream is None or entity is None:
        return None
    return FeatureView(
        name=name,
        entity=entity.name,
        path="project.yaml",
        sql=stream_view_sql(name, entity, stream),
        ttl=values.get("ttl"),
        outcome_events="known",  # a row holds what ended before its own moment
        stream=stream,
    )
