"""The state of Firestore: databases, with their documents and the settings of their fields."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from ...core.call import Call
from ...core.errors import invalid
from ...core.projects import with_project_id
from . import paths, values, writes
from .errors import no_database

_MOST_TRANSFORMS = 500  # of one document in a commit (firebase.google.com/docs/firestore/quotas)


class Database:
    """One database.

    Its documents vanish as soon as the clock has passed what their TTL field says; Google's take up
    to a day.
    """

    def __init__(self, message: Any) -> None:
        self.message = message  # google.firestore.admin.v1.Database
        self.fields: dict[
            tuple[str, tuple[str, ...]], Any
        ] = {}  # (collection group, path) -> google.firestore.admin.v1.Field
        self._documents: dict[str, Any] = {}  # by their paths
        self._lock = threading.Lock()

    def get(self, path: str, now: datetime) -> Any | None:
        """Return the document at a path, or None if it is absent or expired.

        The caller must not change it.
        """
        with self._lock:
            return self._living(path, now)

    def commit(self, listed: Sequence[Any], now: datetime) -> list[Any]:
        """Apply the writes of a commit in order, all or none; return their results.

        `listed` are the writes; `now` is the commit's time.
        """
        by_path = [(paths.split(writes.name_of(write))[1], write) for write in listed]
        _check_transforms(by_path)
        with self._lock:
            changed: dict[str, Any | None] = {}
            results = []
            for path, write in by_path:
                document = changed[path] if path in changed else self._living(path, now)
                changed[path], result = writes.apply_write(document, write, now)
                results.append(result)
            self._keep(changed)
        return results

    def _keep(self, changed: dict[str, Any | None]) -> None:
        """Store changed documents by path; None deletes one."""
        for path, document in changed.items():
            if document is None:
                self._documents.pop(path, None)
            else:
                self._documents[path] = document

    def _living(self, path: str, now: datetime) -> Any | None:
        """Return the document at a path; None if it is absent or its time to live is over."""
        document = self._documents.get(path)
        if document is None:
            return None
        collection = paths.collection_of(path)
        if any(
            _is_expired(document, field, name, now)
            for (group, name), field in self.fields.items()
            if group == collection
        ):
            del self._documents[path]
            return None
        return document


class Firestore:
    """The databases of one stack."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.databases: dict[str, Database] = {}
        self.creating: set[str] = set()  # names that are taken, of databases that are not there yet

    def database(self, call: Call, name: str) -> Database:
        """Return the database that a resource name begins with; raise GcpError NOT_FOUND."""
        database = self.databases.get(with_project_id(call, paths.check_database(name)))
        if database is None:
            raise no_database(name)
        return database


def _is_expired(document: Any, field: Any, path: Sequence[str], now: datetime) -> bool:
    """Return whether the time at `path` in a document, which its TTL field names, is past."""
    value = values.value_at(document.fields, path) if field.HasField("ttl_config") else None
    if value is None or value.WhichOneof("value_type") != "timestamp_value":
        return False
    ends: datetime = (
        value.timestamp_value.ToDatetime(tzinfo=UTC)
        + field.ttl_config.expiration_offset.ToTimedelta()
    )
    return ends <= now


def _check_transforms(by_path: Sequence[tuple[str, Any]]) -> None:
    """Raise INVALID_ARGUMENT if a commit has too many transforms of one document.

    Each transform comes with its document's path.
    """
    counts: Counter[str] = Counter()
    for path, write in by_path:
        counts[path] += len(write.update_transforms) + len(write.transform.field_transforms)
    if any(count > _MOST_TRANSFORMS for count in counts.values()):
        raise invalid(
            f"A document takes at most {_MOST_TRANSFORMS} field transformations in a commit."
        )
