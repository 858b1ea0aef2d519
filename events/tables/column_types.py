"""The five column types that every target has: one row for each type.

A row has one field for every place that spells the type its own way. What only one cloud says
(Glue's names, Feature Store's) stands in that adapter's `column_types.py`, by the same five keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Literal

import msgspec

from ...project.specs.description import AttributeType
from ..port import ColumnType

if TYPE_CHECKING:
    import pyarrow as pa


class Spelling(msgspec.Struct, frozen=True, kw_only=True):
    attribute: AttributeType  # in project.yaml
    python: tuple[type, ...]  # of a single value
    arrow: Literal["bool", "int64", "float64", "string", "timestamp[ms]"]  # pyarrow's alias
    sql: str  # in the neutral subset: as DuckDB and Athena say it
    zero: str  # a literal of the neutral subset


COLUMN_TYPES: Mapping[ColumnType, Spelling] = {
    "bool": Spelling(attribute="bool", python=(bool,), arrow="bool", sql="BOOLEAN", zero="FALSE"),
    "int64": Spelling(attribute="int", python=(int,), arrow="int64", sql="BIGINT", zero="0"),
    "float64": Spelling(
        attribute="float", python=(int, float), arrow="float64", sql="DOUBLE", zero="0.0"
    ),
    "string": Spelling(attribute="string", python=(str,), arrow="string", sql="VARCHAR", zero="''"),
    "timestamp": Spelling(
        attribute="timestamp",
        python=(datetime,),
        arrow="timestamp[ms]",
        sql="TIMESTAMP",
        zero="TIMESTAMP '1970-01-01 00:00:00'",
    ),
}
OF_ATTRIBUTE: Mapping[AttributeType, ColumnType] = {
    spelling.attribute: name for name, spelling in COLUMN_TYPES.items()
}


def sql_type(name: ColumnType) -> str:
    """Return a column type's name in SQL: BOOLEAN, BIGINT, DOUBLE, VARCHAR or TIMESTAMP."""
    return COLUMN_TYPES[name].sql


def arrow_type(name: ColumnType) -> pa.DataType:
    """Return a column type in Arrow: bool, int64, double, string or timestamp[ms]."""
    import pyarrow as pa

    return pa.type_for_alias(COLUMN_TYPES[name].arrow)


def of_arrow(arrow: pa.DataType) -> ColumnType:
    """Return the column type of exactly this Arrow type.

    Raises:
        KeyError: there is none.
    """
    types: dict[pa.DataType, ColumnType] = {arrow_type(name): name for name in COLUMN_TYPES}
    return types[arrow]
