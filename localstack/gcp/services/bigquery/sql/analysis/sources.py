"""Sources: the tables, views and INFORMATION_SCHEMA that a statement's table names stand for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from ...data.googlesql_values import type_text
from ...data.types import SchemaField
from ...errors import BigQueryError, invalid_query, not_run
from ...state.catalog import Table, TableRef
from ...state.instance import BigQueryState

_SCHEMA = "INFORMATION_SCHEMA"
_SUFFIX = "_TABLE_SUFFIX"


class TableSource(msgspec.Struct, frozen=True, kw_only=True):
    """A table name's meaning.

    Without a `table` it is a view of INFORMATION_SCHEMA; then `ref` names the project and dataset
    that it is about. `parts` are the tables of a wildcard table, in the order of their names;
    `table` is then the newest of them.
    """

    ref: TableRef
    fields: tuple[SchemaField, ...]
    table: Table | None = None
    parts: tuple[Table, ...] = ()

    @property
    def pseudo(self) -> tuple[SchemaField, ...]:
        """The pseudo-columns (_TABLE_SUFFIX), which `SELECT *` leaves out."""
        return (SchemaField(name=_SUFFIX, type="STRING"),) if self.parts else ()

    def suffix(self, part: Table) -> str:
        """Return the part of a table's name that stands for the * of this wildcard."""
        return part.ref.table.removeprefix(self.ref.table.removesuffix("*"))


def ref_of(path: Sequence[str], project: str, dataset: tuple[str, str] | None) -> TableRef:
    """Return the table reference of a name in SQL (`p.d`.t, d.t or t), by the default dataset."""
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
    instance: BigQueryState, path: Sequence[str], project: str, dataset: tuple[str, str] | None
) -> TableRef:
    """Return the table reference of a name in SQL; a project's number becomes its id.

    `dataset` is the default dataset's project and id, for a table's name alone.
    """
    ref = ref_of(path, project, dataset)
    return msgspec.structs.replace(ref, project=instance.catalog.id_of(ref.project))


def source_of(
    instance: BigQueryState,
    path: Sequence[str],
    project: str,
    *,
    dataset: tuple[str, str] | None = None,
    location: str | None = None,
    temporary: str | None = None,
) -> TableSource:
    """Return the table, view, wildcard or INFORMATION_SCHEMA view that a path in SQL means.

    `dataset` is the default dataset (project, id), `temporary` that of a session's tables, and
    `location` where the job runs. Raises BigQueryError `notFound`.
    """
    parts = [part for segment in path for part in segment.split(".")]
    upper = [part.upper() for part in parts]
    if _SCHEMA in upper:
        return _information_view(instance, parts, upper.index(_SCHEMA), project)
    if (
        temporary
        and len(parts) == 1
        and (table := instance.catalog.find(TableRef(project, temporary, parts[0])))
    ):
        return TableSource(ref=table.ref, fields=table.fields, table=table)
    ref = table_of(instance, path, project, dataset)
    if ref.table.endswith("*"):
        return _wildcard(instance, ref, location)
    if "$" in ref.table:
        raise not_run(f"partition decorators in a query ({ref.table})")
    try:
        check_location(instance, ref.project, ref.dataset, location)
        table = instance.catalog.table(ref)
    except BigQueryError as error:
        raise BigQueryError(
            "notFound", f"{error.message} was not found in location {location or 'US'}"
        ) from error
    return TableSource(ref=ref, fields=table.fields, table=table)


def _wildcard(instance: BigQueryState, ref: TableRef, location: str | None) -> TableSource:
    """Return the tables that a wildcard such as `events_*` matches, as one source.

    `location` is where the job runs. Source: [docs: bigquery/docs/querying-wildcard-tables]. Raises
    BigQueryError `notFound` or `invalidQuery`.
    """
    check_location(instance, ref.project, ref.dataset, location)
    prefix = ref.table.removesuffix("*")
    parts = [
        table
        for table in instance.catalog.tables(ref.project, ref.dataset)
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
    return TableSource(ref=ref, fields=newest.fields, table=newest, parts=tuple(parts))


def _check_part(newest: Table, part: Table) -> None:
    """Raise `invalidQuery` if a wildcard's table `part` does not fit its newest table.

    Columns of one name must have one type, and all or none must be partitioned.
    """
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


def check_location(instance: BigQueryState, project: str, name: str, location: str | None) -> None:
    """Raise `notFound` if the dataset `name` is not in `location`; None permits every location."""
    dataset = instance.catalog.dataset(project, name)
    if location and dataset.location.lower() != location.lower() and not name.startswith("_"):
        raise BigQueryError("notFound", f"Not found: Dataset {project}:{name}")


def _information_view(
    instance: BigQueryState, parts: Sequence[str], place: int, project: str
) -> TableSource:
    """Return a view of INFORMATION_SCHEMA as a source of rows.

    `parts` is the name, and `place` the position of the word INFORMATION_SCHEMA in it.
    """
    from . import information_schema

    if place + 2 != len(parts):
        raise invalid_query(f'Invalid table name: "{".".join(parts)}"')
    name, qualifiers = parts[-1].upper(), list(parts[:place])
    if qualifiers and qualifiers[-1].lower().startswith("region-"):
        qualifiers.pop()
        owner, dataset = (qualifiers[0] if qualifiers else project), ""
    elif name == "SCHEMATA":
        owner, dataset = (qualifiers[0] if qualifiers else project), ""
    else:
        if not qualifiers:
            raise invalid_query(f"{_SCHEMA}.{name} must be qualified with a dataset or a region")
        owner, dataset = (
            (qualifiers[0], qualifiers[1]) if len(qualifiers) > 1 else (project, qualifiers[0])
        )
    owner = instance.catalog.id_of(owner)
    if dataset:
        instance.catalog.dataset(owner, dataset)
    return TableSource(ref=TableRef(owner, dataset, name), fields=information_schema.fields(name))


def referenced_tables(sources: Sequence[TableSource]) -> list[dict[str, Any]]:
    """Return the tables that a query reads as the REST list `referencedTables`."""
    refs = {source.ref: None for source in sources if source.table is not None}
    return [ref.rest() for ref in refs]
