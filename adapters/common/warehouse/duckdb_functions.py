"""DuckDB's functions where neutral SQL means something else, as macros of the same names.

What is no finite number is NULL on every target: engines compare and sort NaN differently, and
BigQuery fails where DuckDB gives infinity. lower() and upper() change the letters of letters.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .letters import TO_LOWER, TO_UPPER, both_sides

if TYPE_CHECKING:
    import duckdb

LARGEST_EXPONENT = "709.782712893384"  # ln of the largest float

_POWER = "CASE WHEN isfinite(system.main.pow(x, y)) THEN system.main.pow(x, y) END"
# The letters in which DuckDB's lower() or upper() and letters.py may differ. translate() for every
# text would take a hundred times longer.
_OTHERS = (
    r"[İß\x{180}-\x{29e}\x{345}\x{370}-\x{37f}\x{3cf}-\x{3ff}\x{460}-\x{58f}\x{10a0}-\x{10ff}"
    r"\x{13a0}-\x{13ff}\x{1c80}-\x{1cbf}\x{1d79}-\x{1d8e}\x{1e00}-\x{1fff}\x{2126}-\x{2184}"
    r"\x{24b6}-\x{24e9}\x{2c00}-\x{2d2f}\x{a640}-\x{a69b}\x{a722}-\x{a7f6}\x{ab53}-\x{abbf}"
    r"\x{ff21}-\x{ff5a}\x{10400}-\x{1e943}]"
)


def _in_case(function: str, mapping: dict[str, str]) -> str:
    """Return the SQL of a DuckDB macro for lower() or upper() that changes letters by a mapping.

    `function` is DuckDB's own.
    """
    old, new = both_sides(mapping)
    return (
        f"CASE WHEN regexp_matches(x, '{_OTHERS}') THEN translate(x, '{old}', '{new}') "
        f"ELSE system.main.{function}(x) END"
    )


_LOWER, _UPPER = _in_case("lower", TO_LOWER), _in_case("upper", TO_UPPER)
_MACROS = {
    '"/"(x, y)': 'system.main."/"(x, CASE WHEN y <> 0 THEN y END)',
    "ln(x)": "system.main.ln(CASE WHEN x > 0 THEN x END)",
    "sqrt(x)": "system.main.sqrt(CASE WHEN x >= 0 THEN x END)",
    "exp(x)": f"system.main.exp(CASE WHEN x <= {LARGEST_EXPONENT} THEN x END)",
    **dict.fromkeys(("power(x, y)", "pow(x, y)", '"^"(x, y)', '"**"(x, y)'), _POWER),
    **dict.fromkeys(("lower(x)", "lcase(x)"), _LOWER),
    **dict.fromkeys(("upper(x)", "ucase(x)"), _UPPER),
}


def define(connection: duckdb.DuckDBPyConnection) -> None:
    """Add the functions of the SQL that all targets share to a DuckDB database."""
    for call, body in _MACROS.items():
        connection.execute(f"CREATE MACRO {call} AS {body}")


def use_duckdbs_own(cursor: duckdb.DuckDBPyConnection) -> None:
    """Make a cursor call DuckDB's functions where Isthmus has macros of the same names.

    The macros compute as the clouds do. The errors of DuckDB's own functions name the position in
    the query, those of a macro do not.
    """
    cursor.execute("SET search_path = 'system.main,memory.main'")
