"""Copy jobs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from ..data.types import Field, quoted
from ..errors import BigQueryError, invalid
from ..state.catalog import Table
from ..state.instance import Place
from ..state.jobs import Job, Outcome
from ..tables import row_writes as writing
from ..tables import tables


def prepare(here: Place, job: Job) -> Callable[[], Outcome]:
    configuration = job.configuration["copy"]
    operation = configuration.get("operationType") or "COPY"
    resources = configuration.get("sourceTables") or [configuration.get("sourceTable")]
    refs = [writing.table_ref(resource, "sourceTable") for resource in resources]
    target = writing.target_of(configuration, "WRITE_EMPTY")

    def work() -> Outcome:
        known = [here.catalog.table(ref) for ref in refs]
        for table in known:
            if table.kind not in ("TABLE", "SNAPSHOT"):
                raise invalid(f"Cannot copy {table.ref}: it is a {table.kind}")
            if table.fields != known[0].fields:
                raise invalid(
                    f"Cannot copy {table.ref}: its schema differs from that of {known[0].ref}"
                )

        def fill(cursor: Any, name: str, columns: Sequence[Field]) -> None:
            job.running.watch(cursor)
            names = ", ".join(quoted(column.name) for column in columns)
            for table in known:
                cursor.execute(
                    f"INSERT INTO {name} ({names}) SELECT {names} FROM {tables.relation(table.ref)}"
                )

        layout = {
            k: v
            for k, v in known[0].written.items()
            if k in ("timePartitioning", "clustering", "description", "labels")
        }
        goal = writing.with_layout(target, layout)
        count = writing.write(here, goal, known[0].fields, fill)
        if operation in ("SNAPSHOT", "CLONE"):
            _note_base(
                here, known[0], target, operation, configuration.get("destinationExpirationTime")
            )
        return Outcome(rows=count, statistics={"copiedRows": str(count)})

    if any(ref == target.ref for ref in refs):
        raise BigQueryError("invalid", f"Cannot copy {target.ref} onto itself")
    return work


def _note_base(
    here: Place, base: Table, target: writing.Target, operation: str, expires: str | None
) -> None:
    """Note what a snapshot or a clone was made of.

    Here it is a copy, which costs what a copy does.
    """
    name, time = (
        ("snapshotDefinition", "snapshotTime")
        if operation == "SNAPSHOT"
        else ("cloneDefinition", "cloneTime")
    )
    about = {
        name: {
            "baseTableReference": base.ref.rest(),
            time: here.now().isoformat().replace("+00:00", "Z"),
        }
    }
    until = datetime.fromisoformat(expires) if expires else None

    def change(table: Table) -> Table:
        return msgspec.structs.replace(
            table, written={**table.written, **about}, expires=until or table.expires
        )

    here.catalog.change_table(target.ref, change)
