"""OnlineStore in SQLite: a table a view, a row an entity, values with their types bit by bit."""

from __future__ import annotations

import math
import re
import sqlite3
import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, final

import msgspec

from ....core.formats import StoredDocument, decode
from ....errors import Busy, Invalid
from ....events.port import Column
from ....feature_store.port import OnlineViewSpec, OnlineViewState, SyncReport
from ....storage import Resource
from ....target import Target
from ....times import epoch_milliseconds, from_epoch
from ...common.online import latest_sql, merged, not_found, put_rows
from ...common.warehouse.relations import quoted
from .. import inventory
from ..errors import translated
from ..sqlite import Database

if TYPE_CHECKING:
    import pyarrow as pa

_SCHEMA = """
CREATE TABLE IF NOT EXISTS online_views (name TEXT PRIMARY KEY, document BLOB NOT NULL,
    synced INTEGER) WITHOUT ROWID;
"""
_NAME = re.compile(r"[a-z](_?[a-z0-9])*")
_KEYS = 500  # of one statement; more keys take several
_NAN = b"nan:"  # SQLite has no NaN: it would come back as null


class _View(StoredDocument, frozen=True, kw_only=True):
    """The stored document of a view."""

    name: str
    features: tuple[Column, ...]


class _Reader(msgspec.Struct, frozen=True):
    """A prepared read of a view, made again each second: another process may add a feature."""

    expires: float  # monotonic
    sql: Callable[[int], str]
    names: tuple[str, ...]
    # by place: what SQLite has no type for
    conversions: tuple[tuple[int, Callable[[Any], object]], ...]


