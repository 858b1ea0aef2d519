"""Guess which column of a log is which: who, what, when, in which list, and what came of it."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from ...errors import Invalid
from ...project.reading.names import did_you_mean
from .log_columns import Column, Log
from .log_times import instant, instant_of
from .role_words import FALSE, FOLLOWED, SHOWN, TRUE, is_id, likeness, plain

ROLES = ("id", "time", "user", "item", "request", "position", "outcome", "kind")
_CONDITION = re.compile(r"(?s)(.*?)\s*(>=|>|<=|<|==|=|!=)\s*(\S+)")


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a row says that what it shows was followed by the outcome: a condition in SQL."""

    column: Column
    condition: str
    words: str  # the condition as it is told
    at: str | None = None  # SQL of the outcome's own time; None: the row's


class Roles(msgspec.Struct, frozen=True, kw_only=True):
    """The roles of a log's columns, as they were guessed or given."""

    columns: dict[str, Column]  # by role
    time: str  # SQL of the row's instant
    outcome: Outcome | None = None
    shown: str = ""  # the value of `kind` that says a row was shown ...
    followed: str = ""  # ... and the one that says what came of it

    def get(self, role: str) -> Column | None:
        """Return the column of a role, None where no column has it."""
        return self.columns.get(role)


def guess(log: Log, given: Mapping[str, str], *, zone: str, outcomes: bool = False) -> Roles:
    """Return the roles of a log's columns.

    Args:
        log: The log.
        given: Columns by role, as the user named them; "" for a role that no column has. An
            outcome may be a condition: `stars >= 4`.
        zone: Of times without one.
        outcomes: Whether each row of the log is an outcome by itself: none of its columns is one.

    Raises:
        Invalid: A given column is not there, or no column has a time.
    """
    found: dict[str, Column] = {}
    conditions: dict[str, str] = {}
    for role, text in given.items():
        if role in ROLES and text:
            found[role], conditions[role] = _given(log, role, text)
    found["time"], when = instant(log, found.get("time"), zone=zone)
    for role in ("id", "kind", "outcome", "request", "user", "item", "position"):
        nobody = given.get(role) == "" or (outcomes and role in ("outcome", "kind"))
        if role not in found and not nobody and (column := _likeliest(log, role, found)):
            found[role] = column
    shown, followed = "", ""
    if "kind" in found:
        shown, followed = _kinds(found["kind"], given.get("outcome", ""))
        found.pop("outcome" if shown and followed else "kind", None)
    outcome = None
    if "outcome" in found:
        outcome = _outcome(log, found["outcome"], conditions.get("outcome", ""), zone=zone)
        if outcome is None:
            del found["outcome"]
    return Roles(columns=found, time=when, outcome=outcome, shown=shown, followed=followed)


def _likeliest(log: Log, role: str, found: Mapping[str, Column]) -> Column | None:
    """Return the column whose name and values fit a role best; None where none does."""
    free = [c for c in log.columns if c not in found.values() and _may_be(role, c, log.rows)]
    best = max(free, key=lambda column: likeness(role, column.source), default=None)
    if best is not None and likeness(role, best.source):
        return best
    return next((c for c in free if is_id(c.source)), None) if role == "id" else None


def _may_be(role: str, column: Column, rows: int) -> bool:
    """Return whether a column's values fit a role."""
    if column.numbers_rows or column.type is None:
        return False
    key = column.type in ("int", "string")
    again = key and 1 < column.distinct < rows  # something that comes again
    return {
        "id": key and not column.nulls and column.distinct == rows,
        "kind": column.type == "string" and len(column.values) > 1,
        "outcome": column.distinct > 1 or bool(column.nulls),
        "position": column.type == "int",
        "user": again,
        "request": again,
        "item": again,
    }[role]


def _kinds(kind: Column, wanted: str) -> tuple[str, str]:
    """Return the values of a column that say that something was shown, and what came of it.

    Both or none is "".
    """
    by_plain = {plain(value): value for value in kind.values}
    shown = next((value for name, value in by_plain.items() if name in SHOWN), "")
    order = (plain(wanted), *FOLLOWED) if wanted else FOLLOWED
    followed = next(
        (value for word in order for name, value in by_plain.items() if name.startswith(word)), ""
    )
    return (shown, followed) if shown and followed and followed != shown else ("", "")


def _outcome(log: Log, column: Column, condition: str, *, zone: str) -> Outcome | None:
    """Return how a column says that the outcome came; None where it cannot."""
    sql = column.sql
    if condition:
        number = condition.split()[1]
        if column.type == "string" and not number.startswith("'"):
            condition = f"{condition.split(maxsplit=1)[0]} '{number}'"
        return Outcome(
            column=column, condition=f"{sql} {condition}", words=f"{column.source} {condition}"
        )
    at = instant_of(log, column, zone) if column.type in ("timestamp", "string") else None
    if at is not None:
        return Outcome(
            column=column,
            condition=f"{sql} IS NOT NULL",
            words=f"{column.source} has a time",
            at=at,
        )
    if column.type == "bool":
        return Outcome(column=column, condition=sql, words=f"{column.source} is true")
    if column.type in ("int", "float"):
        return _graded(log, column)
    values = {plain(value): value for value in column.values}
    yes = [value for name, value in values.items() if name in TRUE]
    if len(yes) == 1 and all(name in TRUE | FALSE for name in values):
        text = yes[0].replace("'", "''")
        return Outcome(
            column=column, condition=f"{sql} = '{text}'", words=f"{column.source} is {yes[0]}"
        )
    return None


def _graded(log: Log, column: Column) -> Outcome:
    """Return the threshold above which a number counts as the outcome.

    It is the least value that at most half of the rows reach: 1 of 0 and 1, the upper grades.
    """
    sql = column.sql
    if set(column.values) <= {"0", "1", "0.0", "1.0"}:
        return Outcome(column=column, condition=f"{sql} = 1", words=f"{column.source} is 1")
    ranked = (
        f"SELECT {sql} AS grade, cume_dist() OVER (ORDER BY {sql} DESC) AS share "
        f"FROM {log.table} WHERE {sql} IS NOT NULL"
    )
    # more than half may have the greatest value
    (threshold,) = log.query(
        f"SELECT coalesce(min(grade) FILTER (WHERE share <= 0.5), max(grade)) FROM ({ranked})"
    )
    number = f"{threshold:g}"
    return Outcome(
        column=column, condition=f"{sql} >= {number}", words=f"{column.source} >= {number}"
    )


def _given(log: Log, role: str, text: str) -> tuple[Column, str]:
    """Return the column that the user named for a role, and the condition on it."""
    columns = {column.source: column for column in log.columns}
    match = _CONDITION.fullmatch(text) if role == "outcome" and text not in columns else None
    name, condition = (match[1], f"{match[2]} {match[3]}") if match else (text, "")
    if name not in columns:
        by_plain = {plain(column.source): column for column in log.columns}
        if plain(name) not in by_plain:
            raise Invalid(
                f"{log.path.name} has no column {name} for {role}",
                remedy=did_you_mean(name, columns, has="it has"),
            )
        return by_plain[plain(name)], condition
    return columns[name], condition
