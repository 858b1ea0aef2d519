"""BigQuery for the stack's other services, without HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ....core.call import Call
from ..data import arrow, decode
from ..data.types import Field
from ..errors import BigQueryError, invalid
from ..sql.analysis import analyzer as analysis
from ..sql.analysis.parameters import Parameter
from ..sql.execution import reference_evaluation as evaluation
from ..state.catalog import TableRef
from ..state.instance import Place, gcp_error
from ..state.job_work import Running
from ..tables import tables
from . import datasets, rows
from .instances import place

if TYPE_CHECKING:
    import pyarrow as pa


def query(
    call: Call, project: str, sql: str, parameters: Mapping[str, Any] | None = None
) -> pa.Table:
    """A query's rows: its columns by their names, in the Arrow types of the Storage Read API.
    `parameters` are named ones, with Python values. GcpError for what BigQuery refuses, and for a
    statement that gives no rows.
    """
    here = place(call)
    try:
        bound = tuple(
            Parameter(name=name.lower(), field=_field(name, value), value=value)
            for name, value in (parameters or {}).items()
        )
        meaning = analysis.analyze(
            here, analysis.Question(sql=sql, project=project, parameters=bound)
        )
        if meaning.statement.kind != "query_stmt":
            raise invalid("only a query gives rows")
        fields = [field for _, field in meaning.columns]
        return arrow.read_api_table(evaluation.table(here, meaning, fields, Running()), fields)
    except BigQueryError as error:
        raise gcp_error(error) from error


def append_rows(
    call: Call, table: str, values: Sequence[Mapping[str, Any]], *, ignore_unknown: bool = False
) -> None:
    """Rows of JSON values into `project.dataset.table`, all of them or none.

    GcpError: NOT_FOUND, or INVALID_ARGUMENT with the field.
    """
    here = place(call)
    try:
        known = here.catalog.table(_ref(here, table))
        rows.append(
            here,
            known,
            [decode.record(value, known.fields, ignore_unknown=ignore_unknown) for value in values],
        )
    except decode.Wrong as error:
        raise gcp_error(invalid(str(error))) from error
    except BigQueryError as error:
        raise gcp_error(error) from error


def table_schema(call: Call, table: str) -> tuple[Field, ...]:
    """A table's columns in its order. GcpError NOT_FOUND."""
    try:
        here = place(call)
        return here.catalog.table(_ref(here, table)).fields
    except BigQueryError as error:
        raise gcp_error(error) from error


def version(call: Call) -> int:
    """Another one after every change of any table."""
    return hash(frozenset((table.ref, table.etag) for table in place(call).catalog.every_table()))


def create_table(
    call: Call, table: str, fields: Sequence[Field], *, partition_by: str | None = None
) -> None:
    """Dataset and table, where they are not there yet. GcpError."""
    here = place(call)
    ref = _ref(here, table)
    try:
        with here.catalog.lock:
            if not any(dataset.id == ref.dataset for dataset in here.catalog.datasets(ref.project)):
                datasets.create(here, ref.project, ref.dataset, {})
            if here.catalog.find(ref) is None:
                layout = (
                    {"timePartitioning": {"type": "DAY", "field": partition_by}}
                    if partition_by
                    else {}
                )
                tables.create(here, ref, layout, fields)
    except BigQueryError as error:
        raise gcp_error(error) from error


def parts(table: str) -> tuple[str, str, str]:
    """Project, dataset and table of bq://project.dataset.table, or without bq://. GcpError
    INVALID_ARGUMENT.
    """
    try:
        ref = _table_ref(table)
    except BigQueryError as error:
        raise gcp_error(error) from error
    return ref.project, ref.dataset, ref.table


def _ref(here: Place, table: str) -> TableRef:
    """The same with the project's id, where its number is named."""
    ref = _table_ref(table)
    return TableRef(here.catalog.id_of(ref.project), ref.dataset, ref.table)


def _table_ref(table: str) -> TableRef:
    """Also bq://project.dataset.table."""
    parts = (
        table.removeprefix("bq://")
        .replace(":", ".", 1 if table.count(".") == 1 else 0)
        .rsplit(".", 2)
    )
    if len(parts) != 3 or not all(parts):
        raise invalid(f"Invalid table name: {table!r}; it is project.dataset.table")
    return TableRef(*parts)


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


def _field(name: str, value: Any) -> Field:
    if isinstance(value, list):
        element = _field(name, value[0]) if value else Field(name=name, type="STRING")
        return Field(name=name, type=element.type, mode="REPEATED")
    if isinstance(value, datetime):
        return Field(name=name, type="TIMESTAMP" if value.tzinfo else "DATETIME")
    if type(value) not in _TYPES:
        raise invalid(f"a query parameter of the type {type(value).__name__} is not known", name)
    return Field(name=name, type=_TYPES[type(value)])
