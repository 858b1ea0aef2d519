"""Read the number that an outcome has: a grade, seconds, an amount."""

from __future__ import annotations

import msgspec

from ...errors import Invalid
from ...project.reading.names import column_problem
from .log_columns import Column, Log
from .role_words import attribute_name

_NAME = "value"  # of the attribute, where the column's name can be none


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """A column of numbers as the attribute of an outcome event."""

    name: str
    column: Column
    condition: str  # SQL: a row has one
    low: float
    high: float
    threshold: str  # the value that about half of the rows reach, exactly

    @property
    def type(self) -> str:
        """The attribute's type."""
        return "int" if self.column.type == "int" else "float"

    @property
    def bound(self) -> str:
        """The attribute's bound in project.yaml, as YAML behind its type; "" if it has none."""
        return ", min: 0" if self.low >= 0 else ""

    def sql(self, table: str = "") -> str:
        """Return the SQL that reads the number; `table` is written before the column's name."""
        name = f"{table}.{self.column.sql}" if table else self.column.sql
        if "DECIMAL" in self.column.kind:
            return f"CAST({name} AS DOUBLE)"
        return f"CAST({name} AS BIGINT)" if "HUGEINT" in self.column.kind else name


def value_of(log: Log, column: Column) -> Value:
    """Return a log's column of numbers as the attribute of an outcome event.

    NaN and infinity are no values, as null is none.

    Raises:
        Invalid: the column has no value, or all rows have the same one.
    """
    sql, condition = column.sql, f"{column.sql} IS NOT NULL"
    if column.type == "float" and "DECIMAL" not in column.kind:
        (endless,) = log.ask(f"count(*) FILTER (WHERE NOT isfinite({sql}))")
        condition = f"isfinite({sql})" if endless else condition
    count, low, high = log.ask(
        f"count(*) FILTER (WHERE {condition}), min({sql}) FILTER (WHERE {condition}), "
        f"max({sql}) FILTER (WHERE {condition})"
    )
    if not count or (low == high and count == log.rows):
        has = f"every row of {log.path.name} has {low:g}" if count else "it has no number"
        raise Invalid(
            f"outcome {column.source}: {has}: there is nothing to learn from",
            remedy="name another column, or a condition: --as outcome=COLUMN, --as "
            "'outcome=stars >= 4'",
        )
    ranked = (
        f"SELECT {sql} AS grade, cume_dist() OVER (ORDER BY {sql} DESC) AS share "
        f"FROM {log.table} WHERE {condition}"
    )
    (threshold,) = log.query(f"SELECT arg_min(grade, abs(share - 0.5)) FROM ({ranked})")
    name = attribute_name(column.source, "outcome")
    return Value(
        name=name if name and column_problem(name) is None else _NAME,
        column=column,
        condition=condition,
        low=float(low),
        high=float(high),
        threshold=str(int(threshold) if threshold == int(threshold) else threshold),
    )
