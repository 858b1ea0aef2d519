"""Values of the sections `tables:` and `feature_views:` -> structs."""

from __future__ import annotations

from collections.abc import Mapping

from ..reading import files
from ..reading.fence import ProjectPaths
from ..reading.report import ProblemReport
from ..sections.values import YamlValues
from ..specs.description import Entity, Event, FeatureView, StaticTable
from .content import build_content_views, is_generated
from .stream_views import build_stream_views, is_stream_view


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
    declared_events: tuple[str, ...],
    *,
    fenced: ProjectPaths,
    report: ProblemReport,
) -> dict[str, FeatureView]:
    """Build the feature views of project.yaml, in its order, from files of SQL or generated SQL.

    `events` are the sound ones, `declared_events` the names of all.
    """
    generated = build_content_views(
        {name: values for name, values in sections.items() if is_generated(values)},
        entities,
        report,
    )
    written = {
        name: build_feature_view(
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
        for name, values in sections.items()
        if not is_generated(values) and not is_stream_view(values)
    }
    counted = build_stream_views(sections, entities, events, declared_events, report)
    views = written | generated | counted
    return {name: views[name] for name in sections if name in views}
