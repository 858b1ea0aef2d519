"""Tell what a feature is made of, by its view's SQL."""

from __future__ import annotations

from ...project.specs.description import FeatureView, ParsedProject
from .schema import relation_columns


def is_made_of(
    description: ParsedProject, view: FeatureView, feature: str, *, relation: str, column: str
) -> bool:
    """Return whether a view's SQL computes a feature from this column of a relation.

    It looks through subqueries, WITH and UNION ALL.
    """
    from sqlglot.optimizer.scope import build_scope

    from ..sql.lineage import Leaf, lineage, outputs
    from ..sql.subset import parse

    relations = {
        name.lower(): {own.name.lower() for own in columns}
        for name, columns in relation_columns(description).items()
    }
    scope = build_scope(parse(view.sql))
    leaf = Leaf(relation=relation.lower(), column=column.lower())
    sides = outputs(scope, feature.lower()) if scope is not None else ()
    return any(
        leaf in lineage(expression, side, relations).leaves
        for side, expression in sides
        if expression is not None
    )
