"""Values of the sections `tables:` and `feature_views:` -> structs."""

from __future__ import annotations

from ..sections.values import YamlValues
from ..specs.description import FeatureView, StaticTable


def build_table(name: str, path: str) -> StaticTable:
    """Build the StaticTable struct from its name and file in project.yaml."""
    return StaticTable(name=name, path=path)


def build_feature_view(name: str, values: YamlValues, path: str, sql: str) -> FeatureView:
    """Build the FeatureView struct from its section of project.yaml and its SQL."""
    return FeatureView(name=name, path=path, sql=sql, **values)
