"""Rows of the online store, each kept for a moment: what the rankings of one second share is read once."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import final

from .port import OnlineStore

_MOST = 100_000  # rows; some 100 MB


@final
class RowCache:
    """`get` as the OnlineStore's. A row is given at most `keep` after it was read, with the time that it has. Threads may share it."""

    def __init__(self, store: OnlineStore, keep: timedelta, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._keep = keep.total_seconds()
        self._clock = clock
        self._rows: dict[tuple[str, str], tuple[float, dict[str, object] | None]] = {}  # with the moment until which it is given

    def get(self, wanted: Mapping[str, Sequence[str]]) -> dict[str, list[dict[str, object] | None]]:
        """Copies: who asks may change them."""
        now = self._clock()
        rows: dict[tuple[str, str], dict[str, object] | None] = {}
        missing: dict[str, list[str]] = {}
        for view, keys in wanted.items():
            for key in dict.fromkeys(keys):
                until, row = self._rows.get((view, key), (now, None))
                if until > now:
                    rows[view, key] = row
                else:
                    missing.setdefault(view, []).append(key)
        if missing:
            self._make_room(now)
            for view, stored in self._store.get(missing).items():
                for key, row in zip(missing[view], stored, strict=True):
                    rows[view, key] = row
                    self._rows[view, key] = (now + self._keep, row)
        return {view: [None if (row := rows[view, key]) is None else dict(row) for key in keys] for view, keys in wanted.items()}

    def _make_room(self, now: float) -> None:
        if len(self._rows) >= _MOST:
            young = {key: row for key, row in list(self._rows.items()) if row[0] > now}
            self._rows = young if len(young) < _MOST // 2 else {}
