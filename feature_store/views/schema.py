"""Read the names and types of a project's relations and feature views.

They come from the specs, the files and each view's SQL. Nothing is computed: the relations are made
empty in an in-memory DuckDB, which then says what a view's SELECT returns.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ...errors import IsthmusError, Problem
from ...events.port import Column
from ...events.tables.column_types import sql_type
from ...events.tables.relations import event_columns, quarantine_name, raw_name, view_name
from ...project.reading.names import did_you_mean
from ...project.reading.report import place, problem_at
from ...project.specs.content import extracted_name
from ...project.specs.description import FeatureView, ParsedProject, ProjectSpec
from ...project.specs.exposures import event_named
from ..tables.relations import extracted_columns, objective_columns
from .columns import RESERVED, Output, view_columns

if TYPE_CHECKING:
    import duckdb
    from sqlglot import exp

    from ..port import SqlProblem

_TIMES = (
    "event_timestamp",
    "created_timestamp",
)  # of a static table they may be text, which says nothing of time


class ViewSchema(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    features: tuple[Column, ...]
    has_created: bool  # its SQL says when a row became known
    key: str  # the entity's


def relation_columns(description: ParsedProject) -> dict[str, tuple[Column, ...]]:
    """Return the columns of every relation that a view may read, without `dt`.

    Those are events_<event>, objectives, static tables whose file can be read, and the extracted
    vectors of views with `extract`.
    """
    return _relations(description)[0]


def view_schemas(description: ParsedProject) -> tuple[dict[str, ViewSchema], tuple[Problem, ...]]:
    """Return each sound view's features and their types by the view's name, and all problems.

    Problems are those of the other views and of tables' files.
    """
    relations, problems = _relations(description)
    if not (_last and _last[0][0] is description and _last[0][1] == relations):
        _last[:] = [(description, relations, _judged(description, relations))]
    schemas, of_views = _last[0][2]
    return dict(schemas), (*problems, *of_views)


_Judged = tuple[dict[str, ViewSchema], tuple[Problem, ...]]
# The last description's: a command asks several times, and what may change meanwhile (the tables'
# files) is in `relations`.
_last: list[tuple[ParsedProject, dict[str, tuple[Column, ...]], _Judged]] = []


def _judged(description: ParsedProject, relations: Mapping[str, tuple[Column, ...]]) -> _Judged:
    """Check every view's SQL; return the schemas of the sound views, and all problems.

    `relations` are the columns that views may read.
    """
    from ..sql.subset import check, parse

    problems: list[Problem] = []
    schemas: dict[str, ViewSchema] = {}
    with empty_database(relations) as database:
        for view in description.spec.feature_views.values():
            if view.stream is not None and (named := _reserved_names(view, description)):
                problems += named
                continue
            wrong = check(view.sql)
            if not wrong:
                wrong = tuple(_sources(parse(view.sql), view, description.spec, relations))
            if wrong:
                problems += [sql_problem(view, problem) for problem in wrong]
                continue
            outputs = outputs_of(database, view)
            if isinstance(outputs, Problem):
                problems.append(outputs)
                continue
            features, has_created, mistakes = view_columns(
                view, description.spec.entities[view.entity], outputs
            )
            mistakes += _of_meaning(view, description.spec, relations)
            problems += mistakes
            if not any(mistake.severity == "error" for mistake in mistakes):
                key = description.spec.entities[view.entity].key
                schemas[view.name] = ViewSchema(
                    name=view.name, features=features, has_created=has_created, key=key
                )
    return schemas, tuple(problems)


def _reserved_names(view: FeatureView, description: ParsedProject) -> list[Problem]:
    """Return a problem, at its line of project.yaml, for each feature whose name stores reserve."""
    return [
        problem_at(
            description,
            f"feature_views.{view.name}.features.{feature.name}",
            f"the column {feature.name} is made by Isthmus itself",
            "choose another name",
        )
        for feature in (view.stream.features if view.stream is not None else ())
        if feature.name in RESERVED
    ]


def _of_meaning(
    view: FeatureView, spec: ProjectSpec, relations: Mapping[str, tuple[Column, ...]]
) -> list[Problem]:
    """Return the mistakes in a view's SQL beyond its syntax.

    They are operations on wrong types, window orders that leave ties open, and mistakes in
    created_timestamp, the moment from which a row was known.
    """
    from sqlglot.optimizer.scope import build_scope

    from ..sql.subset import parse
    from ..sql.typed_rules import typed_problems, types_of
    from ..sql.window_order import ambiguous_orders
    from .known_times import known_problems

    columns = {
        name.lower(): frozenset(
            c.name.lower() for c in declared if c.name not in _TIMES or c.type == "timestamp"
        )
        for name, declared in relations.items()
    }
    root = build_scope(parse(view.sql))
    if root is None:  # only what is no query has none
        return []
    orders = ambiguous_orders(root, columns, [entity.key for entity in spec.entities.values()])
    typed = typed_problems(parse(view.sql), types_of(relations))
    return [
        *known_problems(root, view, spec, columns),
        *(sql_problem(view, problem) for problem in (*orders, *typed)),
    ]


def sql_problem(view: FeatureView, problem: SqlProblem) -> Problem:
    """Return a problem in a view's SQL as a problem at a line of the view's file."""
    return Problem(
        file=view.path,
        line=problem.line,
        message=f"{view.name}: {problem.what}",
        remedy=problem.why,
    )


def _relations(description: ParsedProject) -> tuple[dict[str, tuple[Column, ...]], list[Problem]]:
    """Return the columns of every relation that views may read, and problems of static tables."""
    spec = description.spec
    relations = {view_name(event.name): event_columns(event) for event in spec.events.values()}
    relations |= {
        o.name: objective_columns(spec, o)
        for o in spec.objectives.values()
        if event_named(spec, o.exposure) is not None
    }
    relations |= {
        extracted_name(view.name): extracted_columns(spec, view, view.extract)
        for view in spec.feature_views.values()
        if view.extract
    }
    problems: list[Problem] = []
    for table in spec.tables.values():
        path = Path(description.folder) / table.path
        try:
            relations[table.name] = _file_columns(
                path, f"tables.{table.name}", path.stat().st_mtime_ns if path.is_file() else 0
            )
        except IsthmusError as error:
            line_place = place(description, f"tables.{table.name}")
            problems.append(
                Problem(
                    file=line_place.file,
                    line=line_place.line,
                    message=error.message,
                    remedy=error.remedy,
                )
            )
    return relations, problems


@lru_cache(maxsize=256)
def _file_columns(path: Path, where: str, _modified: int) -> tuple[Column, ...]:
    """Return the names and types of a static table's columns, by the reader that loads it.

    `where` names the file in errors. The time of the file's last change keeps the cache true.
    """
    from ..tables.static_tables import columns, read_file

    return columns(read_file(path, where=where), where)


def empty_database(relations: Mapping[str, tuple[Column, ...]]) -> duckdb.DuckDBPyConnection:
    """Open an in-memory DuckDB with every relation as an empty table, to type views' SQL.

    `errors_as_json` makes errors tell their position.
    """
    database = _engine(os.getpid()).cursor()
    database.execute("SET errors_as_json = true")
    for name, columns in relations.items():
        database.execute(
            f'CREATE TEMP TABLE "{name}" '
            f"({', '.join(f'{_quoted(c.name)} {sql_type(c.type)}' for c in columns)})"
        )
    return database


@lru_cache(maxsize=1)
def _engine(_process: int) -> duckdb.DuckDBPyConnection:
    """Return this process's in-memory DuckDB, which is opened once.

    Opening takes ten times longer than making the tables. `_process` is the process's id, as none
    crosses a fork. Nothing outside of memory can be read.
    """
    import duckdb

    engine = duckdb.connect(config={"threads": "1"})
    engine.execute("SET enable_external_access = false")
    return engine


def _quoted(name: str) -> str:
    """Return a SQL identifier in double quotes."""
    return '"' + name.replace('"', '""') + '"'


def _sources(
    tree: exp.Query,
    view: FeatureView,
    spec: ProjectSpec,
    relations: Mapping[str, tuple[Column, ...]],
) -> Iterator[SqlProblem]:
    """Yield SQL problems of what a view may not read, and of names that not all engines resolve."""
    from sqlglot import exp

    from ..sql.names import names_of_ours, reused_aliases
    from ..sql.subset import SqlProblem, line_of

    yield from names_of_ours(tree)
    for parameter in tree.find_all(exp.Placeholder):
        yield SqlProblem(
            line=line_of(parameter),
            what=f"the parameter ${parameter.name}",
            why="a feature view takes none: write the value",
        )
    yield from unreadable_tables(
        tree, view.sql, relations, lambda name: _instead(name, spec, relations)
    )
    yield from reused_aliases(
        tree, {name.lower(): [c.name for c in columns] for name, columns in relations.items()}
    )


def unreadable_tables(
    tree: exp.Query, sql: str, relations: Mapping[str, object], instead: Callable[[str], str]
) -> Iterator[SqlProblem]:
    """Yield a problem for each table that a query reads and that is not one of the relations.

    Args:
        tree: The query's syntax tree.
        sql: Its text.
        relations: What it may read, by name.
        instead: Returns, by the table's name in lower case, what to read in its place.
    """
    from sqlglot import exp

    from ..sql.subset import SqlProblem, line_of, tables

    unknown = tables(sql) - {name.lower() for name in relations}
    for table in tree.find_all(exp.Table):
        if table.name.lower() in unknown:
            unknown -= {table.name.lower()}
            yield SqlProblem(
                line=line_of(table),
                what=f"{table.name} cannot be read here",
                why=instead(table.name.lower()),
            )


def _instead(name: str, spec: ProjectSpec, relations: Mapping[str, object]) -> str:
    """Return text on what to read instead of a relation that views may not read."""
    if name in spec.feature_views and spec.feature_views[name].extract:
        return f"read {extracted_name(name)}: the vector of each event"
    if name in spec.feature_views:
        return "a view does not read another view's history: read the events, or repeat the SELECT"
    if name in spec.tables:
        return "its file cannot be read: see the other error"
    for event in spec.events:
        if name in {event, raw_name(event), quarantine_name(event)}:
            return f"read {view_name(event)}: the event exactly once"
    return (
        did_you_mean(name, sorted(relations), has="a view may read")
        or "declare events, objectives or tables in project.yaml"
    )


def outputs_of(
    database: duckdb.DuckDBPyConnection, view: FeatureView
) -> tuple[Output, ...] | Problem:
    """Return the columns of a view's SELECT with DuckDB's types, or its error as a problem.

    `database` has the relations as empty tables.
    """
    import duckdb

    prefix = "DESCRIBE "
    try:
        rows = database.execute(prefix + view.sql).fetchall()
    except duckdb.Error as error:
        return _engine_problem(view, str(error), len(prefix))
    lines = _lines_of_outputs(view.sql)
    return tuple(
        Output(
            name=str(name),
            type=str(kind),
            line=lines[position] if position < len(lines) else lines[0],
        )
        for position, (name, kind, *_) in enumerate(rows)
    )


def _lines_of_outputs(sql: str) -> list[int]:
    """Return the line of each column of a SELECT; if there is a star, only the first one's."""
    from ..sql.subset import line_of, parse

    selects = parse(sql).selects
    return [
        line_of(select)
        for select in (selects[:1] if any(select.is_star for select in selects) else selects)
    ]


