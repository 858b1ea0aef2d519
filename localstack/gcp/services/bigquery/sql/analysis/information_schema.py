"""INFORMATION_SCHEMA: SCHEMATA, TABLES, VIEWS and COLUMNS.

They have the columns that say something here [docs: information-schema-intro].
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ...data.googlesql_values import type_text
from ...data.types import SchemaField
from ...errors import not_run
from ...state.catalog import Table, TableRef
from ...state.instance import BigQueryState


def _fields(text: str) -> tuple[SchemaField, ...]:
    """Parse a list of columns such as `name created:TIMESTAMP`; STRING is the default type."""
    parts = (word.partition(":") for word in text.split())
    return tuple(SchemaField(name=name, type=kind or "STRING") for name, _, kind in parts)


_VIEWS = {
    "SCHEMATA": _fields(
        "catalog_name schema_name schema_owner creation_time:TIMESTAMP "
        "last_modified_time:TIMESTAMP location"
    ),
    "TABLES": _fields(
        "table_catalog table_schema table_name table_type is_insertable_into is_typed "
        "creation_time:TIMESTAMP"
    ),
    "VIEWS": _fields(
        "table_catalog table_schema table_name view_definition check_option use_standard_sql"
    ),
    "COLUMNS": _fields(
        "table_catalog table_schema table_name column_name ordinal_position:INTEGER "
        "is_nullable data_type is_hidden is_system_defined "
        "is_partitioning_column clustering_ordinal_position:INTEGER"
    ),
}


def fields(name: str) -> tuple[SchemaField, ...]:
    """Return the columns of the INFORMATION_SCHEMA view of this name."""
    if name not in _VIEWS:
        raise not_run(f"INFORMATION_SCHEMA.{name}")
    return _VIEWS[name]


def rows(instance: BigQueryState, ref: TableRef) -> list[dict[str, Any]]:
    """Return the rows of the INFORMATION_SCHEMA view that `ref` names, as dictionaries."""
    values = _ROWS[ref.table](instance, ref)
    names = [field.name for field in _VIEWS[ref.table]]
    return [dict(zip(names, row, strict=True)) for row in values]


def _tables(instance: BigQueryState, ref: TableRef) -> Iterator[Table]:
    """Yield the tables of the dataset in `ref`, or of all the project's visible datasets."""
    datasets = (
        [ref.dataset]
        if ref.dataset
        else [d.id for d in instance.catalog.datasets(ref.project) if not d.id.startswith("_")]
    )
    for dataset in datasets:
        yield from instance.catalog.tables(ref.project, dataset)


def _schemata(instance: BigQueryState, ref: TableRef) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of the view INFORMATION_SCHEMA.SCHEMATA (datasets) as tuples."""
    for dataset in instance.catalog.datasets(ref.project):
        if not dataset.id.startswith("_"):
            yield ref.project, dataset.id, None, dataset.created, dataset.modified, dataset.location


def _table_rows(instance: BigQueryState, ref: TableRef) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of the view INFORMATION_SCHEMA.TABLES as tuples."""
    for table in _tables(instance, ref):
        base = table.kind == "TABLE"
        name = "BASE TABLE" if base else table.kind
        yield (
            ref.project,
            table.ref.dataset,
            table.ref.table,
            name,
            "YES" if base else "NO",
            "NO",
            table.created,
        )


def _views(instance: BigQueryState, ref: TableRef) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of the view INFORMATION_SCHEMA.VIEWS as tuples."""
    for table in _tables(instance, ref):
        if table.kind == "VIEW":
            yield (
                ref.project,
                table.ref.dataset,
                table.ref.table,
                table.written["view"]["query"],
                None,
                "YES",
            )


def _columns(instance: BigQueryState, ref: TableRef) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of the view INFORMATION_SCHEMA.COLUMNS as tuples."""
    for table in _tables(instance, ref):
        clustered = [
            name.lower() for name in (table.written.get("clustering") or {}).get("fields") or ()
        ]
        partitioned = (table.written.get("timePartitioning") or {}).get("field", "").lower()
        for number, field in enumerate(table.fields, 1):
            name = field.name.lower()
            yield (
                ref.project, table.ref.dataset, table.ref.table, field.name, number,
                "NO" if field.mode == "REQUIRED" else "YES", type_text(field).replace("`", ""),
                "NO", "NO", "YES" if name == partitioned else "NO",
                clustered.index(name) + 1 if name in clustered else None,
            )  # fmt: skip


_ROWS: dict[str, Callable[[BigQueryState, TableRef], Iterator[tuple[Any, ...]]]] = {
    "SCHEMATA": _schemata,
    "TABLES": _table_rows,
    "VIEWS": _views,
    "COLUMNS": _columns,
}
