"""Build the stream views of project.yaml: their definitions, and the SQL that is made from them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..reading.report import ProblemReport
from ..sections.values import YamlValues
from ..specs.description import Entity, Event, FeatureView
from .stream_build import CountedEvents, build_stream
from .tile_sql import stream_view_sql


def is_stream_view(values: YamlValues) -> bool:
    """Return whether an entry of `feature_views:` is a stream view, whose SQL we write."""
    return "stream" in values or "features" in values


def build_stream_views(
    sections: Mapping[str, YamlValues],
    entities: Mapping[str, Entity],
    events: Mapping[str, Event],
    declared: tuple[str, ...],
    report: ProblemReport,
) -> dict[str, FeatureView]:
    """Build the stream views among the feature views; report mistakes, and leave those out.

    Args:
        sections: The entries of `feature_views:` that are sound so far.
        entities: The sound entities.
        events: The sound events.
        declared: The names of all events.
        report: Takes the mistakes.
    """
    views: dict[str, FeatureView] = {}
    for name, values in sections.items():
        if not is_stream_view(values):
            continue
        entity = entities.get(values.get("entity", ""))
        counted = CountedEvents(events=events, declared=declared, entity=entity)
        stream = build_stream(values, f"feature_views.{name}", counted, report)
        if stream is not None and entity is not None:
            views[name] = FeatureView(
                name=name,
                entity=entity.name,
                path="project.yaml",
                sql=stream_view_sql(name, entity, stream),
                ttl=values.get("ttl"),
                outcome_events="known",  # a row holds what happened before its own moment
                stream=stream,
            )
    return views


def check_files(folder: Path, sections: Mapping[str, YamlValues], report: ProblemReport) -> None:
    """Report stream views that have a file of SQL, too."""
    for name, values in sections.items():
        file = f"features/{name}.sql"
        if is_stream_view(values) and (folder / file).exists():
            report.add(
                f"feature_views.{name}",
                f"it has stream and features, and there is {file}, too",
                "a view has one of the two: take the file away, or the keys out",
            )
