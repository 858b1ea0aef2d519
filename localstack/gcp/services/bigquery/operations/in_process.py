"""BigQuery for the stack's other services, without HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ....core.call import Call
from ..data import arrow, decode
from ..data.types import SchemaField
from ..errors import BigQueryError, invalid
from ..sql.analysis import analyzer
from ..sql.analysis.parameters import Parameter
from ..sql.execution import reference_evaluation
from ..state.catalog import TableRef
from ..state.instance import BigQueryState
from ..state.job_work import RunningJob
from ..tables import datasets, tables
from . import rows
from .instances import instance_of
from .routes import gcp_error

if TYPE_CHECKING:
    import pyarrow as pa


def query(
    call: Call, project: str, sql: str, parameters: Mapping[str, Any] | None = None
) -> pa.Table:
    """Return a query's rows, in the Arrow types of the Storage Read API.

    Args:
        call: The request that asks.
        project: The project whose tables need no project.
        sql: The query.
        parameters: Named ones, with Python values.

    Raises:
        GcpError: What BigQuery refuses, and a statement that gives no rows.
    """
    instance = instance_of(call)
    try:
        bound = tuple(
            Parameter(name=name.lower(), field=_field(name, value), value=value)
            for name, value in (parameters or {}).items()
        )
        meaning = analyzer.analyze(
            instance, analyzer.AnalysisRequest(sql=sql, project=project, parameters=bound)
        )
        if meaning.statement.kind != "query_stmt":
            raise invalid("only a query gives rows")
        fields = [field for _, field in meaning.columns]
        return arrow.read_api_table(
            reference_evaluation.table(instance, meaning, fields, RunningJob()), fields
        )
    except BigQueryError as error:
        raise gcp_error(error) from error


def append_rows(
    call: Call, table: str, values: Sequence[Mapping[str, Any]], *, ignore_unknown: bool = False
) -> None:
    """Append rows of JSON values to the table `project.dataset.table`, all of them or none.

    With `ignore_unknown` other members are skipped. Raises GcpError NOT_FOUND, or INVALID_ARGUMENT
    with the field.
    """
    instance = instance_of(call)
    try:
        destination = instance.catalog.table(_ref(instance, table))
        rows.append(
            instance,
            destination,
            [
                decode.record(value, destination.fields, ignore_unknown=ignore_unknown)
                for value in values
            ],
        )
    except decode.WrongValue as error:
        raise gcp_error(invalid(str(error))) from error
    except BigQueryError as error:
        raise gcp_error(error) from error


def table_schema(call: Call, table: str) -> tuple[SchemaField, ...]:
    """Return a BigQuery table's columns in their order; raise GcpError NOT_FOUND without table."""
    try:
        instance = instance_of(call)
        return instance.catalog.table(_ref(instance, table)).fields
    except BigQueryError as error:
        raise gcp_error(error) from error


def content_version(call: Call) -> int:
    """Return a hash that changes with every change of any BigQuery table.

    A continuously synced feature view tells by it whether its source must be read again.
    """
    return hash(
        frozenset((table.ref, table.etag) for table in instance_of(call).catalog.every_table())
    )


def create_table(
    call: Call, table: str, fields: Sequence[SchemaField], *, partition_by: str | None = None
) -> None:
    """Create a BigQuery table, and its dataset, if they do not exist.

    `partition_by` is the column by whose days the table is partitioned. Raises GcpError for names
    or columns that BigQuery refuses.
    """
    instance = instance_of(call)
    ref = _ref(instance, table)
    try:
        with instance.catalog.lock:
            if not any(
                dataset.id == ref.dataset for dataset in instance.catalog.datasets(ref.project)
            ):
                datasets.create(instance, ref.project, ref.dataset, {})
            if instance.catalog.find(ref) is None:
                layout = (
                    {"timePartitioning": {"type": "DAY", "field": partition_by}}
                    if partition_by
                    else {}
                )
                tables.create(instance, ref, layout, fields)
    except BigQueryError as error:
        raise gcp_error(error) from error


def table_parts(table: str) -> tuple[str, str, str]:
    """Split `bq://project.dataset.table`, with or without `bq://`, into its three parts.

    Raises GcpError INVALID_ARGUMENT for any other text.
    """
    try:
        ref = _table_ref(table)
    except BigQueryError as error:
        raise gcp_error(error) from error
    return ref.project, ref.dataset, ref.table


def _ref(instance: BigQueryState, table: str) -> TableRef:
    """Return the reference of `project.dataset.table`, with a project's number as its id."""
    ref = _table_ref(table)
    return TableRef(instance.catalog.id_of(ref.project), ref.dataset, ref.table)


def _table_ref(table: str) -> TableRef:
    """Return the reference of a table whose address may begin with `bq://`."""
    names = (
        table.removeprefix("bq://")
        .replace(":", ".", 1 if table.count(".") == 1 else 0)
        .rsplit(".", 2)
    )
    if len(names) != 3 or not all(names):
        raise invalid(f"Invalid table name: {table!r}; it is project.dataset.table")
    return TableRef(*names)


_TYPES = {
    bool: "BOOLEAN",
    int: "INTEGER",
    float: "FLOAT",
    str: "STRING",
    bytes: "BYTES",
    Decimal: "NUMERIC",
    date: "DATE",
    time: "TIME",
}


def _field(name: str, value: Any) -> SchemaField:
    """Return the BigQuery column for a query parameter, typed by its Python value."""
    if isinstance(value, list):
        element = _field(name, value[0]) if value else SchemaField(name=name, type="STRING")
        return SchemaField(name=name, type=element.type, mode="REPEATED")
    if isinstance(value, datetime):
        return SchemaField(name=name, type="TIMESTAMP" if value.tzinfo else "DATETIME")
    if type(value) not in _TYPES:
        raise invalid(f"a query parameter of the type {type(value).__name__} is not known", name)
    return SchemaField(name=name, type=_TYPES[type(value)])
