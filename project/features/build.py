"""Values of the sections `tables:` and `feature_views:` -> structs."""

from __future__ import annotations

from ..sections.values import Values
from ..specs.description import FeatureView, StaticTable


def build_table(name: str, path: str) -> StaticTable:
    """Build a static table from its section of project.yaml."""
    return StaticTable(name=name, path=path)


def build_feature_view(name: str, values: Values, path: str, sql: str) -> FeatureView:
    """Build a feature view from its section and its SQL file."""
    return FeatureView(name=name, path=path, sql=sql, **values)
