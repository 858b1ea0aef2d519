"""Give a project's feature views with what is read from their SQL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ...errors import NotFound, ProjectError
from ...project.reading.names import did_you_mean
from ...project.specs.description import ParsedProject
from ..joins.view_history import ViewSource
from ..port import OnlineViewSpec


def view_sources(
    description: ParsedProject, names: Sequence[str] | None = None
) -> tuple[ViewSource, ...]:
    """Return the named views (None: all) with the features in their SQL, in the project's order.

    Raises:
        NotFound: there is no such view.
        ProjectError: a view's SQL is wrong.
    """
    from .schema import view_schemas

    declared = description.spec.feature_views
    for name in names or ():
        if name not in declared:
            raise no_view(name, declared)
    schemas, problems = view_schemas(description)
    if errors := tuple(problem for problem in problems if problem.severity == "error"):
        raise ProjectError(errors)
    return tuple(
        ViewSource(
            view=view,
            entity=description.spec.entities[view.entity],
            features=tuple(schemas[name].features),
            has_created=schemas[name].has_created,
        )
        for name, view in declared.items()
        if names is None or name in names
    )


def no_view(name: str, declared: Iterable[str]) -> NotFound:
    """Return the NotFound error for an unknown feature view, with a similar name as a hint."""
    declared_names = ", ".join(declared) or "none"
    return NotFound(
        f"there is no feature view {name} (there is: {declared_names})",
        remedy=did_you_mean(name, declared),
    )


def online_spec(source: ViewSource) -> OnlineViewSpec:
    """Return the spec by which a view is created and synced in the online store."""
    return OnlineViewSpec(
        name=source.view.name,
        history=source.view.name,
        features=source.features,
        ttl=source.view.ttl,
    )
