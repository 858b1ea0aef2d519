"""Change some members of a record (SET a.b = 1)."""

from __future__ import annotations

from collections.abc import Sequence

from ...data.types import SchemaField, duckdb_element, quoted
from ...errors import invalid_query, not_run
from ..language import literals

Change = tuple[
    tuple[int, ...], str
]  # the members' places on the way down, and SQL of the new value


def new_value(sql: str, field: SchemaField, changes: Sequence[Change]) -> str:
    """Return DuckDB SQL of a column's new value after changes to it or to its record's members.

    `sql` is the old value.
    """
    whole = [value for path, value in changes if not path]
    if whole:
        if len(changes) > 1:
            raise invalid_query(f"Update item {field.name} assigned more than once")
        return whole[0]
    if field.repeated:
        raise not_run("UPDATE within an array of records")
    members = []
    for place, child in enumerate(field.fields):
        below = [(path[1:], value) for path, value in changes if path[0] == place]
        current = f"struct_extract({sql}, {literals.text(child.name)})"
        members.append(
            f"{quoted(child.name)} := {new_value(current, child, below) if below else current}"
        )
    return f"CAST(struct_pack({', '.join(members)}) AS {duckdb_element(field)})"
