"""Online reads: an entity's newest features in milliseconds, with their freshness on the project's clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol, cast, final

import msgspec

from ..errors import NotFound
from ..runtime import Project
from .history import ViewSource, entity_key
from .port import OnlineStore
from .views import view_sources

Row = dict[str, object]  # feature -> value, None when unknown or stale


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """What was read for the keys, in their order."""

    rows: list[Row]
    timestamps: list[datetime | None]  # each row's event_timestamp (UTC); None: the entity is unknown
    stale_features: tuple[str, ...]  # `view.feature`, of rows that were older than the view's ttl and are served as None


class RowReader(Protocol):
    """What an OnlineStore may offer beside its port: rows without the detour over Arrow, (feature_timestamp, *features) or None."""

    def rows(self, view: str, keys: Sequence[str]) -> list[tuple[object, ...] | None]: ...


@final
class OnlineReader:
    """Reads some views of a project again and again, as the gateway does. One reader serves one thread at a time."""

    def __init__(self, project: Project, views: Sequence[str]) -> None:
        """NotFound for an unknown view."""
        self._now = project.now
        self._store = project.target.online
        self._views = {source.view.name: _Plan(source) for source in view_sources(project.description, tuple(views))}

    def rows(self, view: str, keys: Sequence[int | str]) -> list[Row]:
        """One dict of features per key, in order; None for what is unknown or older than ttl."""
        return self.read(view, keys).rows

    def read(self, view: str, keys: Sequence[int | str]) -> Served:
        if view not in self._views:
            raise NotFound(f"this reader was not opened for {view} (but for {', '.join(self._views) or 'no view'})")
        plan = self._views[view]
        found = plan.fetch(self._store, [entity_key(key) for key in keys])
        oldest = None if plan.ttl is None else (self._now() - plan.ttl).replace(tzinfo=None)
        rows: list[Row] = []
        timestamps: list[datetime | None] = []
        stale = False
        for values in found:
            if values is None or values[0] is None:
                rows.append(dict(plan.nothing))
                timestamps.append(None)
                continue
            moment = _plain(values[0])
            timestamps.append(moment.replace(tzinfo=UTC))
            if oldest is not None and moment < oldest:
                stale = True
                rows.append(dict(plan.nothing))
            else:
                rows.append(dict(zip(plan.names, values[1:], strict=True)))
        return Served(rows=rows, timestamps=timestamps, stale_features=plan.qualified if stale else ())


@final
class _Plan:
    """What can be worked out once per view."""

    def __init__(self, source: ViewSource) -> None:
        self.name = source.view.name
        self.ttl: timedelta | None = source.view.ttl
        self.names = tuple(feature.name for feature in source.features)
        self.qualified = tuple(f"{self.name}.{name}" for name in self.names)
        self.nothing: Mapping[str, object] = dict.fromkeys(self.names)

    def fetch(self, store: OnlineStore, keys: Sequence[str]) -> Sequence[tuple[object, ...] | None]:
        if not keys:
            return ()
        if callable(getattr(store, "rows", None)):
            return cast("RowReader", store).rows(self.name, keys)
        table = store.get(self.name, keys)
        return list(zip(*(table[name].to_pylist() for name in ("feature_timestamp", *self.names)), strict=True))


def read(project: Project, view: str, keys: Sequence[int | str]) -> Served:
    """One look at the online store. NotFound for an unknown view."""
    return OnlineReader(project, (view,)).read(view, keys)


def _plain(moment: object) -> datetime:
    found = cast("datetime", moment)
    return found if found.tzinfo is None else found.astimezone(UTC).replace(tzinfo=None)
