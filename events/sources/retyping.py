"""Give columns of text the type that nearly all of their values have.

DuckDB makes a column text for one value that is no time. A query that computes with the times then
does not bind: it is given the times, and the rows without one are told as broken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ..validation.chunks import Broken
from ..validation.values import shown
from .column_forms import FEW
from .text_tables import TextTable, quoted, type_words

if TYPE_CHECKING:
    import duckdb

QUOTE = '"'
_ZONED = r"\d(Z| ?[+-]\d\d(:?\d\d)?)$"
_TIMES = {
    "DATE": r"^\d{4}-\d\d-\d\d$",
    "TIMESTAMP": r"^\d{4}-\d\d-\d\d[T ][\d:.]+$",
    "TIMESTAMPTZ": rf"^\d{{4}}-\d\d-\d\d[T ][\d:.]+{_ZONED}",
}
_NUMBERS = {"BIGINT": r"^[+-]?\d+$", "DOUBLE": r"^[+-]?[\d.]+(e[+-]?\d+)?$"}


def retyped(
    connection: duckdb.DuckDBPyConnection, table: TextTable, *, numbers: bool
) -> TextTable | None:
    """Convert text columns of a table to the type that nearly all of their values have.

    Rows whose value is of another type are among the result's `broken`. None if no column is
    converted. `numbers` says whether columns of numbers are converted, too.
    """
    types = _types(connection, table, _TIMES | _NUMBERS if numbers else _TIMES)
    if not types:
        return None
    rows = f"'{quoted(str(table.parquet))}'"
    casts = {name: f"TRY_CAST({name} AS {kind})" for name, kind in types.items()}
    bad = " OR ".join(f"({name} IS NOT NULL AND {cast} IS NULL)" for name, cast in casts.items())
    misfits = ", ".join(f"CASE WHEN {cast} IS NULL THEN {name} END" for name, cast in casts.items())
    failed = connection.execute(
        f"SELECT file_row_number, [{misfits}], CAST(to_json(isthmus_row) AS VARCHAR) "
        f"FROM {rows} AS isthmus_row WHERE {bad} ORDER BY file_row_number"
    ).fetchall()
    folder = table.parquet.parent / ("numbers" if numbers else "times")
    folder.mkdir()
    parquet = folder / table.parquet.name
    replaced = ", ".join(f"{cast} AS {name}" for name, cast in casts.items())
    connection.execute(
        f"COPY (SELECT * REPLACE ({replaced}) FROM {rows} WHERE NOT coalesce({bad}, FALSE)) "
        f"TO '{quoted(str(parquet))}' (FORMAT parquet, COMPRESSION lz4)"
    )
    broken = list(table.broken)
    for row, values, text in failed:
        name, value = next(
            (name, value) for name, value in zip(types, values, strict=True) if value is not None
        )
        file, line = (0, None) if table.lines is None else table.lines.position(row)
        broken.append(
            (
                file,
                Broken(
                    line=line,
                    reason=f"is not {type_words(types[name])}",
                    text=text,
                    value=f"{name.strip(QUOTE)} = {shown(value.strip(QUOTE))}",
                ),
            )
        )
    return msgspec.structs.replace(
        table,
        parquet=parquet,
        lines=table.lines and table.lines.without([row for row, *_ in failed]),
        broken=tuple(broken),
    )


def _types(
    connection: duckdb.DuckDBPyConnection, table: TextTable, patterns: dict[str, str]
) -> dict[str, str]:
    """Return the type that each text column should be converted to, by quoted column name."""
    relation = connection.sql(f"FROM '{quoted(str(table.parquet))}'")
    names = [
        '"' + name.replace('"', '""') + '"'
        for name, kind in zip(relation.columns, map(str, relation.types), strict=True)
        if kind in {"VARCHAR", "JSON"}
    ]
    types = {}
    for name in names:
        counts = ", ".join(
            f"count(*) FILTER (regexp_matches(trim(CAST({name} AS VARCHAR), '\"'), '{pattern}'))"
            for pattern in patterns.values()
        )
        count, *matches = connection.execute(
            f"SELECT count({name}), {counts} FROM '{quoted(str(table.parquet))}'"
        ).fetchall()[0]
        for kind, matched in zip(patterns, matches, strict=True):
            if count and (1 - FEW) * count <= matched < count:
                types[name] = kind
                break
    return types
