"""Online reads: an entity's newest features in milliseconds, with their freshness on the project's
clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol, cast, final

import msgspec

from ...core import spans
from ...core.runtime.project import Project
from ...errors import NotFound
from ..joins.view_history import entity_key
from ..views.sources import no_view, view_sources

_BEGINNING = datetime.min.replace(tzinfo=UTC)  # nothing is older

Row = dict[str, object]  # feature -> value, None when unknown or stale


class Rows(Protocol):
    def get(self, keys: Mapping[str, Sequence[str]]) -> Mapping[str, list[Row | None]]:
        """As OnlineStore.get; the rows may be changed by who asks."""
        ...


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """What was read for the keys, in their order."""

    rows: list[Row]
    timestamps: list[
        datetime | None
    ]  # each row's event_timestamp (UTC); None: the entity is unknown
    stale_features: tuple[
        str, ...
    ]  # `view.feature`, of rows that were older than the view's ttl and are served as None


@final
class OnlineReader:
    """Reads some views of a project again and again, as the gateway does.

    One reader serves one thread at a time.
    """

    def __init__(
        self,
        project: Project,
        views: Sequence[str] | Mapping[str, Sequence[str]],
        *,
        cache: Rows | None = None,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        """NotFound for an unknown view.

        `views`: their names, or by view the features that are wanted, as a model's manifest has
        them: then no SQL is read, which would take an engine into a process that only serves.
        `cache`: of the project's online store, for readers that may share rows; or other rows than
        the store's, as `now` has them.
        """
        self._now = now or project.now
        self._store = cache or project.target.online
        features = views if isinstance(views, Mapping) else _features(project, views)
        declared = project.spec.feature_views
        if unknown := next((view for view in features if view not in declared), None):
            raise no_view(unknown, declared)
        self._views = {
            view: _Plan(view, declared[view].ttl, names) for view, names in features.items()
        }

    def read(self, wanted: Mapping[str, Sequence[int | str]]) -> dict[str, Served]:
        """The keys of each view, all at once: one dict of features per key, in order; None for what
        is unknown or older than ttl.
        """
        if unknown := next((view for view in wanted if view not in self._views), None):
            raise NotFound(
                f"this reader was not opened for {unknown} (but for "
                f"{', '.join(self._views) or 'no view'})"
            )
        texts = {
            id(keys): [entity_key(key) for key in keys] for keys in wanted.values()
        }  # views may share their keys
        with spans.span("online.get", kind="CLIENT", views=sorted(wanted)):
            stored = self._store.get({view: texts[id(keys)] for view, keys in wanted.items()})
        return {view: self._served(self._views[view], rows) for view, rows in stored.items()}

    def _served(self, plan: _Plan, stored: Sequence[Row | None]) -> Served:
        timestamps = [
            None if row is None else cast("datetime", row.pop("feature_timestamp"))
            for row in stored
        ]
        oldest = _BEGINNING if plan.ttl is None else self._now() - plan.ttl
        rows = [
            dict(plan.nothing) if row is None or moment is None or moment < oldest else row
            for row, moment in zip(stored, timestamps, strict=True)
        ]
        stale = (
            min([moment for moment in timestamps if moment is not None], default=oldest) < oldest
        )
        return Served(
            rows=rows, timestamps=timestamps, stale_features=plan.qualified if stale else ()
        )


@final
class _Plan:
    """What can be worked out once per view."""

    def __init__(self, view: str, ttl: timedelta | None, names: Sequence[str]) -> None:
        self.ttl = ttl
        self.qualified = tuple(f"{view}.{name}" for name in names)
        self.nothing: Mapping[str, object] = dict.fromkeys(names)


def _features(project: Project, views: Sequence[str]) -> dict[str, list[str]]:
    """By view, as its SQL has them."""
    sources = view_sources(project.description, tuple(views))
    return {source.view.name: [feature.name for feature in source.features] for source in sources}


def read(project: Project, view: str, keys: Sequence[int | str]) -> Served:
    """One look at the online store. NotFound for an unknown view."""
    return OnlineReader(project, (view,)).read({view: keys})[view]
