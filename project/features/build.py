"""Values of the sections `tables:` and `feature_views:` -> structs."""

from __future__ import annotations

from collections.abc import Mapping

from ..reading import files
from ..reading.fence import ProjectPaths
from ..reading.report import ProblemReport
from ..sections.values import YamlValues
from ..specs.description import Entity, FeatureView, StaticTable
from .content import build_content_views, is_generated


def build_table(name: str, path: str) -> StaticTable:
    """Build the StaticTable struct from its name and file in project.yaml."""
    return StaticTable(name=name, path=path)


def build_feature_view(name: str, values: YamlValues, path: str, sql: str) -> FeatureView:
    """Build the FeatureView struct from its section of project.yaml and its SQL."""
    return FeatureView(name=name, path=path, sql=sql, **values)


def build_views(
    sections: Mapping[str, YamlValues],
    entities: Mapping[str, Entity],
    fenced: ProjectPaths,
    report: ProblemReport,
) -> dict[str, FeatureView]:
    """Build the feature views of project.yaml, in its order, from files of SQL or generated SQL."""
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
        if not is_generated(values)
    }
    views = written | generated
    return {name: views[name] for name in sections if name in views}
