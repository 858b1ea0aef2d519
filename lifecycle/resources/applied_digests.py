"""The last `apply`, as one document in the StateStore.

By it a view's changed SQL is noticed before its history is spoilt.
"""

from __future__ import annotations

import msgspec

from ...core.formats import StoredDocument, decode
from ...core.runtime.project import Project
from ...errors import Conflict

KEY = "project"


class Applied(StoredDocument, frozen=True, kw_only=True):
    views: dict[str, str] = {}  # view -> digest of its SQL, layout and comments aside


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


def write(project: Project) -> None:
    """Store the digests of the applied feature views; raise Conflict if another `apply` did."""
    from ...feature_store.sql.subset import digest

    document = project.target.state.get(KEY)
    applied = (
        Applied() if document is None else decode(document.value, Applied, what=f"state {KEY}")
    )
    after = Applied(
        views=applied.views | {v.name: digest(v.sql) for v in project.spec.feature_views.values()}
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
