"""Judge what a view's SELECT returns: its key, its times, its features and their types. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from ...errors import Problem
from ...events.port import Column, ColumnType
from ...events.tables.column_types import OF_ATTRIBUTE, sql_type
from ...project.reading.names import column_problem, did_you_mean
from ...project.specs.description import Entity, FeatureView

# Of the online stores; the history's own are known to project/reading/names.py.
RESERVED = frozenset({"feature_timestamp", "is_deleted", "event_ms", "created_ms", "synced_until"})
_INTEGERS = frozenset(
    {
        "TINYINT",
        "SMALLINT",
        "INTEGER",
        "BIGINT",
        "HUGEINT",
        "UTINYINT",
        "USMALLINT",
        "UINTEGER",
        "UBIGINT",
        "UHUGEINT",
    }
)  # sum() of whole numbers is HUGEINT in DuckDB and 64 bits on the clouds
_TIMES = frozenset({"TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"})


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """A column that a view returns, with DuckDB's type and the line that makes it."""

    name: str
    type: str
    line: int


def column_type(duckdb_type: str) -> ColumnType | None:
    """Return the stored column type (int64, string, ...) of a DuckDB type, or None.

    Decimals are floats, whole numbers of any width have 64 bits.
    """
    if duckdb_type in _INTEGERS:
        return "int64"
    if duckdb_type in {"FLOAT", "DOUBLE"} or duckdb_type.startswith("DECIMAL"):
        return "float64"
    if duckdb_type in _TIMES:
        return "timestamp"
    return {"BOOLEAN": "bool", "VARCHAR": "string"}.get(duckdb_type)  # type: ignore[return-value]  # both are ColumnTypes


def view_columns(
    view: FeatureView, entity: Entity, outputs: tuple[Output, ...]
) -> tuple[tuple[Column, ...], bool, list[Problem]]:
    """Return a view's features, whether it has a created_timestamp, and its columns' problems.

    `outputs` are the columns that its SELECT returns.
    """
    times: dict[str, ColumnType] = {
        "event_timestamp": "timestamp",
        "created_timestamp": "timestamp",
    }
    key_and_times: dict[str, ColumnType] = {entity.key: OF_ATTRIBUTE[entity.type], **times}
    names = [output.name for output in outputs]
    features: list[Column] = []
    problems = [
        _missing(view, entity, name, outputs)
        for name in (entity.key, "event_timestamp")
        if name not in names
    ]
    for position, output in enumerate(outputs):
        mistakes = list(
            _mistakes(
                view, output, key_and_times.get(output.name), twice=output.name in names[:position]
            )
        )
        problems += mistakes
        kind = column_type(output.type)
        if not mistakes and kind is not None and output.name not in key_and_times:
            features.append(Column(name=output.name, type=kind))
    if not features and not problems:
        line = outputs[-1].line if outputs else 1
        problems.append(
            Problem(
                file=view.path,
                line=line,
                message=f"{view.name} has no feature",
                remedy="a view returns its key, its times and features",
            )
        )
    return tuple(features), "created_timestamp" in names, list(dict.fromkeys(problems))


def _missing(view: FeatureView, entity: Entity, name: str, outputs: tuple[Output, ...]) -> Problem:
    """Return the problem that a view lacks the required column `name`."""
    what = (
        f"the key of entity {entity.name}" if name == entity.key else "when a row's values are true"
    )
    line = outputs[0].line if outputs else 1
    hint = (
        did_you_mean(name, [output.name for output in outputs])
        or f"add it to the SELECT: ... AS {name}"
    )
    return Problem(
        file=view.path, line=line, message=f"{view.name} returns no {name}, {what}", remedy=hint
    )


def _mistakes(
    view: FeatureView, output: Output, required_type: ColumnType | None, *, twice: bool
) -> Iterator[Problem]:
    """Yield problems of one column that a view returns: name, type, or a name used twice.

    `twice` says that another column has its name.
    """

    def problem(message: str, remedy: str) -> Problem:
        return Problem(file=view.path, line=output.line, message=message, remedy=remedy)

    name, kind = output.name, column_type(output.type)
    if twice:
        yield problem(f"{view.name} returns {name} twice", "rename one of them: AS ...")
        return
    if required_type is None and not re.fullmatch(r"\w+", name):
        yield problem(f"the column {name} has no name of its own", "give it one: AS ...")
        return
    if required_type is None and (mistake := _name_problem(name)):
        yield problem(f"feature {name}: {mistake[0]}", mistake[1])
        return
    if output.type == "TIMESTAMP WITH TIME ZONE":
        yield problem(
            f"{name} is a TIMESTAMPTZ",
            "timestamps are plain UTC TIMESTAMP here: write TIMESTAMP '2019-11-24 00:00:00', "
            "without a zone",
        )
    elif kind is None:
        yield problem(
            f"{name} is of type {output.type}",
            f"columns are bool, int64, float64, string or timestamp{_other(output.type)}",
        )
    elif required_type is not None and kind != required_type:
        yield problem(
            f"{name} is {kind} and should be {required_type}",
            f"CAST(... AS {sql_type(required_type)}) AS {name}",
        )


def _name_problem(name: str) -> tuple[str, str] | None:
    """Return why a feature may not have this name and what to do, or None if it may."""
    if name in RESERVED:
        return f"the column {name} is made by Isthmus itself", "choose another name"
    return column_problem(name)


def _other(duckdb_type: str) -> str:
    """Return text on what to write instead of a column whose type cannot be stored."""
    if duckdb_type == "INTERVAL":
        return ": for a time span write date_diff('millisecond', a, b)"
    if duckdb_type == "DATE":
        return ": for a day write date_trunc('day', event_timestamp)"
    return ": name or CAST what you need of it"
