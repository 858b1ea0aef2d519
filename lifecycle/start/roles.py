"""Guess which column of a log is which: who, what, when, in which list, and what came of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from shlex import quote
from typing import NoReturn

import msgspec

from ...errors import Invalid
from ...project.reading.names import did_you_mean
from .log_columns import Column, Log
from .log_times import instant, instant_of
from .outcome_values import Value, value_of
from .role_words import FALSE, FOLLOWED, SHOWN, TRUE, is_id, is_outcome_id, likeness, plain

ROLES = ("id", "time", "user", "item", "request", "position", "outcome", "kind")
_CONDITION = re.compile(r"(?s)(.*?)\s*(>=|>|<=|<|==|=|!=)\s*(\S+)")


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a row says that what it shows was followed by the outcome: a condition in SQL."""

    column: Column
    condition: str
    words: str  # the condition as it is told
    at: str | None = None  # SQL of the outcome's own time; None: the row's
    value: Value | None = None  # the number that the outcome has; None: it happened or not


class Roles(msgspec.Struct, frozen=True, kw_only=True):
    """The roles of a log's columns, as they were guessed or named."""

    columns: dict[str, Column]  # by role
    time: str  # SQL of the row's instant
    outcome: Outcome | None = None
    shown: str = ""  # the value of `kind` that says a row was shown ...
    followed: str = ""  # ... and the one that says what came of it

    def get(self, role: str) -> Column | None:
        """Return the column that has a role such as `item` or `user`, or None."""
        return self.columns.get(role)


def guess(log: Log, named: Mapping[str, str], *, zone: str, outcomes: bool = False) -> Roles:
    """Guess which column of a log has which role: item, user, time, list, outcome.

    Args:
        log: The log.
        named: Columns by role, as the user named them; "" for a role that no column has. An outcome
            may be a condition: `stars >= 4`.
        zone: The time zone of times that have none.
        outcomes: Whether each row of the log is an outcome by itself: a column may then say its
            number (seconds, stars), and none says whether it happened unless the user named it.

    Raises:
        Invalid: A named column is not there, or no column has a time.
    """
    columns: dict[str, Column] = {}
    conditions: dict[str, str] = {}
    for role, text in named.items():
        if role in ROLES and text:
            columns[role], conditions[role] = _named(log, role, text)
    columns["time"], when = instant(log, columns.get("time"), zone=zone)
    for role in ("id", "kind", "outcome", "request", "user", "item", "position"):
        nobody = named.get(role) == "" or (outcomes and role == "kind")
        if (
            role not in columns
            and not nobody
            and (column := _likeliest(log, role, columns, outcomes=outcomes))
        ):
            columns[role] = column
    shown, followed = "", ""
    if "kind" in columns:
        shown, followed = _kinds(columns["kind"], named.get("outcome", ""))
        columns.pop("outcome" if shown and followed else "kind", None)
    outcome = None
    if "outcome" in columns:
        outcome = _outcome(log, columns["outcome"], conditions.get("outcome", ""), zone=zone)
        if outcome is None:
            if named.get("outcome"):
                _refuse_outcome(columns["outcome"])
            del columns["outcome"]
        elif outcomes and outcome.value is None and not named.get("outcome"):
            outcome = None
            del columns["outcome"]
    return Roles(columns=columns, time=when, outcome=outcome, shown=shown, followed=followed)


def _likeliest(
    log: Log, role: str, columns: Mapping[str, Column], *, outcomes: bool
) -> Column | None:
    """Return the column whose name and values fit a role best, or None.

    Of columns whose names fit as well, one that says yes or no is a likelier outcome than a number.
    `outcomes` is whether each row of the log is an outcome: a column may only be its amount then.
    """
    free = [c for c in log.columns if c not in columns.values() and _may_be(role, c, log.rows)]
    if role == "outcome" and outcomes:
        free = [c for c in free if not _is_key(c) and likeness("amount", c.source)]
    best = max(
        free,
        key=lambda c: (likeness(role, c.source), role == "outcome" and _says_yes_or_no(c)),
        default=None,
    )
    if best is not None and likeness(role, best.source):
        return best
    if role != "id":
        return None
    owners = ("user", "item")  # whose id it is: in a short log each of them may come once
    return next(
        (
            column
            for column in free
            if is_id(column.source) and not any(likeness(owner, column.source) for owner in owners)
        ),
        None,
    )


