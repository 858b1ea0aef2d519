"""Copy jobs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from . import tables, writing
from .errors import BigQueryError, invalid, not_run
from .job import Job, Outcome
from .place import Place
from .types import Field, quoted


def prepare(here: Place, job: Job) -> Callable[[], Outcome]:
    configuration = job.configuration["copy"]
    if configuration.get("operationType") not in (None, "COPY", "OPERATION_TYPE_UNSPECIFIED"):
        raise not_run(f"copy jobs of the type {configuration['operationType']}")
    resources = configuration.get("sourceTables") or [configuration.get("sourceTable")]
    refs = [writing.table_ref(resource, "sourceTable") for resource in resources]
    target = writing.target_of(configuration, "WRITE_EMPTY")

    def work() -> Outcome:
        known = [here.catalog.table(ref) for ref in refs]
        for table in known:
            if table.kind != "TABLE":
                raise invalid(f"Cannot copy {table.ref}: it is a {table.kind}")
            if table.fields != known[0].fields:
                raise invalid(f"Cannot copy {table.ref}: its schema differs from that of {known[0].ref}")

        def fill(cursor: Any, name: str, columns: Sequence[Field]) -> None:
            job.running.watch(cursor)
            names = ", ".join(quoted(column.name) for column in columns)
            for table in known:
                cursor.execute(f"INSERT INTO {name} ({names}) SELECT {names} FROM {tables.relation(table.ref)}")

        layout = {k: v for k, v in known[0].written.items() if k in ("timePartitioning", "clustering", "description", "labels")}
        goal = writing.with_layout(target, layout)
        count = writing.write(here, goal, known[0].fields, fill)
        return Outcome(rows=count, statistics={"copiedRows": str(count)})

    if any(ref == target.ref for ref in refs):
        raise BigQueryError("invalid", f"Cannot copy {target.ref} onto itself")
    return work
