"""Online reads: an entity's newest features in milliseconds, with their freshness on the project's clock."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import cast, final

import msgspec

from ..errors import NotFound
from ..runtime import Project
from .history import ViewSource, entity_key
from .views import view_sources

Row = dict[str, object]  # feature -> value, None when unknown or stale
_MOST = 100_000  # rows that are kept
_NEVER: tuple[float, None] = (-math.inf, None)


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """What was read for the keys, in their order."""

    rows: list[Row]
    timestamps: list[datetime | None]  # each row's event_timestamp (UTC); None: the entity is unknown
    stale_features: tuple[str, ...]  # `view.feature`, of rows that were older than the view's ttl and are served as None


@final
class OnlineReader:
    """Reads some views of a project again and again, as the gateway does. One reader serves one thread at a time."""

    def __init__(self, project: Project, views: Sequence[str], *, keep: timedelta = timedelta(0)) -> None:
        """NotFound for an unknown view. `keep`: for so long a row that was read is read again from here."""
        self._keep = keep.total_seconds()
        self._kept: dict[tuple[str, str], tuple[float, Row | None]] = {}  # when it was read, and the row
        self._now = project.now
        self._store = project.target.online
        self._views = {source.view.name: _Plan(source) for source in view_sources(project.description, tuple(views))}

    def read(self, wanted: Mapping[str, Sequence[int | str]]) -> dict[str, Served]:
        """The keys of each view, all at once: one dict of features per key, in order; None for what is unknown or older than ttl."""
        if unknown := next((view for view in wanted if view not in self._views), None):
            raise NotFound(f"this reader was not opened for {unknown} (but for {', '.join(self._views) or 'no view'})")
        asked = {view: [entity_key(key) for key in keys] for view, keys in wanted.items()}
        stored = self._read(asked) if self._keep else self._store.get(asked)
        return {view: self._served(self._views[view], rows) for view, rows in stored.items()}

    def _read(self, asked: Mapping[str, Sequence[str]]) -> dict[str, list[Row | None]]:
        """What was read lately, and of the store the rest, each key once."""
        now = time.monotonic()
        if len(self._kept) > _MOST:
            self._kept.clear()
        fresh = {
            view: [key for key in dict.fromkeys(keys) if now - self._kept.get((view, key), _NEVER)[0] >= self._keep]
            for view, keys in asked.items()
        }
        if missing := {view: keys for view, keys in fresh.items() if keys}:
            for view, rows in self._store.get(missing).items():
                self._kept.update({(view, key): (now, row) for key, row in zip(missing[view], rows, strict=True)})
        return {view: [row and dict(row) for _, row in (self._kept[view, key] for key in keys)] for view, keys in asked.items()}

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
