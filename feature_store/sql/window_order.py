"""Find windows whose answer depends on the order of rows that are alike. Pure.

They need an ORDER BY that ends in a unique column.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from sqlglot import exp
from sqlglot.optimizer.scope import Scope

from ..port import SqlProblem
from .forms import AGGREGATES
from .lineage import PLAIN, RelationColumns, lineage
from .rules import definition
from .subset import line_of

_BY_POSITION = (
    exp.RowNumber,
    exp.Lag,
    exp.Lead,
    exp.FirstValue,
    exp.LastValue,
)  # rank and dense_rank give ties one answer


def ambiguous_orders(
    root: Scope, relations: RelationColumns, keys: Collection[str]
) -> tuple[SqlProblem, ...]:
    """Return a problem for each window that counts rows over an order with ties.

    Engines break ties differently. Windows that count rows are ROWS frames, row_number, lag, lead,
    first_value and last_value. An order is unique with event_id in it, with every key of the GROUP
    BY or DISTINCT below it (PARTITION BY counts), or, of a static table, with an entity's key
    (`keys`). A frame of the whole partition needs no order.
    """
    problems = (
        problem for scope in root.traverse() for problem in _of_select(scope, relations, keys)
    )
    return tuple(sorted(set(problems), key=lambda problem: problem.line))


def _of_select(
    scope: Scope, relations: RelationColumns, keys: Collection[str]
) -> Iterator[SqlProblem]:
    """Yield a problem for each window of a SELECT whose order leaves ties.

    Engines break ties differently. `relations` has the columns of known relations. `keys` are the
    columns of static tables' entities, which are unique.
    """
    for node in scope.find_all(exp.Window):
        window = None if node.arg_key == "windows" else definition(node)
        if window is None or not (
            isinstance(node.this, _BY_POSITION) or _counts_rows(window, node)
        ):
            continue
        order = (
            [term.this for term in window.args["order"].expressions]
            if window.args.get("order")
            else []
        )
        if _has_unique_order(order, window.args.get("partition_by") or [], scope, relations, keys):
            continue
        what = (
            f"{node.this.sql_name().lower()}()" if isinstance(node.this, _BY_POSITION) else "ROWS"
        )
        example = ", ".join([*(term.sql(dialect="duckdb") for term in order), "event_id"])
        yield SqlProblem(
            line=line_of(node),
            what=f"{what} over an order that leaves ties",
            why="rows of one time would come in any order, each time another: end it in a "
            f"unique column, ORDER BY {example}",
        )


def _counts_rows(window: exp.Window, used: exp.Window) -> bool:
    """Return whether a window's result depends on the order of rows within ties.

    `used` is the window's definition. It does not where an aggregate takes the whole partition.
    """
    spec = window.args.get("spec")
    if spec is None or str(spec.args.get("kind")).upper() != "ROWS":
        return False
    whole = all(str(spec.args.get(bound)).upper() == "UNBOUNDED" for bound in ("start", "end"))
    return not (whole and type(used.this) in AGGREGATES)


def _has_unique_order(
    order: list[exp.Expr],
    partition: list[exp.Expr],
    scope: Scope,
    relations: RelationColumns,
    keys: Collection[str],
) -> bool:  # fmt: skip
    """Return whether the ORDER BY of a window leaves no ties between rows."""
    if any(_is_event_id(term, scope, relations) for term in order):
        return True
    columns = {term.sql(dialect="duckdb").lower() for term in (*order, *partition)}
    if (grouped := _grouped(scope.expression)) is not None:
        return grouped <= columns
    sources = [source for _, source in scope.selected_sources.values()]
    if len(sources) != 1:
        return False
    names = {term.name.lower() for term in (*order, *partition) if isinstance(term, exp.Column)}
    if isinstance(sources[0], exp.Table):
        return "event_id" not in relations.get(sources[0].name.lower(), ("event_id",)) and bool(
            names & set(keys)
        )
    below = _grouped_outputs(sources[0].expression)
    return below is not None and below <= names


def _is_event_id(term: exp.Expr, scope: Scope, relations: RelationColumns) -> bool:
    """Return whether an ORDER BY term is the event id, which no two rows share."""
    origin = lineage(term, scope, relations)
    return (
        bool(origin.leaves)
        and {leaf.column for leaf in origin.leaves} == {"event_id"}
        and origin.nodes <= PLAIN | {exp.Min, exp.Max}
    )


def _grouped(select: exp.Expr) -> set[str] | None:
    """Return the expressions that a SELECT groups by, as SQL texts.

    An empty set when the SELECT is one group, None when it has no groups.
    """
    group = select.args.get("group")
    if group is None:
        return None
    selects = select.selects if isinstance(select, exp.Select) else []
    terms = (_grouped_expression(term, selects) for term in group.expressions)
    return {term.sql(dialect="duckdb").lower() for term in terms}


def _grouped_expression(term: exp.Expr, selects: list[exp.Expr]) -> exp.Expr:
    """Return the expression that a GROUP BY term stands for: `GROUP BY 1` is the first column."""
    if isinstance(term, exp.Literal) and term.name.isdigit() and 0 < int(term.name) <= len(selects):
        return selects[int(term.name) - 1].unalias()
    return term


def _grouped_outputs(select: exp.Expr) -> set[str] | None:
    """Return the names of the columns by which a subquery's rows are unique.

    None when they are not unique, or when not all of it is returned.
    """
    if not isinstance(select, exp.Select):
        return None
    names = {
        projection.unalias().sql(dialect="duckdb").lower(): projection.alias_or_name.lower()
        for projection in select.selects
    }
    grouped = _grouped(select)
    if grouped is None:
        return set(names.values()) if select.args.get("distinct") else None
    return {names[term] for term in grouped} if grouped <= set(names) else None