@final
class LocalOnlineStore:
    """The OnlineStore port over SQLite."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._calls = target.calls
        self._database = Database(target, inventory.SCHEMA + _SCHEMA)
        self._readers: dict[str, _Reader] = {}

    def apply(self, view: OnlineViewSpec) -> None:
        """Make an online view of features, or add features to it.

        Raises:
            Invalid: A feature is dropped, or has another type.
        """
        if not _NAME.fullmatch(view.name):
            raise Invalid(
                f"{view.name!r} is not a view name",
                remedy="small letters, digits and single underscores, a letter first",
            )
        document = _View(name=view.name, features=_features(self._view(view.name), view))
        if document == self._view(view.name):
            return
        with (
            self._calls.mutating("online.apply", view.name),
            self._database.transaction(f"applying {view.name}") as db,
        ):
            old = _read(db, view.name)
            document = _View(name=view.name, features=_features(old, view))
            # no column types: SQLite would turn 1.0 into 1
            names = "".join(f", {quoted(feature.name)}" for feature in document.features)
            table = _table(view.name)
            if old is None:
                db.execute(
                    f"CREATE TABLE {table} (entity_key TEXT PRIMARY KEY, event_ms, "
                    f"created_ms{names}) WITHOUT ROWID"
                )
            else:
                for feature in document.features[len(old.features) :]:
                    db.execute(f"ALTER TABLE {table} ADD COLUMN {quoted(feature.name)}")
            # a new feature may be in history already: the next sync reads everything
            db.execute(
                "INSERT OR REPLACE INTO online_views VALUES (?, ?, NULL)",
                (view.name, msgspec.json.encode(document)),
            )
            inventory.record(self._target, "online_view", view.name, connection=db)
        self._readers.clear()

    def observe(self, view: str) -> OnlineViewState | None:
        """Return an online view's state with the features that it serves, or None."""
        self._calls.reading("online.observe", view)
        document = self._view(view)
        return (
            None if document is None else OnlineViewState(phase="ready", columns=document.features)
        )

    def sync(self, view: OnlineViewSpec, *, since: datetime | None, until: datetime) -> SyncReport:
        """Copy the newest feature values of each entity from the history table to the online view.

        It is one transaction. Rows created since the hint `since` are read, and whatever an earlier
        sync has not covered; None rebuilds the view. Rows created up to `until` are served.
        """
        document = self._view(view.name)
        if document is None:
            raise not_found(view.name)
        synced = _synced_until(self._database.connection, view.name)
        end = epoch_milliseconds(until)
        start = None if since is None or synced is None else min(epoch_milliseconds(since), synced)
        if start is None and synced is not None:
            end = max(end, synced)  # a rebuild must not take back what a later sync has served
        latest = self._latest(view, document, start, end)
        with (
            self._calls.mutating("online.sync", view.name),
            self._database.transaction(f"syncing {view.name}") as db,
        ):
            table = _table(view.name)
            if start is None:
                if _synced_until(db, view.name) != synced:
                    raise Busy(
                        f"online view {view.name}: another sync ended while this one was reading",
                        remedy="run it again",
                    )
                db.execute(f"DELETE FROM {table}")
            newest = ("event_ms", "created_ms")
            db.executemany(_replace_sql(view.name, document.features, newest), _rows(latest))
            db.execute(
                "UPDATE online_views SET synced = max(coalesce(synced, ?2), ?2) WHERE name = ?1",
                (view.name, end),
            )
        return SyncReport(rows=latest.num_rows, until=from_epoch(end))

    def _latest(
        self, view: OnlineViewSpec, document: _View, start: int | None, end: int
    ) -> pa.Table:
        """Query the newest history row of each entity, created from `start` to `end` (in ms)."""
        after = "" if start is None else "created_timestamp > $since AND "
        own = ("entity_key", "event_timestamp", "created_timestamp")
        sql = latest_sql(
            view.history, own, document.features, f"{after}created_timestamp <= $until"
        )
        params = {"until": from_epoch(end)}
        if start is not None:
            params["since"] = from_epoch(start)
        return self._target.warehouse.query(sql, params)

    def put(self, view: OnlineViewSpec, rows: pa.Table, *, written_at: datetime) -> None:
        """Write entities' rows in one transaction, each in place of the one that is served.

        A row stays if it was written later than `written_at`.

        Raises:
            NotFound: There is no such view.
            Invalid: The rows have not the columns of the view.
        """
        document = self._view(view.name)
        if document is None:
            raise not_found(view.name)
        moment = epoch_milliseconds(written_at)
        data = put_rows(view, document.features, rows)
        if not data.num_rows:
            return
        with (
            self._calls.mutating("online.put", view.name),
            self._database.transaction(f"writing {view.name}") as db,
        ):
            if _read(db, view.name) is None:  # it was deleted meanwhile
                raise not_found(view.name)
            # what `sync` calls the moment of creation is here the moment of writing
            db.executemany(
                _replace_sql(view.name, view.features, ("created_ms",)),
                ((key, event, moment, *values) for key, event, *values in _rows(data)),
            )

    def get(self, keys: Mapping[str, Sequence[str]]) -> dict[str, list[dict[str, object] | None]]:
        """Return for each view the feature values of its entity keys, in order; None without a row.

        Raises NotFound if there is no such view.
        """
        return {
            view: self._rows(view, view_keys) if view_keys else []
            for view, view_keys in keys.items()
        }

    def _rows(self, view: str, keys: Sequence[str]) -> list[dict[str, object] | None]:
        """Return a view's feature values for each entity key, in order; None where it has none."""
        rows: dict[str, dict[str, object]] = {}
        try:
            reader, db = self._reader(view)
            for start in range(0, len(keys), _KEYS):
                some = keys[start : start + _KEYS]
                for key, *values in db.execute(reader.sql(len(some)), some):
                    for place, back in reader.conversions:
                        if values[place] is not None:
                            values[place] = back(values[place])
                    rows[key] = dict(zip(reader.names, values, strict=True))
        except sqlite3.Error:
            self._readers.pop(view, None)
            with translated(f"reading {view}"):
                self._reader(view)  # NotFound: it was deleted since
                raise
        if len(rows) == len(keys):  # every key once: nothing is shared between the answers
            return [rows[key] for key in keys]
        return [dict(row) if (row := rows.get(key)) is not None else None for key in keys]

    def _reader(self, view: str) -> tuple[_Reader, sqlite3.Connection]:
        """Return how to read a view's rows (SQL and conversions), and this thread's connection."""
        db = self._database.connection
        reader = self._readers.get(view)
        if reader is None or reader.expires < time.monotonic():
            document = _read(db, view)
            if document is None:
                self._readers.pop(view, None)
                raise not_found(view)
            reader = self._readers[view] = _make_reader(document)
        return reader, db

    def _view(self, name: str) -> _View | None:
        """Read the stored description of an online view, or return None."""
        with translated("reading the online views"):
            return _read(self._database.connection, name)

    def remove(self, name: str) -> None:
        """Delete an online view with its rows; it may be absent. The inventory calls this."""
        with self._database.transaction(f"deleting {name}") as db:
            db.execute(f"DROP TABLE IF EXISTS {_table(name)}")
            db.execute("DELETE FROM online_views WHERE name = ?", (name,))
            inventory.forget(self._target, "online_view", name, connection=db)
        self._readers.clear()

    def close(self) -> None:
        """Close the database."""
        self._readers.clear()
        self._database.close()