def _engine_problem(view: FeatureView, text: str, offset: int) -> Problem:
    """Return DuckDB's error message as a problem with its line in the view's file.

    `offset` is the error's character position in the SQL.
    """
    detail: dict[str, str] = {}
    if (start := text.find("{")) >= 0:
        try:
            detail = json.loads(text[start:])
        except ValueError:  # not every error of DuckDB's is JSON, also when asked for it
            detail = {}
    message = (
        detail.get("exception_message", text)
        .split("\n")[0]
        .removesuffix(" You might need to add explicit type casts.")
    )
    position = (
        int(detail["position"]) - offset if "position" in detail else _location(detail) - offset
    )
    line = view.sql.encode()[: max(position, 0)].count(b"\n") + 1 if position >= 0 else 1
    candidates = [
        name.strip().rpartition(".")[2]
        for name in detail.get("candidates", "").split(",")
        if name.strip()
    ]
    remedy = (
        did_you_mean(detail["name"].rpartition(".")[2], candidates)
        if "name" in detail and candidates
        else None
    )
    if detail.get("error_subtype") == "COLUMN_NOT_FOUND":
        message = f"there is no column {detail.get('name', '')}"
        remedy = remedy or (f"there is {', '.join(candidates)}" if candidates else None)
    return Problem(file=view.path, line=line, message=f"{view.name}: {message}", remedy=remedy)


def _location(detail: Mapping[str, str]) -> int:
    """Return the character position in DuckDB's error location `[17,0]`, or -1 without one."""
    offset = re.match(r"\[(\d+)", detail.get("location", ""))
    return int(offset.group(1)) if offset else -1
