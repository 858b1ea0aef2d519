"""Find casts that only DuckDB does in its way, by the types of the project's relations. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify

from ...events.port import Column
from ...events.tables.column_types import sql_type
from ..port import SqlProblem
from .rules import CASTS
from .subset import line_of

_TIMES = exp.DataType.TEMPORAL_TYPES
_FRACTIONS = exp.DataType.REAL_TYPES
_WHOLE = (exp.Round, exp.Floor, exp.Ceil)


def lossy_casts(tree: exp.Query, relations: Mapping[str, Sequence[Column]]) -> Iterator[SqlProblem]:
    """Yield a problem for each cast whose text or rounding differs between engines.

    `lossy_casts_of_types` says which those are. The tree is consumed.
    """
    types = {
        name: {column.name: sql_type(column.type) for column in columns}
        for name, columns in relations.items()
    }
    return lossy_casts_of_types(tree, types)


def lossy_casts_of_types(
    tree: exp.Query, relations: Mapping[str, Mapping[str, str]]
) -> Iterator[SqlProblem]:
    """Yield a problem for each cast whose text or rounding differs between engines.

    Those are casts of a timestamp or a fraction to text, and of a fraction to a whole number. An
    expression whose type cannot be told is left to the engine that runs it. The tree is consumed.

    Args:
        tree: The query.
        relations: The SQL type of each column that the query may read, by relation and column.
    """
    schema: dict[str, object] = {
        name.lower(): {column.lower(): kind for column, kind in columns.items()}
        for name, columns in relations.items()
    }
    try:
        qualified = qualify(
            tree,
            schema=schema,
            dialect="duckdb",
            validate_qualify_columns=False,
            quote_identifiers=False,
        )
        typed = annotate_types(qualified, schema=schema, dialect="duckdb")
    except SqlglotError:
        return
    for cast in typed.find_all(exp.Cast):
        value = cast.this.unnest()
        to, kind = CASTS.get(cast.args["to"].this), _type(value)
        if to == "string" and kind in _TIMES:
            yield SqlProblem(
                line=line_of(cast),
                what="a cast of a timestamp to VARCHAR",
                why="engines print it differently; keep the timestamp",
            )
        elif to == "string" and kind in _FRACTIONS:
            why = "engines print floats differently; CAST(round(x) AS BIGINT) first"
            yield SqlProblem(line=line_of(cast), what="a cast of a DOUBLE to VARCHAR", why=why)
        elif to == "int64" and kind in _FRACTIONS and not _is_whole(value):
            why = "engines round halves differently; round(), floor() or ceil() it first"
            yield SqlProblem(line=line_of(cast), what="a cast of a DOUBLE to BIGINT", why=why)


def _type(value: exp.Expr) -> exp.DType | None:
    """Return the type of a typed SQL expression, None if it cannot be told.

    sqlglot gives a sub-query that is used as a value no type: it has the type of its column.
    """
    if isinstance(value, exp.Query) and value.selects:
        return _type(value.selects[0].unalias())
    if isinstance(value, exp.Nullif):
        return _type(value.this.unnest())
    return value.type.this if value.type else None


def _is_whole(value: exp.Expr) -> bool:
    """Return whether an SQL expression gives a whole number whatever it rounds."""
    decimals = value.args.get("decimals")
    return isinstance(value, _WHOLE) and (decimals is None or decimals.name == "0")
