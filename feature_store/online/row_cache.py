"""Cache rows of the online store for a moment, so that rankings of one second share their reads."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import final

from ..port import OnlineStore

_MOST = 100_000  # rows; some 100 MB

_Entry = tuple[
    float, dict[str, object] | None
]  # the moment until which a row is given, and the row
_NEVER: _Entry = (-math.inf, None)


@final
class RowCache:
    """A cache in front of an online store, with its `get`.

    A row is given at most `keep` after it was read, with the time that it has. Threads may share
    the cache.
    """

    def __init__(
        self, store: OnlineStore, keep: timedelta, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._keep = keep.total_seconds()
        self._clock = clock
        self._views: dict[str, dict[str, _Entry]] = {}

    def get(self, keys: Mapping[str, Sequence[str]]) -> dict[str, list[dict[str, object] | None]]:
        """Return each view's rows for some keys, from the cache or else the online store.

        They are as OnlineStore.get gives them: copies, which callers may change.
        """
        now = self._clock()
        entries = {view: self._cached(view, view_keys) for view, view_keys in keys.items()}
        missing = {
            view: old
            for view, view_keys in keys.items()
            if (old := _missing(view_keys, entries[view], now))
        }
        fresh = self._read(missing, now) if missing else {}
        return {
            view: _rows(
                view_entries
                if view not in fresh
                else [
                    fresh[view].get(key, entry)
                    for key, entry in zip(keys[view], view_entries, strict=True)
                ]
            )
            for view, view_entries in entries.items()
        }

    def _cached(self, view: str, keys: Sequence[str]) -> list[_Entry]:
        """Return the cache entries of some keys of a view; an absent one counts as expired."""
        entry_of = self._views.get(view, {}).get
        return [entry_of(key, _NEVER) for key in keys]

    def _read(
        self, missing: Mapping[str, Sequence[str]], now: float
    ) -> dict[str, dict[str, _Entry]]:
        """Read rows that the cache lacks from the online store, and cache them."""
        self._make_room(now)
        until, fresh = now + self._keep, dict[str, dict[str, _Entry]]()
        for view, stored in self._store.get(missing).items():
            fresh[view] = {
                key: (until, row) for key, row in zip(missing[view], stored, strict=True)
            }
            self._views.setdefault(view, {}).update(fresh[view])
        return fresh

    def _make_room(self, now: float) -> None:
        """Drop expired entries when the cache is full, or all if that frees too little."""
        if sum(map(len, self._views.values())) >= _MOST:
            young = {
                view: {key: entry for key, entry in list(entries.items()) if entry[0] > now}
                for view, entries in list(self._views.items())
            }
            self._views = young if sum(map(len, young.values())) < _MOST // 2 else {}


def _missing(keys: Sequence[str], entries: Sequence[_Entry], now: float) -> list[str]:
    """Return the keys whose cache entries have expired, each once; `now` is the present time."""
    return list(
        dict.fromkeys([key for key, (until, _) in zip(keys, entries, strict=True) if until <= now])
    )


def _rows(entries: Sequence[_Entry]) -> list[dict[str, object] | None]:
    """Return copies of the rows in cache entries, None where the store had no row."""
    return [None if row is None else row.copy() for _, row in entries]
