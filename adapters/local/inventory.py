"""Inventory in SQLite: an adapter file records what it makes, in the same transaction if it can."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from decimal import Decimal
from importlib import import_module
from typing import final

from ...errors import Invalid
from ...storage import Resource
from ...target import Target
from .errors import translated
from .sqlite import Database

SCHEMA = """
CREATE TABLE IF NOT EXISTS resources (
    project TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, native_id TEXT NOT NULL,
    console_url TEXT,
    PRIMARY KEY (project, kind, name)
) WITHOUT ROWID;
"""

# kind -> "module:function"; the function takes (target, resource), returns at once, and treats
# absent as success. In the order in which a project is taken down: what is used comes after what
# uses it.
DELETERS: dict[str, str] = {
    "endpoint": f"{__package__}.endpoints.host:delete",
    "counters": f"{__package__}.storage.counters:delete",
    "online_view": f"{__package__}.online.store:delete",
    "stream": f"{__package__}.events.log:delete",
    "view": f"{__package__}.warehouse.warehouse:delete",
    "table": f"{__package__}.warehouse.warehouse:delete",
    "model": f"{__package__}.pipelines.registry:delete",
}


def record(
    target: Target,
    kind: str,
    name: str,
    *,
    native_id: str = "",
    console_url: str | None = None,
    connection: sqlite3.Connection | None = None,
) -> None:
    """List a resource of the project in the inventory; doing so again changes nothing.

    Args:
        target: The target.
        kind: The resource's kind, one of DELETERS.
        name: Its name.
        native_id: The name that this machine has for it; by default `name`.
        console_url: A page that shows it.
        connection: A connection with an open transaction to record it in.
    """
    if kind not in DELETERS:
        raise Invalid(
            f"resource kind {kind!r} has no deleter", remedy="add it to adapters/local/inventory.py"
        )
    row = (target.profile.project, kind, name, native_id or name, console_url)
    _write(target, "INSERT OR REPLACE INTO resources VALUES (?, ?, ?, ?, ?)", row, connection)


def forget(
    target: Target, kind: str, name: str, *, connection: sqlite3.Connection | None = None
) -> None:
    """Remove a resource from the inventory, as the last step of its deletion.

    `connection` is one with an open transaction to do it in.
    """
    row = (target.profile.project, kind, name)
    _write(
        target, "DELETE FROM resources WHERE project = ? AND kind = ? AND name = ?", row, connection
    )


def _write(
    target: Target, sql: str, row: tuple[object, ...], connection: sqlite3.Connection | None
) -> None:
    """Execute SQL on the inventory, in `connection`'s open transaction or in one of its own.

    `row` has the statement's values.
    """
    if connection is not None:
        connection.execute(sql, row)
        return
    database = Database(target, SCHEMA)
    try:
        with database.transaction("writing the inventory") as db:
            db.execute(sql, row)
    finally:
        database.close()


@final
class LocalInventory:
    """The Inventory port."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._database = Database(target, SCHEMA)

    def list(self, project: str) -> Iterator[Resource]:
        """Yield the project's resources without delay, endpoints before what they use.

        No resource of the laptop has a cost.
        """
        self._target.calls.reading("inventory.list", project)
        with translated("listing resources"):
            rows = self._database.connection.execute(
                "SELECT kind, name, native_id, console_url FROM resources WHERE project = ?",
                (project,),
            ).fetchall()
        order = list(DELETERS)
        for kind, name, native_id, console_url in sorted(
            rows, key=lambda row: (order.index(row[0]) if row[0] in order else -1, row[1])
        ):
            yield Resource(
                kind=kind,
                name=name,
                native_id=native_id,
                hourly_cost=Decimal(0),
                console_url=console_url,
            )

    def delete(self, resource: Resource) -> None:
        """Delete a resource with all its data, and its row in the inventory.

        Raises:
            Invalid: There is no such kind.
        """
        where = DELETERS.get(resource.kind)
        if where is None:
            raise Invalid(
                f"{resource.kind} {resource.name}: the local target has no such kind of resource"
            )
        module, _, function = where.partition(":")
        deleter: Callable[[Target, Resource], None] = getattr(import_module(module), function)
        with (
            self._target.calls.mutating(f"inventory.delete {resource.kind}", resource.name),
            translated(f"deleting {resource.name}"),
        ):
            deleter(self._target, resource)
            forget(self._target, resource.kind, resource.name)

    def close(self) -> None:
        """Close the database."""
        self._database.close()
