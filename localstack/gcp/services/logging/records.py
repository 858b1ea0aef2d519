"""The log entries of a stack."""

from __future__ import annotations

import bisect
import threading
from collections.abc import Iterable, Sequence
from typing import Any

from google.cloud.logging_v2.types import LogEntry as _LogEntry

from ...core.errors import GcpError

LogEntry = _LogEntry.pb()
_MOST = 200_000  # entries; the oldest go


class Entries:
    """The entries of one stack, in the order of their times."""

    def __init__(self) -> None:
        self._entries: list[Any] = []
        self._ids: set[tuple[str, int, str]] = set()
        self._lock = threading.Lock()

    def add(self, entries: Iterable[Any]) -> None:
        """Add log entries, except those whose log, time and insert id are stored already."""
        with self._lock:
            for entry in entries:
                key = _key(entry)
                if key not in self._ids:
                    self._ids.add(key)
                    bisect.insort(self._entries, entry, key=_time)
            excess = len(self._entries) - _MOST
            if excess > 0:
                self._ids.difference_update(_key(entry) for entry in self._entries[:excess])
                del self._entries[:excess]

    def below(self, parents: Sequence[str]) -> list[Any]:
        """Return the log entries whose log belongs to one of these parents, such as projects/P."""
        prefixes = tuple(f"{parent}/logs/" for parent in parents)
        with self._lock:
            return [entry for entry in self._entries if entry.log_name.startswith(prefixes)]

    def delete(self, log_name: str) -> int:
        """Delete a log with its entries, and return how many entries it had."""
        with self._lock:
            count = len(self._entries)
            self._entries = [entry for entry in self._entries if entry.log_name != log_name]
            self._ids = {_key(entry) for entry in self._entries}
            return count - len(self._entries)


def _time(entry: Any) -> int:
    """Return a log entry's time in nanoseconds since 1970."""
    nanoseconds: int = entry.timestamp.ToNanoseconds()
    return nanoseconds


def _key(entry: Any) -> tuple[str, int, str]:
    """Return the identity of a log entry: log name, time and insert id."""
    return entry.log_name, _time(entry), entry.insert_id


class Exports:
    """The sinks and metrics of one stack, by their full names."""

    def __init__(self) -> None:
        self.messages: dict[str, Any] = {}
        self.lock = threading.RLock()

    def get(self, name: str) -> Any:
        """Return the log sink or log metric of that name; raise NOT_FOUND if there is none."""
        message = self.messages.get(name)
        if message is None:
            kind, _, identifier = name.rpartition("/")
            raise GcpError(
                "NOT_FOUND",
                f"{kind.rpartition('/')[2].capitalize()[:-1]} {identifier} does not exist",
            )
        return message

    def below(self, parent: str, collection: str) -> list[Any]:
        """Return the log sinks or log metrics of a project, sorted by name."""
        return [
            message
            for name, message in sorted(self.messages.items())
            if name.startswith(f"{parent}/{collection}/")
        ]
