"""What a statement's table names stand for: tables, views, and INFORMATION_SCHEMA."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from ...data.googlesql_values import type_text
from ...data.types import Field
from ...errors import BigQueryError, invalid_query, not_run
from ...state.catalog import Table, TableRef
from ...state.instance import Place

_SCHEMA = "INFORMATION_SCHEMA"
_SUFFIX = "_TABLE_SUFFIX"


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Without a `table` a view of INFORMATION_SCHEMA; then `ref` names the project and dataset that
    it is about.

    `parts`: the tables of a wildcard table, in the order of their names; `table` is then the newest
    of them.
    """

    ref: TableRef
    fields: tuple[Field, ...]
    table: Table | None = None
    parts: tuple[Table, ...] = ()

    @property
    def pseudo(self) -> tuple[Field, ...]:
        """Columns that `*` leaves out."""
        return (Field(name=_SUFFIX, type="STRING"),) if self.parts else ()

    def suffix(self, part: Table) -> str:
        """What the * of a wildcard table stands for in one of its tables."""
        return part.ref.table.removeprefix(self.ref.table.removesuffix("*"))


def ref_of(path: Sequence[str], project: str, dataset: tuple[str, str] | None) -> TableRef:
    """A table's name as a statement writes it: `p.d`.t, d.t or t."""
    parts = [part for segment in path for part in segment.split(".")]
    if len(parts) > 3 and all("." not in segment for segment in path[:1]):
        parts = [".".join(parts[:-2]), *parts[-2:]]  # domain-scoped projects: example.com:p
    if len(parts) == 1:
        if dataset is None:
            raise invalid_query(
                f'Table "{parts[0]}" must be qualified with a dataset (e.g. dataset.table).'
            )
        return TableRef(*dataset, parts[0])
    if len(parts) == 2:
        return TableRef(project, *parts)
    if len(parts) != 3 or not all(parts):
        raise invalid_query(
            f'Invalid table name: "{".".join(path)}"; it needs project.dataset.table'
        )
    return TableRef(*parts)


def table_of(
    here: Place, path: Sequence[str], project: str, dataset: tuple[str, str] | None
) -> TableRef:
    """The same with the project's id, where the statement has its number."""
    ref = ref_of(path, project, dataset)
    return msgspec.structs.replace(ref, project=here.catalog.id_of(ref.project))


def source_of(
    here: Place,
    path: Sequence[str],
    project: str,
    *,
    dataset: tuple[str, str] | None = None,
    location: str | None = None,
    temporary: str | None = None,
) -> Source:
    """The table or view of that name. BigQueryError notFound where there is none."""
    parts = [part for segment in path for part in segment.split(".")]
    upper = [part.upper() for part in parts]
    if _SCHEMA in upper:
        return _information(here, parts, upper.index(_SCHEMA), project)
    if (
        temporary
        and len(parts) == 1
        and (table := here.catalog.find(TableRef(project, temporary, parts[0])))
    ):
        return Source(ref=table.ref, fields=table.fields, table=table)
    ref = table_of(here, path, project, dataset)
    if ref.table.endswith("*"):
        return _wildcard(here, ref, location)
    if "$" in ref.table:
        raise not_run(f"partition decorators in a query ({ref.table})")
    try:
        in_location(here, ref.project, ref.dataset, location)
        table = here.catalog.table(ref)
    except BigQueryError as error:
        raise BigQueryError(
            "notFound", f"{error.message} was not found in location {location or 'US'}"
        ) from error
    return Source(ref=ref, fields=table.fields, table=table)


def _wildcard(here: Place, ref: TableRef, location: str | None) -> Source:
    """Of `events_*`: its columns are those of the newest table [docs:
    bigquery/docs/querying-wildcard-tables]. notFound, invalidQuery.
    """
    in_location(here, ref.project, ref.dataset, location)
    prefix = ref.table.removesuffix("*")
    parts = [
        table
        for table in here.catalog.tables(ref.project, ref.dataset)
        if table.ref.table.startswith(prefix)
    ]
    if not parts:
        raise BigQueryError("notFound", f"{ref} does not match any table.")
    views = ", ".join(str(table.ref) for table in parts if not table.stored)
    if views:
        raise invalid_query(f"Views cannot be queried through prefix. Matched views are: {views}")
    newest = max(parts, key=lambda table: (table.created, table.ref.table))
    for part in parts:
        _check_part(newest, part)
    return Source(ref=ref, fields=newest.fields, table=newest, parts=tuple(parts))


def _check_part(newest: Table, part: Table) -> None:
    """InvalidQuery, where a table of a wildcard has a column of another type than the newest one."""
    types = {field.name.lower(): field for field in part.fields}
    for field in newest.fields:
        other = types.get(field.name.lower())
        if other is not None and type_text(other) != type_text(field):
            words = (
                f"Cannot read field '{field.name}' of type {type_text(other)} as {type_text(field)}"
            )
            raise invalid_query(f"{words} (table {part.ref})")
    if bool(newest.written.get("timePartitioning")) != bool(part.written.get("timePartitioning")):
        raise invalid_query(
            "Wildcard matched incompatible partitioning/clustering tables, first table "
            f"{newest.ref}, first incompatible table {part.ref}."
        )


def in_location(here: Place, project: str, name: str, location: str | None) -> None:
    """notFound, where the dataset is elsewhere."""
    dataset = here.catalog.dataset(project, name)
    if location and dataset.location.lower() != location.lower() and not name.startswith("_"):
        raise BigQueryError("notFound", f"Not found: Dataset {project}:{name}")


def _information(here: Place, parts: Sequence[str], place: int, project: str) -> Source:
    from . import information_schema as information

    if place + 2 != len(parts):
        raise invalid_query(f'Invalid table name: "{".".join(parts)}"')
    name, before = parts[-1].upper(), list(parts[:place])
    if before and before[-1].lower().startswith("region-"):
        before.pop()
        owner, dataset = (before[0] if before else project), ""
    elif name == "SCHEMATA":
        owner, dataset = (before[0] if before else project), ""
    else:
        if not before:
            raise invalid_query(f"{_SCHEMA}.{name} must be qualified with a dataset or a region")
        owner, dataset = (before[0], before[1]) if len(before) > 1 else (project, before[0])
    owner = here.catalog.id_of(owner)
    if dataset:
        here.catalog.dataset(owner, dataset)
    return Source(ref=TableRef(owner, dataset, name), fields=information.fields(name))


def referenced_tables(sources: Sequence[Source]) -> list[dict[str, Any]]:
    """ReferencedTables of a job."""
    refs = {source.ref: None for source in sources if source.table is not None}
    return [ref.rest() for ref in refs]
