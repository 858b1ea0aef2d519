"""Partition decorators: `t$20240101` names the rows of one partition of `t`.

Source: [docs: bigquery/docs/managing-partitioned-table-data].
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ..data.types import SchemaField, quoted
from ..errors import invalid, not_run
from ..state.catalog import TableRef

_FORMATS = {"HOUR": "%Y%m%d%H", "DAY": "%Y%m%d", "MONTH": "%Y%m", "YEAR": "%Y"}
_DIGITS = {"HOUR": 10, "DAY": 8, "MONTH": 6, "YEAR": 4}
_NULL = "__NULL__"


def split(ref: TableRef) -> tuple[TableRef, str | None]:
    """Split a partition decorator (`$20240101`) from a table's name."""
    name, dollar, partition = ref.table.partition("$")
    return msgspec.structs.replace(ref, table=name), partition if dollar else None


def condition(
    ref: TableRef, partition: str, layout: Mapping[str, Any], fields: Sequence[SchemaField]
) -> str:
    """Return DuckDB SQL of a condition that holds for the rows of one partition of a table.

    `partition` is the text after $, `layout` the table's partitioning. Raises BigQueryError
    `invalid` or `notImplemented`.
    """
    by_time = layout.get("timePartitioning")
    if layout.get("rangePartitioning"):
        raise not_run(
            f"decorators of a table that is partitioned by whole numbers ({ref}${partition})"
        )
    if not by_time:
        raise invalid(
            "Cannot use a partition decorator for a table that is not partitioned: "
            f"{ref}${partition}"
        )
    if not by_time.get("field"):
        raise not_run(
            f"decorators of a table that is partitioned by ingestion time ({ref}${partition})"
        )
    field = next(field for field in fields if field.name.lower() == by_time["field"].lower())
    if partition == _NULL:
        return f"{quoted(field.name)} IS NULL"
    granularity = by_time["type"]
    if not re.fullmatch(rf"\d{{{_DIGITS[granularity]}}}", partition):
        raise invalid(
            f"Invalid partition {partition}: {ref} is partitioned by {granularity}, so it "
            f"needs {_DIGITS[granularity]} digits"
        )
    value = (
        f"make_timestamp(epoch_us({quoted(field.name)}))"
        if field.type == "TIMESTAMP"
        else quoted(field.name)
    )
    return f"strftime({value}, '{_FORMATS[granularity]}') = '{partition}'"
