"""Extract jobs: a table written as a file in Storage."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable
from typing import Any

from ....core.call import Call
from ..data import arrow, encode
from ..data.types import SchemaField
from ..errors import BigQueryError, invalid, not_run
from ..state import warehouse
from ..state.instance import BigQueryState
from ..state.jobs import Job, Outcome
from ..tables import row_writes, tables


def prepare(call: Call, instance: BigQueryState, job: Job) -> Callable[[], Outcome]:
    """Check an extract job, and return the function that writes its table to Cloud Storage.

    Raises:
        BigQueryError: `required` or `notImplemented`.
    """
    configuration = job.configuration["extract"]
    ref = row_writes.table_ref(configuration.get("sourceTable"), "sourceTable")
    uris = configuration.get("destinationUris") or [configuration.get("destinationUri")]
    form = str(configuration.get("destinationFormat") or "CSV").upper()
    if form not in _FORMATS:
        raise not_run(f"extracting {form}")
    if len(uris) != 1 or not str(uris[0]).startswith("gs://"):
        raise BigQueryError(
            "required",
            "Required parameter is missing: destinationUris (one gs:// address)",
            "destinationUris",
        )

    def work() -> Outcome:
        from ...storage import in_process

        table = instance.catalog.table(ref)
        if not table.stored:
            raise invalid(f"Cannot extract {ref}: it is a {table.kind}")
        with instance.warehouse.session() as cursor:
            job.running.watch(cursor)
            rows = warehouse.read(cursor, tables.relation(ref), table.fields)
        if form == "PARQUET":
            rows = arrow.read_api_table(rows, table.fields)
        content = _FORMATS[form](rows, table.fields, configuration)
        if configuration.get("compression") == "GZIP" and form != "PARQUET":
            content = gzip.compress(content)
        in_process.write(call, str(uris[0]).replace("*", "000000000000"), content)
        return Outcome(
            rows=rows.num_rows,
            statistics={
                "destinationUriFileCounts": ["1"],
                "inputBytes": str(tables.measure(instance, table)[1]),
            },
        )

    return work


def _csv(rows: Any, fields: tuple[SchemaField, ...], configuration: Any) -> bytes:
    """Return a table's rows as the bytes of a CSV file."""
    if any(field.repeated or field.fields for field in fields):
        raise invalid("Operation cannot be performed on a nested schema.")
    stream = io.StringIO()
    writer = csv.writer(
        stream, delimiter=configuration.get("fieldDelimiter") or ",", lineterminator="\n"
    )
    if configuration.get("printHeader", True):
        writer.writerow([field.name for field in fields])
    for row in encode.rows(rows, fields, encode.ISO):
        writer.writerow(["" if cell["v"] is None else cell["v"] for cell in row["f"]])
    return stream.getvalue().encode()


def _json(rows: Any, fields: tuple[SchemaField, ...], _configuration: Any) -> bytes:
    """Return a table's rows as the bytes of a JSON Lines file."""
    lines = [
        json.dumps(_json_object(row, fields), ensure_ascii=False)
        for row in encode.rows(rows, fields, encode.ISO)
    ]
    return "".join(f"{line}\n" for line in lines).encode()


def _json_object(row: dict[str, Any], fields: tuple[SchemaField, ...]) -> dict[str, Any]:
    """Return a REST row as a JSON object for an extracted file, without nulls."""
    cells = zip(fields, row["f"], strict=True)
    return {
        field.name: _json_value(cell["v"], field) for field, cell in cells if cell["v"] is not None
    }


def _json_value(value: Any, field: SchemaField) -> Any:
    """Return a column's value for an extracted JSON file, a list if it repeats."""
    if field.repeated:
        return [_json_element(member["v"], field) for member in value]
    return _json_element(value, field)


def _json_element(value: Any, field: SchemaField) -> Any:
    """Return one element of a column for an extracted JSON file."""
    if field.type == "RECORD":
        return _json_object(value, field.fields)
    if field.type == "BOOLEAN":
        return value == "true"
    return (
        float(value)
        if field.type == "FLOAT" and value not in ("NaN", "Infinity", "-Infinity")
        else value
    )


def _parquet(rows: Any, _fields: tuple[SchemaField, ...], configuration: Any) -> bytes:
    """Return a table's rows as the bytes of a Parquet file."""
    import pyarrow.parquet as pq

    stream = io.BytesIO()
    codec: Any = {
        None: "none",
        "NONE": "none",
        "GZIP": "gzip",
        "SNAPPY": "snappy",
        "ZSTD": "zstd",
    }.get(configuration.get("compression"))
    if codec is None:
        raise invalid(
            f"Invalid value for compression: {configuration['compression']}", "compression"
        )
    pq.write_table(rows, stream, compression=codec)
    return stream.getvalue()


_FORMATS: dict[str, Callable[..., bytes]] = {
    "CSV": _csv,
    "NEWLINE_DELIMITED_JSON": _json,
    "PARQUET": _parquet,
}
