"""Check that a view over an outcome says in `created_timestamp` when its rows became known.

The view's SQL alone is judged; pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlglot import exp
from sqlglot.optimizer.scope import Scope

from ...errors import Problem
from ...events.tables.relations import view_name
from ...project.reading.quantities import duration_text
from ...project.specs.description import FeatureView, ProjectSpec
from ..sql.lineage import Leaf, Lineage, RelationColumns, lineage, outputs, selects, tables_read
from ..sql.subset import line_of

CREATED = "created_timestamp"


def known_problems(
    root: Scope, view: FeatureView, spec: ProjectSpec, relations: RelationColumns
) -> tuple[Problem, ...]:
    """Check how a view says when its rows became known (created_timestamp); return problems.

    `root` is its query. There is a warning for each outcome event that the view reads. Each side of
    a UNION ALL is judged by itself.
    """
    sides = outputs(root, CREATED)
    problems = (
        problem
        for side, created in sides
        for problem in _of_side(side, created, view, spec, relations)
    )
    return tuple(dict.fromkeys(problems))


def _of_side(
    side: Scope,
    created: exp.Expr | None,
    view: FeatureView,
    spec: ProjectSpec,
    relations: RelationColumns,
) -> Iterator[Problem]:
    """Yield problems of created_timestamp in one SELECT (`side`) of a view's query.

    `created` is its expression, None if it is missing.
    """
    tables = list(tables_read(side))
    timed = list(
        dict.fromkeys(
            t.name.lower() for t in tables if CREATED in relations.get(t.name.lower(), ())
        )
    )
    origin = None if created is None else lineage(created, side, relations)
    if created is not None and origin is not None:
        yield from _created(origin, timed, view, line_of(created), side)
    elif timed:
        yield _missing(timed, view, side)
    if not (origin and (_delayed(origin) or any(leaf.column == CREATED for leaf in origin.leaves))):
        yield from _outcome_events(tables, view, spec)


def _missing(timed: Sequence[str], view: FeatureView, side: Scope) -> Problem:
    """Return the problem that a view lacks created_timestamp, with the SQL to add.

    `timed` are the relations with times that its SELECT (`side`) reads.
    """
    return Problem(
        file=view.path,
        line=line_of(selects(side)[0]),
        message=f"{view.name} returns no {CREATED}, and {timed[0]} has one: without it every row "
        "would count as known at its own time",
        remedy=f"add to the SELECT: {_line_to_add(timed, side)}",
    )


def _created(
    origin: Lineage, timed: Sequence[str], view: FeatureView, line: int, side: Scope
) -> Iterator[Problem]:
    """Yield problems of how a view computes created_timestamp, with the SQL to write.

    `origin` are the columns that it comes from, `timed` the relations with times. A delay that the
    SQL adds itself (+ INTERVAL) is not questioned.
    """
    lacking = [name for name in timed if Leaf(relation=name, column=CREATED) not in origin.leaves]
    if not lacking or _delayed(origin):
        return
    if len(lacking) < len(timed):
        has = next(name for name in timed if name not in lacking)
        message = f"{CREATED} is that of {has} alone, and {lacking[0]} is read, too"
        remedy = f"return the greatest of both: {_line_to_add([has, *lacking], side)}"
    else:
        message = (
            f"{CREATED} is not made of that of {lacking[0]}: for a row whose outcome comes later "
            "this is the same as none"
        )
        remedy = f"write instead: {_line_to_add(timed, side)}"
    yield Problem(file=view.path, line=line, message=f"{view.name}: {message}", remedy=remedy)


def _delayed(origin: Lineage) -> bool:
    """Return whether a time is computed as another one plus an INTERVAL."""
    return {exp.Add, exp.Interval} <= origin.nodes


def _line_to_add(timed: Sequence[str], side: Scope) -> str:
    """Return SQL for created_timestamp as the latest of the inputs' times, to suggest to users.

    `timed` are the relations with times that the SELECT (`side`) reads. It takes the latest of a
    group's rows if the SELECT groups.
    """
    select = side.expression
    sources = {
        source.name.lower(): alias
        for alias, (_, source) in side.selected_sources.items()
        if isinstance(source, exp.Table)
    }
    several = len(side.selected_sources) > 1
    names = [
        f"{sources.get(name, name)}.{CREATED}" if several or len(timed) > 1 else CREATED
        for name in timed
    ]
    if select.args.get("group"):
        names = [f"max({name})" for name in names]
    latest = names[0]
    for name in names[1:]:
        latest = f"CASE WHEN {name} > {latest} THEN {name} ELSE {latest} END"
    return latest if latest == CREATED else f"{latest} AS {CREATED}"


def _outcome_events(
    tables: Sequence[exp.Table], view: FeatureView, spec: ProjectSpec
) -> Iterator[Problem]:
    """Yield a warning for each outcome event that a view reads without declaring it.

    `tables` are the tables that the view's SQL reads.
    """
    if view.outcome_events == "known":
        return
    for table in tables:
        objectives = [
            o for o in spec.objectives.values() if view_name(o.outcome) == table.name.lower()
        ]
        if not objectives:
            continue
        slowest = max(objectives, key=lambda objective: objective.within)
        yield Problem(
            file=view.path,
            line=line_of(table),
            severity="warning",
            message=f"{slowest.outcome} decides {' and '.join(o.name for o in objectives)}: "
            f"a row at the {slowest.exposure}'s own time may hold its own label",
            remedy=f"read {slowest.name}, or return {CREATED} = event_timestamp + "
            f"{duration_text(slowest.within)}; if it is meant: outcome_events: known in "
            f"feature_views.{view.name}",
        )
