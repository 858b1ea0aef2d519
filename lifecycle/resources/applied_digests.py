"""The last `apply`, as one document in the StateStore.

By it a view's changed SQL is noticed before its history is spoilt, and so is a data set of which
other examples are asked.
"""

from __future__ import annotations

import msgspec

from ...core.formats import StoredDocument, decode
from ...core.runtime.project import Project
from ...errors import Conflict
from ...project.specs.examples import meaning_of

KEY = "project"


class Applied(StoredDocument, frozen=True, kw_only=True):
    views: dict[str, str] = {}  # view -> digest of its SQL, layout and comments aside
    datasets: dict[str, tuple[str, ...]] = {}  # data set -> what its examples mean


def read(project: Project) -> Applied:
    """Return the digests of the feature views' SQL at the last `apply`, as stored."""
    document = project.target.state.get(KEY)
    return Applied() if document is None else decode(document.value, Applied, what=f"state {KEY}")


def changed_views(project: Project) -> frozenset[str]:
    """Return the names of the feature views whose SQL changed since the last `apply`."""
    from ...feature_store.sql.subset import digest

    applied_views = read(project).views
    return frozenset(
        v.name
        for v in project.spec.feature_views.values()
        if applied_views.get(v.name, digest(v.sql)) != digest(v.sql)
    )


def changed_datasets(project: Project) -> frozenset[str]:
    """Return the names of the data sets whose examples meant something else at the last `apply`."""
    applied = read(project).datasets
    declared = _meanings(project)
    return frozenset(
        name for name, meaning in declared.items() if applied.get(name, meaning) != meaning
    )


def _meanings(project: Project) -> dict[str, tuple[str, ...]]:
    """Return what the examples of each declared data set mean."""
    spec = project.spec
    return {name: meaning_of(spec, dataset) for name, dataset in spec.datasets.items()}


def write(project: Project) -> None:
    """Store the digests of what was applied; raise Conflict if another `apply` did."""
    from ...feature_store.sql.subset import digest

    document = project.target.state.get(KEY)
    applied = (
        Applied() if document is None else decode(document.value, Applied, what=f"state {KEY}")
    )
    after = Applied(
        views=applied.views | {v.name: digest(v.sql) for v in project.spec.feature_views.values()},
        datasets=applied.datasets | _meanings(project),
    )
    if document is not None and after == applied:
        return
    try:
        project.target.state.put(
            KEY, msgspec.json.encode(after), expect=document.token if document else None
        )
    except Conflict as error:
        raise Conflict(
            "somebody else applied this project at the same time",
            remedy="run `isthmus plan` again, then apply",
        ) from error
