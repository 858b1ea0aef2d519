"""Find what engines do differently with values of some types, by the project's relations. Pure.

An expression whose type cannot be told is left to the engine that runs it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, traverse_scope

from ...events.port import Column
from ...events.tables.column_types import sql_type
from ..port import SqlProblem
from .lineage import outputs
from .rules import CASTS
from .subset import line_of

Types = Mapping[str, Mapping[str, str]]  # relation -> column -> its SQL type

_TIMES = exp.DataType.TEMPORAL_TYPES
_FRACTIONS = exp.DataType.REAL_TYPES
_TEXTS = exp.DataType.TEXT_TYPES
_WHOLE = (exp.Round, exp.Floor, exp.Ceil)
_EQUALITIES = (exp.EQ, exp.NEQ, exp.NullSafeEQ, exp.NullSafeNEQ, exp.In, exp.Nullif)
# whose last digit depends on the order of rows or on the engine's library
_INEXACT = (
    exp.Sum,
    exp.Avg,
    exp.Stddev,
    exp.StddevSamp,
    exp.Variance,
    exp.Exp,
    exp.Ln,
    exp.Pow,
)
_CONVERT = "give it that type where it comes from: project.yaml, sources/ or the table's file"
_OF_FRACTION: Mapping[str | None, tuple[str, str]] = {
    "string": (
        "a DOUBLE to VARCHAR",
        "engines print floats differently; CAST(round(x) AS BIGINT) first",
    ),
    "int64": (
        "a DOUBLE to BIGINT",
        "engines round halves differently; round(), floor() or ceil() it first",
    ),
}
_OF_TIME: Mapping[str | None, tuple[str, str]] = {
    "string": ("a timestamp to VARCHAR", "engines print it differently; keep the timestamp"),
}
_OF_TEXT: Mapping[str | None, tuple[str, str]] = {
    "float64": ("text to DOUBLE", f"nan and inf are numbers to some engines; {_CONVERT}"),
    "timestamp": ("text to TIMESTAMP", f"engines read zones and seconds differently; {_CONVERT}"),
}


def types_of(relations: Mapping[str, Sequence[Column]]) -> Types:
    """Return the SQL type of each column of relations."""
    return {
        name: {column.name: sql_type(column.type) for column in columns}
        for name, columns in relations.items()
    }


def typed_problems(tree: exp.Query, types: Types) -> Iterator[SqlProblem]:
    """Yield a problem for each part of a view's query that engines answer differently.

    These are the casts of `cast_problems`; equality of floats whose last digit is the engine's own;
    and windows that are partitioned by a float. The tree is changed, and of no use afterwards.
    """
    typed = _typed(tree, types)
    if typed is not None:
        problems = [*_casts(typed), *_equalities(typed), *_partitions(typed)]
        yield from sorted(problems, key=lambda problem: problem.line)


def cast_problems(tree: exp.Query, types: Types) -> Iterator[SqlProblem]:
    """Yield a problem for each cast whose result differs between engines.

    Those are casts of a timestamp or a fraction to text, of a fraction to a whole number, and of
    text to a float or a timestamp. The tree is changed, and of no use afterwards.
    """
    typed = _typed(tree, types)
    if typed is not None:
        yield from _casts(typed)


def _typed(tree: exp.Query, types: Types) -> exp.Expr | None:
    """Return a query's tree with qualified columns and types; None if types cannot be told."""
    schema: dict[str, object] = {
        name.lower(): {column.lower(): kind for column, kind in columns.items()}
        for name, columns in types.items()
    }
    try:
        qualified = qualify(
            tree,
            schema=schema,
            dialect="duckdb",
            validate_qualify_columns=False,
            quote_identifiers=False,
        )
        return annotate_types(qualified, schema=schema, dialect="duckdb")
    except SqlglotError:
        return None


def _casts(typed: exp.Expr) -> Iterator[SqlProblem]:
    """Yield a problem for each cast whose result differs between engines.

    `typed` is a query's tree with types.
    """
    for cast in typed.find_all(exp.Cast):
        value = cast.this.unnest()
        trouble = _of_cast(CASTS.get(cast.args["to"].this), _type(value), value)
        if trouble:
            what, why = trouble
            yield SqlProblem(line=line_of(cast), what=f"a cast of {what}", why=why)


def _of_cast(to: str | None, kind: exp.DType | None, value: exp.Expr) -> tuple[str, str] | None:
    """Return (what is cast to what, why not) if engines do this cast differently, else None.

    `to` is the target type as text; `kind` is the value's type.
    """
    if kind in _FRACTIONS:
        return None if to == "int64" and _is_whole(value) else _OF_FRACTION.get(to)
    if kind in _TIMES:
        return _OF_TIME.get(to)
    return _OF_TEXT.get(to) if kind in _TEXTS and not isinstance(value, exp.Literal) else None


def _equalities(typed: exp.Expr) -> Iterator[SqlProblem]:
    """Yield a problem for each test of equality of a float that engines compute differently.

    `typed` is a query's tree with types.
    """
    for scope in traverse_scope(typed):
        for node in scope.find_all(*_EQUALITIES, exp.Case):
            operands = [node.this, *node.expressions, node.args.get("expression")]
            if any(
                operand is not None and _type(operand) in _FRACTIONS and _inexact(operand, scope)
                for operand in operands
            ):
                yield SqlProblem(
                    line=line_of(node),
                    what="equality of a computed DOUBLE",
                    why="its last digit differs between engines; round() it first, or write "
                    "abs(a - b) < 0.001",
                )


def _inexact(value: exp.Expr, scope: Scope) -> bool:
    """Return whether a SQL expression's last digits may differ between engines."""
    if isinstance(value, _WHOLE):
        return False
    if isinstance(value, _INEXACT) and _type(value) in _FRACTIONS:
        return True
    if isinstance(value, exp.Column):
        source = scope.sources.get(value.table)
        return isinstance(source, Scope) and any(
            projection is not None and _inexact(projection, side)
            for side, projection in outputs(source, value.name.lower())
        )
    if isinstance(value, exp.Query):
        inner = next((s for s in scope.subquery_scopes if s.expression is value.unnest()), None)
        return inner is not None and any(_inexact(select, inner) for select in value.selects)
    return any(_inexact(child, scope) for child in value.iter_expressions())


def _partitions(typed: exp.Expr) -> Iterator[SqlProblem]:
    """Yield a problem for each window that is partitioned by a float.

    `typed` is a query's tree with types.
    """
    for window in typed.find_all(exp.Window):
        if any(_type(key) in _FRACTIONS for key in window.args.get("partition_by") or ()):
            yield SqlProblem(
                line=line_of(window),
                what="PARTITION BY a DOUBLE",
                why="BigQuery has none; partition by CAST(round(x) AS BIGINT), or by text",
            )


def _type(value: exp.Expr) -> exp.DType | None:
    """Return the type of a typed SQL expression; None if it is unknown.

    sqlglot gives a sub-query that is used as a value no type: it has the type of its column.
    """
    if isinstance(value, exp.Query) and value.selects:
        return _type(value.selects[0].unalias())
    if isinstance(value, exp.Nullif):
        return _type(value.this.unnest())
    return value.type.this if value.type else None


def _is_whole(value: exp.Expr) -> bool:
    """Return whether a SQL expression always gives a whole number."""
    decimals = value.args.get("decimals")
    return isinstance(value, _WHOLE) and (decimals is None or decimals.name == "0")
