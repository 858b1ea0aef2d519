"""Copy jobs: tables copied, appended, or noted as a snapshot or a clone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from ..data.types import SchemaField, quoted
from ..errors import BigQueryError, invalid
from ..state.catalog import Table
from ..state.instance import BigQueryState
from ..state.jobs import Job, Outcome
from ..tables import row_writes, tables


def prepare(instance: BigQueryState, job: Job) -> Callable[[], Outcome]:
    """Check a copy job's configuration, and return the function that does its work.

    Raises:
        BigQueryError: `invalid`, where its configuration is.
    """
    configuration = job.configuration["copy"]
    operation = configuration.get("operationType") or "COPY"
    resources = configuration.get("sourceTables") or [configuration.get("sourceTable")]
    refs = [row_writes.table_ref(resource, "sourceTable") for resource in resources]
    target = row_writes.target_of(configuration, "WRITE_EMPTY")

    def work() -> Outcome:
        source_tables = [instance.catalog.table(ref) for ref in refs]
        for table in source_tables:
            if table.kind not in ("TABLE", "SNAPSHOT"):
                raise invalid(f"Cannot copy {table.ref}: it is a {table.kind}")
            if table.fields != source_tables[0].fields:
                raise invalid(
                    f"Cannot copy {table.ref}: its schema differs from that of "
                    f"{source_tables[0].ref}"
                )

        def fill(cursor: Any, name: str, columns: Sequence[SchemaField]) -> None:
            job.running.watch(cursor)
            names = ", ".join(quoted(column.name) for column in columns)
            for table in source_tables:
                cursor.execute(
                    f"INSERT INTO {name} ({names}) SELECT {names} FROM {tables.relation(table.ref)}"
                )

        layout = {
            k: v
            for k, v in source_tables[0].written.items()
            if k in ("timePartitioning", "clustering", "description", "labels")
        }
        goal = row_writes.with_layout(target, layout)
        count = row_writes.write(instance, goal, source_tables[0].fields, fill)
        if operation in ("SNAPSHOT", "CLONE"):
            _note_base(
                instance,
                source_tables[0],
                target,
                operation,
                configuration.get("destinationExpirationTime"),
            )
        return Outcome(rows=count, statistics={"copiedRows": str(count)})

    if any(ref == target.ref for ref in refs):
        raise BigQueryError("invalid", f"Cannot copy {target.ref} onto itself")
    return work


def _note_base(
    instance: BigQueryState,
    base: Table,
    target: row_writes.WriteTarget,
    operation: str,
    expires: str | None,
) -> None:
    """Record in a table's metadata the base table of which it is a snapshot or clone.

    `operation` is SNAPSHOT or CLONE; `expires` is when the table expires, if it does.
    """
    name, time = (
        ("snapshotDefinition", "snapshotTime")
        if operation == "SNAPSHOT"
        else ("cloneDefinition", "cloneTime")
    )
    about = {
        name: {
            "baseTableReference": base.ref.rest(),
            time: instance.now().isoformat().replace("+00:00", "Z"),
        }
    }
    until = datetime.fromisoformat(expires) if expires else None

    def change(table: Table) -> Table:
        return msgspec.structs.replace(
            table, written={**table.written, **about}, expires=until or table.expires
        )

    instance.catalog.change_table(target.ref, change)
