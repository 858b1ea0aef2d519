"""Read an entity's newest features online, with their freshness on the project's clock."""

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
        """Return each view's rows for some keys, as OnlineStore.get does.

        Callers may change the rows.
        """
        ...


class ServedFeatures(msgspec.Struct, frozen=True, kw_only=True):
    """The features that were read for some keys, in the keys' order."""

    rows: list[Row]
    timestamps: list[
        datetime | None
    ]  # each row's event_timestamp (UTC); None: the entity is unknown
    stale_features: tuple[
        str, ...
    ]  # `view.feature`, of rows that were older than the view's ttl and are served as None


@final
class OnlineReader:
    """A reader of some views of a project, for many reads, as the gateway needs.

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
        """Prepare online reads of some feature views.

        Args:
            project: The project.
            views: The views' names; or the features to read by view, as a model's manifest has
                them. Then no SQL is read, which would load an engine into a process that only
                serves.
            cache: Rows to read instead of the project's online store: a cache that readers share,
                or other rows.
            now: The clock by which freshness and ttl are judged (default: the project's).

        Raises:
            NotFound: there is no such view.
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

    def read(self, keys_by_view: Mapping[str, Sequence[int | str]]) -> dict[str, ServedFeatures]:
        """Read the features of some entity keys of each view, in one read of the online store.

        For each key in order there is one dict of features; None for one that is unknown or older
        than the ttl.
        """
        if unknown := next((view for view in keys_by_view if view not in self._views), None):
            raise NotFound(
                f"this reader was not opened for {unknown} (but for "
                f"{', '.join(self._views) or 'no view'})"
            )
        texts = {
            id(keys): [entity_key(key) for key in keys] for keys in keys_by_view.values()
        }  # views may share their keys
        with spans.span("online.get", kind="CLIENT", views=sorted(keys_by_view)):
            stored = self._store.get({view: texts[id(keys)] for view, keys in keys_by_view.items()})
        return {view: self._served(self._views[view], rows) for view, rows in stored.items()}

    def _served(self, plan: _Plan, stored: Sequence[Row | None]) -> ServedFeatures:
        """Convert a view's stored rows to the features that are served.

        `plan` has the view's keys and features. Rows older than its ttl come out empty.
        """
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
        return ServedFeatures(
            rows=rows, timestamps=timestamps, stale_features=plan.qualified if stale else ()
        )


@final
class _Plan:
    """The parts of reading a view that can be worked out once."""

    def __init__(self, view: str, ttl: timedelta | None, names: Sequence[str]) -> None:
        self.ttl = ttl
        self.qualified = tuple(f"{view}.{name}" for name in names)
        self.nothing: Mapping[str, object] = dict.fromkeys(names)


def _features(project: Project, views: Sequence[str]) -> dict[str, list[str]]:
    """Return the names of each view's features, by view, read from its SQL."""
    sources = view_sources(project.description, tuple(views))
    return {source.view.name: [feature.name for feature in source.features] for source in sources}


def read(project: Project, view: str, keys: Sequence[int | str]) -> ServedFeatures:
    """Read the newest features of some entity keys of one view from the online store.

    Raises:
        NotFound: there is no such view.
    """
    return OnlineReader(project, (view,)).read({view: keys})[view]