def _may_be(role: str, column: Column, rows: int) -> bool:
    """Return whether a column's type and values are possible for a role such as `item`.

    `rows` is the number of rows in its file.
    """
    if column.numbers_rows or column.type is None:
        return False
    key = column.type in ("int", "string")
    again = key and 1 < column.distinct < rows  # something that comes again
    return {
        "id": key and not column.nulls and column.distinct == rows,
        "kind": column.type == "string" and len(column.values) > 1,
        "outcome": (column.distinct > 1 and not _is_key(column))
        or (column.distinct > 0 and column.nulls > 0),
        "position": column.type == "int",
        "user": again,
        "request": again,
        "item": again,
    }[role]


def _is_binary(column: Column) -> bool:
    """Return whether a column of numbers has only 0 and 1."""
    return bool(column.values) and set(column.values) <= {"0", "1", "0.0", "1.0"}


def _is_key(column: Column) -> bool:
    """Return whether a numeric column holds ids of outcomes, such as orders, not amounts."""
    numbers = column.type in ("int", "float") and not _is_binary(column)
    return numbers and is_outcome_id(column.source)


def _says_yes_or_no(column: Column) -> bool:
    """Return whether a column says that something happened, rather than how much of it."""
    if column.type == "string":
        return bool(column.values) and all(plain(v) in TRUE | FALSE for v in column.values)
    return column.type in ("bool", "timestamp") or _is_binary(column) or _is_key(column)


def _kinds(kind: Column, outcome: str) -> tuple[str, str]:
    """Return the values of an event-type column that mean an exposure and an outcome.

    `outcome` is the value that the user named, or "". Both results are "" if either is unclear.
    """
    by_plain = {plain(value): value for value in kind.values}
    shown = next((value for name, value in by_plain.items() if name in SHOWN), "")
    order = (plain(outcome), *FOLLOWED) if outcome else FOLLOWED
    followed = next(
        (value for word in order for name, value in by_plain.items() if name.startswith(word)), ""
    )
    return (shown, followed) if shown and followed and followed != shown else ("", "")


def _outcome(log: Log, column: Column, condition: str, *, zone: str) -> Outcome | None:
    """Return how a column shows that the outcome happened, as an SQL condition, or None.

    `condition` is what the user wrote behind the column's name; `zone` is for times without one.
    """
    sql = column.sql
    if condition:
        number = condition.split()[1]
        if column.type == "string" and not number.startswith("'"):
            condition = f"{condition.split(maxsplit=1)[0]} '{number}'"
        return Outcome(
            column=column, condition=f"{sql} {condition}", words=f"{column.source} {condition}"
        )
    instant_sql = instant_of(log, column, zone) if column.type in ("timestamp", "string") else None
    if instant_sql is not None:
        return Outcome(
            column=column,
            condition=f"{sql} IS NOT NULL",
            words=f"{column.source} has a time",
            at=instant_sql,
        )
    if column.type == "bool":
        return Outcome(column=column, condition=sql, words=f"{column.source} is true")
    if column.type in ("int", "float"):
        return _number(log, column)
    values = {plain(value): value for value in column.values}
    yes = [value for name, value in values.items() if name in TRUE]
    if len(yes) == 1 and all(name in TRUE | FALSE for name in values):
        text = yes[0].replace("'", "''")
        return Outcome(
            column=column, condition=f"{sql} = '{text}'", words=f"{column.source} is {yes[0]}"
        )
    return None


def _refuse_outcome(column: Column) -> NoReturn:
    """Raise Invalid for a text column that was named as the outcome but has no yes or no."""
    condition = f"outcome={column.source} = {column.values[0] if column.values else 'VALUE'}"
    has = ", ".join(column.values) or f"{column.distinct:,} values"
    raise Invalid(
        f"--as outcome={column.source}: it is neither 0 and 1, yes and no, a number nor a time",
        remedy=f"say which value is the outcome: --as {quote(condition)}; it has {has}",
    )


def _number(log: Log, column: Column) -> Outcome:
    """Return the outcome of a numeric column: `= 1` of 0 and 1, else the number itself.

    An id, such as that of an order, is no amount: it says that there was one.
    """
    if _is_binary(column):
        return Outcome(column=column, condition=f"{column.sql} = 1", words=f"{column.source} is 1")
    if _is_key(column):
        return Outcome(
            column=column,
            condition=f"{column.sql} IS NOT NULL",
            words=f"{column.source} has a value",
        )
    value = value_of(log, column)
    return Outcome(
        column=column,
        condition=value.condition,
        words=f"{column.source}, a number of {value.low:g} to {value.high:g}",
        value=value,
    )


def _named(log: Log, role: str, text: str) -> tuple[Column, str]:
    """Parse the user's text for a role: return the column and the condition that it names."""
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
