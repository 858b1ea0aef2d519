"""Judge the SELECT of a prediction's rows: what it reads, and the names and types it returns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import msgspec

from ...errors import Problem
from ...events.port import Column
from ...project.reading.names import column_problem, did_you_mean
from ...project.specs.description import FeatureView, ParsedProject
from ...project.specs.predictions import Prediction
from ..port import SqlProblem
from .columns import Output, column_type
from .schema import empty_database, outputs_of, relation_columns, sql_problem, unreadable_tables

if TYPE_CHECKING:
    from sqlglot import exp

AS_OF = "as_of"  # the only parameter of the SELECT: the time as of which features are joined
ADDED = ("prediction", "model", "version", "as_of_timestamp", "scored_timestamp")
_MOMENT = "TIMESTAMP '2000-01-01 00:00:00'"  # in the parameter's place, to find out types


class RowQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The columns that a prediction's SELECT returns, or the problems in it."""

    columns: tuple[Column, ...]  # empty if there are problems
    problems: tuple[Problem, ...]


def as_view(prediction: Prediction) -> FeatureView:
    """Return a prediction's SELECT as a view without an entity, for the messages on its SQL."""
    return FeatureView(name=prediction.name, entity="", path=prediction.path, sql=prediction.sql)


def row_query(description: ParsedProject, prediction: Prediction) -> RowQuery:
    """Check the SELECT of a prediction's rows, and return its columns with their types."""
    from ..sql.subset import check, parse

    view = as_view(prediction)
    relations = relation_columns(description)
    wrong = check(view.sql) or tuple(_sources(parse(view.sql), view.sql, relations))
    if wrong:
        return RowQuery(columns=(), problems=tuple(sql_problem(view, problem) for problem in wrong))
    plain = msgspec.structs.replace(view, sql=re.sub(rf"\${AS_OF}\b", _MOMENT, view.sql))
    with empty_database(relations) as database:
        outputs = outputs_of(database, plain)
    if isinstance(outputs, Problem):
        return RowQuery(columns=(), problems=(outputs,))
    wrong = tuple(_mistakes(outputs)) or _of_meaning(description, plain.sql, relations)
    if wrong:
        return RowQuery(columns=(), problems=tuple(sql_problem(view, problem) for problem in wrong))
    columns = tuple(
        Column(name=output.name, type=kind)
        for output in outputs
        if (kind := column_type(output.type)) is not None
    )
    return RowQuery(columns=columns, problems=())


def _sources(
    tree: exp.Query, sql: str, relations: Mapping[str, tuple[Column, ...]]
) -> Iterator[SqlProblem]:
    """Yield problems of relations and parameters that the SELECT may not read."""
    from sqlglot import exp

    from ..sql.names import names_of_ours, reused_aliases
    from ..sql.subset import line_of

    yield from names_of_ours(tree)
    for parameter in tree.find_all(exp.Placeholder):
        if parameter.name != AS_OF:
            yield SqlProblem(
                line=line_of(parameter),
                what=f"the parameter ${parameter.name}",
                why=f"the rows of a prediction have one, ${AS_OF}: write the value",
            )
    yield from unreadable_tables(
        tree,
        sql,
        relations,
        lambda name: (
            did_you_mean(name, sorted(relations), has="rows may be read from")
            or "declare events, objectives or tables in project.yaml"
        ),
    )
    yield from reused_aliases(
        tree, {name.lower(): [c.name for c in columns] for name, columns in relations.items()}
    )


def _of_meaning(
    description: ParsedProject, sql: str, relations: Mapping[str, tuple[Column, ...]]
) -> tuple[SqlProblem, ...]:
    """Return problems of a SELECT's parts that engines answer differently.

    Examples are casts, and window orders with ties. `relations` are the relations' columns.
    """
    from sqlglot.optimizer.scope import build_scope

    from ..sql.subset import parse
    from ..sql.typed_rules import typed_problems, types_of
    from ..sql.window_order import ambiguous_orders

    root = build_scope(parse(sql))
    if root is None:  # only what is no query has none
        return ()
    columns = {
        name.lower(): frozenset(column.name.lower() for column in declared)
        for name, declared in relations.items()
    }
    keys = [entity.key for entity in description.spec.entities.values()]
    return (
        *ambiguous_orders(root, columns, keys),
        *typed_problems(parse(sql), types_of(relations)),
    )


def _mistakes(outputs: tuple[Output, ...]) -> Iterator[SqlProblem]:
    """Yield problems of the names and types of the columns that the SELECT returns."""
    names = [output.name for output in outputs]
    for position, output in enumerate(outputs):
        if output.name in ADDED:
            yield SqlProblem(
                line=output.line,
                what=f"the column {output.name}",
                why="a batch has a column of this name of its own: AS another one",
            )
        elif problem := column_problem(output.name):
            yield SqlProblem(line=output.line, what=problem[0], why=problem[1])
        if output.name in names[:position]:
            yield SqlProblem(
                line=output.line, what=f"two columns are named {output.name}", why="rename one"
            )
        if column_type(output.type) is None:
            yield SqlProblem(
                line=output.line,
                what=f"{output.name} is of type {output.type}",
                why="CAST it to BIGINT, DOUBLE, VARCHAR, BOOLEAN or TIMESTAMP",
            )