def _make_reader(view: _View) -> _Reader:
    """Return how to read a view's rows: a SELECT, and conversions of its values to Python."""
    names = ", ".join(
        ["entity_key", "event_ms", *(quoted(feature.name) for feature in view.features)]
    )
    statements: dict[int, str] = {}

    def sql(keys: int) -> str:
        if keys not in statements:
            statements[keys] = (
                f"SELECT {names} FROM {_table(view.name)} WHERE entity_key IN "
                f"({', '.join('?' * keys)})"
            )
        return statements[keys]

    return _Reader(
        expires=time.monotonic() + 1.0,
        sql=sql,
        names=("feature_timestamp", *(feature.name for feature in view.features)),
        conversions=(
            (0, from_epoch),
            *(
                (n, _BACK[feature.type])
                for n, feature in enumerate(view.features, 1)
                if feature.type in _BACK
            ),
        ),
    )


def _features(old: _View | None, view: OnlineViewSpec) -> tuple[Column, ...]:
    """Return the features of an online view after its spec `view` replaces `old`."""
    return view.features if old is None else merged(view.name, old.features, view.features)


def _read(db: sqlite3.Connection, name: str) -> _View | None:
    """Read the stored description of an online view, or return None."""
    row = db.execute("SELECT document FROM online_views WHERE name = ?", (name,)).fetchone()
    return (
        None if row is None else decode(row[0], _View, what=f"the document of online view {name}")
    )


def _synced_until(db: sqlite3.Connection, view: str) -> int | None:
    """Return up to which creation time (ms) a view has all rows; None if it must be rebuilt."""
    row: tuple[int | None] | None = db.execute(
        "SELECT synced FROM online_views WHERE name = ?", (view,)
    ).fetchone()
    return None if row is None else row[0]


def _table(view: str) -> str:
    """Return the quoted name of the SQLite table that holds a view's rows."""
    return quoted(f"online_{view}")


def _replace_sql(view: str, features: Sequence[Column], newest: Sequence[str]) -> str:
    """Return SQL that inserts an entity's row, or replaces the one that is there if it is older.

    Args:
        view: The view.
        features: Those of the row; before them it has key, time of the event and of creation.
        newest: The columns by which two rows are compared; of equals the new one stays.
    """
    table = _table(view)
    names = ["entity_key", "event_ms", "created_ms", *(feature.name for feature in features)]
    changes = ", ".join(f"{quoted(name)} = excluded.{quoted(name)}" for name in names[1:])
    new = ", ".join(f"excluded.{name}" for name in newest)
    old = ", ".join(f"{table}.{name}" for name in newest)
    return (
        f"INSERT INTO {table} ({', '.join(map(quoted, names))}) VALUES "
        f"({', '.join('?' * len(names))}) ON CONFLICT (entity_key) DO UPDATE SET {changes} "
        f"WHERE ({new}) >= ({old})"
    )


def _rows(latest: pa.Table) -> Iterator[tuple[object, ...]]:
    """Yield Arrow rows as tuples for SQLite: timestamps as milliseconds, NaN as bytes."""
    import pyarrow as pa

    for batch in latest.to_batches(max_chunksize=10_000):
        columns: list[list[Any]] = []
        for values in batch.columns:
            if pa.types.is_timestamp(values.type):
                columns.append(values.cast(pa.int64()).to_pylist())
            elif pa.types.is_floating(values.type):
                columns.append(
                    [
                        _NAN + struct.pack("<d", value)
                        if value is not None and math.isnan(value)
                        else value
                        for value in values.to_pylist()
                    ]
                )
            else:
                columns.append(values.to_pylist())
        yield from zip(*columns, strict=True)


def _float(value: float | bytes) -> object:
    """Return the float of a stored value; NaN is stored as bytes."""
    return struct.unpack("<d", value[len(_NAN) :])[0] if isinstance(value, bytes) else value


_BACK: dict[str, Callable[[Any], object]] = {
    "bool": bool,
    "float64": _float,
    "timestamp": from_epoch,
}


def delete(target: Target, resource: Resource) -> None:
    """Delete an online view. The inventory calls this."""
    store = target.online
    if isinstance(store, LocalOnlineStore):
        store.remove(resource.name)
