"""Write Python's values (as decode.py reads them) as constants of DuckDB, with their types."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ...data.googlesql_values import element_of
from ...data.types import SchemaField, duckdb_element, duckdb_type, quoted


def text(value: str) -> str:
    """Return a string as a SQL literal in quotes."""
    parts = ["'" + part.replace("'", "''") + "'" for part in value.split("\0")]
    return "(" + " || chr(0) || ".join(parts) + ")" if len(parts) > 1 else parts[0]


def constant(value: Any, field: SchemaField) -> str:
    """Return a DuckDB SQL constant for a Python value of the field's type."""
    if value is None:
        return f"CAST(NULL AS {duckdb_type(field)})"
    if field.repeated:
        elements = ", ".join(constant(element, element_of(field)) for element in value)
        return f"CAST([{elements}] AS {duckdb_type(field)})"
    if field.fields:
        members = ", ".join(
            f"{quoted(child.name)} := {constant(value[child.name], child)}"
            for child in field.fields
        )
        return f"CAST(struct_pack({members}) AS {duckdb_element(field)})"
    return (
        f"CAST({_word(value, field.type)} AS {duckdb_element(field)})"
        if field.type != "BYTES"
        else f"unhex('{value.hex()}')"
    )


def _word(value: Any, kind: str) -> str:
    """Return the SQL text of a constant of the type `kind`, without a cast to it."""
    if isinstance(value, dict):  # a BIGNUMERIC or an INTERVAL
        return f"struct_pack({', '.join(f'{name} := {part!r}' for name, part in value.items())})"
    if kind in ("STRING", "JSON", "GEOGRAPHY"):
        return text(value)
    if kind == "BOOLEAN":
        return "TRUE" if value else "FALSE"
    if isinstance(value, datetime):
        return f"'{value.replace(tzinfo=None).isoformat(sep=' ')}{'+00' if value.tzinfo else ''}'"
    if kind == "NUMERIC":
        return f"'{value:f}'"
    return f"'{value}'"
