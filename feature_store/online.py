"""Online reads: an entity's newest features in milliseconds, with their freshness on the project's clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import cast, final

import msgspec

from ..errors import NotFound
from ..runtime import Project
from .history import ViewSource, entity_key
from .row_cache import RowCache
from .views import view_sources

Row = dict[str, object]  # feature -> value, None when unknown or stale


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """What was read for the keys, in their order."""

    rows: list[Row]
    timestamps: list[datetime | None]  # each row's event_timestamp (UTC); None: the entity is unknown
    stale_features: tuple[str, ...]  # `view.feature`, of rows that were older than the view's ttl and are served as None


@final
class OnlineReader:
    """Reads some views of a project again and again, as the gateway does. One reader serves one thread at a time."""

    def __init__(self, project: Project, views: Sequence[str], *, cache: RowCache | None = None) -> None:
        """NotFound for an unknown view. `cache`: of the project's online store, for readers that may share rows."""
        self._now = project.now
        self._store = cache or project.target.online
        self._views = {source.view.name: _Plan(source) for source in view_sources(project.description, tuple(views))}

    def read(self, wanted: Mapping[str, Sequence[int | str]]) -> dict[str, Served]:
        """The keys of each view, all at once: one dict of features per key, in order; None for what is unknown or older than ttl."""
        if unknown := next((view for view in wanted if view not in self._views), None):
            raise NotFound(f"this reader was not opened for {unknown} (but for {', '.join(self._views) or 'no view'})")
        stored = self._store.get({view: [entity_key(key) for key in keys] for view, keys in wanted.items()})
        return {view: self._served(self._views[view], rows) for view, rows in stored.items()}

    def _served(self, plan: _Plan, stored: Sequence[Row | None]) -> Served:
        oldest = None if plan.ttl is None else self._now() - plan.ttl
        rows: list[Row] = []
        timestamps: list[datetime | None] = []
        stale = False
        for row in stored:
            if row is None:
                rows.append(dict(plan.nothing))
                timestamps.append(None)
                continue
            moment = cast("datetime", row.pop("feature_timestamp"))
            timestamps.append(moment)
            if oldest is not None and moment < oldest:
                stale = True
                rows.append(dict(plan.nothing))
            else:
                rows.append(row)
        return Served(rows=rows, timestamps=timestamps, stale_features=plan.qualified if stale else ())


@final
class _Plan:
    """What can be worked out once per view."""

    def __init__(self, source: ViewSource) -> None:
        names = [feature.name for feature in source.features]
        self.ttl: timedelta | None = source.view.ttl
        self.qualified = tuple(f"{source.view.name}.{name}" for name in names)
        self.nothing: Mapping[str, object] = dict.fromkeys(names)


def read(project: Project, view: str, keys: Sequence[int | str]) -> Served:
    """One look at the online store. NotFound for an unknown view."""
    return OnlineReader(project, (view,)).read({view: keys})[view]
