"""A project proposed from files of events: `isthmus init NAME --from log.parquet`.

What is guessed is told, stands as a comment in the files, and is corrected by `--as` or by hand.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from ...errors import Invalid
from ...project.reading.names import did_you_mean
from ...project.specs.description import Event
from .log_columns import Column, Log, open_logs
from .log_project import Draft, describe
from .log_shape import LogShape, shape_of
from .roles import ROLES, guess

_MAX_LATENESS = Event(name="any", attributes=()).max_lateness
_OLD = timedelta(days=30)  # a log that ended so long ago is told its `now:`
_MOST = 2  # files
_ZONE = "zone"


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """A role that no column of the log could be guessed to have."""

    role: str
    question: str
    columns: tuple[str, ...]  # that may have it


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """The files of a proposed project, with what was guessed and what could not be."""

    files: dict[str, str]  # texts by their paths in the project
    guesses: tuple[str, ...]
    missing: tuple[Missing, ...] = ()
    backfill: bool = False  # rows are older than an event may be: `ingest` takes --backfill


def propose(
    sources: Sequence[Path], folder: Path, *, named: Mapping[str, str] | None = None
) -> Proposal:
    """Return a proposed project for event files, with the columns' roles guessed from the data.

    Args:
        sources: A file of exposures, one event a row; and, where they are in another file, a file
            of outcomes. They are JSON lines, CSV, TSV or Parquet.
        folder: The project's folder, which need not be there.
        named: Columns by role (`roles.ROLES`), and `zone`, that of times without one. "" for a role
            that no column has.

    Raises:
        NotFound: A file is not there.
        Invalid: It is of another format, cannot be read, or has no rows or no time; a role or a
            column that was named is not there.
    """
    named = dict(named or {})
    zone = named.pop(_ZONE, "UTC")
    if unknown := next((role for role in named if role not in ROLES), None):
        roles = (*ROLES, _ZONE)
        raise Invalid(
            f"--as {unknown}: there is no such role",
            remedy=did_you_mean(unknown, roles, has="roles are"),
        )
    if len(sources) > _MOST:
        raise Invalid(
            f"--from was given {len(sources)} times",
            remedy="give what was shown first, then what came of it; further events are added in "
            "project.yaml and sources/",
        )
    # beside the project and not in /tmp, which may be small
    with (
        tempfile.TemporaryDirectory(prefix=".isthmus-from-", dir=_existing(folder)) as spill,
        open_logs(tuple(sources), Path(spill)) as logs,
    ):
        return _proposed(logs, folder, named, zone)


def _existing(folder: Path) -> Path:
    """Return the nearest parent folder that exists."""
    path = folder.resolve().parent
    while not path.is_dir():
        path = path.parent
    return path


def _proposed(logs: Sequence[Log], folder: Path, named: Mapping[str, str], zone: str) -> Proposal:
    """Return the proposed project for one log, or for a log and a second one of outcomes.

    `named` are the columns that the user named, by role; `zone` is for times that have none.
    """
    first, second = logs[0], logs[1] if len(logs) > 1 else None
    shape = shape_of(
        first,
        guess(first, _of_exposures(first, second, named), zone=zone, outcomes=second is not None),
        second,
        None
        if second is None
        else guess(second, _of_outcomes(second, named), zone=zone, outcomes=True),
    )
    now = shape.newest + timedelta(seconds=1)
    old = datetime.now(UTC) - shape.newest > _OLD
    draft: Draft = describe(
        shape, now=now if old else None, paths=tuple(log.path for log in logs), folder=folder
    )
    guesses = [*draft.guesses]
    if old:
        guesses.append("now: the log's end, as it is old; take the line out when events arrive")
    age = (now if old else datetime.now(UTC)) - shape.oldest
    return Proposal(
        files=draft.files,
        guesses=tuple(guesses),
        missing=tuple(_missing(shape, named)),
        backfill=age > _MAX_LATENESS,
    )


def _of_exposures(first: Log, second: Log | None, named: Mapping[str, str]) -> dict[str, str]:
    """Return the user's column choices, by role, that are about the file of exposures.

    With a second file, the outcome and columns that only that file has are not.
    """
    if second is None:
        return dict(named)
    only = {column.source for column in second.columns} - {c.source for c in first.columns}
    return {role: name for role, name in named.items() if role != "outcome" and name not in only}


def _of_outcomes(second: Log, named: Mapping[str, str]) -> dict[str, str]:
    """Return the user's column choices, by role, that are about the file of outcomes."""
    names = {column.source for column in second.columns}
    return {role: name for role, name in named.items() if role == "outcome" or name in names}


def _missing(shape: LogShape, named: Mapping[str, str]) -> list[Missing]:
    """Return a question for the user about each role (item, user, ...) that no column has.

    `named` are the columns that the user named, by role.
    """
    taken = {column.source for column in shape.roles.columns.values()}
    free = [column for column in shape.log.columns if column.source not in taken]
    questions = {
        "item": "which column says what was shown (an item that comes again and again)?",
        "outcome": "which column says what came of a row (clicked, bought, a rating)?",
        "user": "which column says whose a row is (a user, whose rows depend on each other)?",
    }
    lacking = {
        "item": shape.item is None,
        "outcome": shape.outcome is None,
        "user": shape.user is None,
    }
    return [
        Missing(
            role=role,
            question=questions[role],
            columns=tuple(
                column.source for column in free if _may_answer(role, column, shape.log.rows)
            ),
        )
        for role in questions
        if lacking[role] and role not in named
    ]


def _may_answer(role: str, column: Column, rows: int) -> bool:
    """Return whether a column may be offered to the user as the one that has a role.

    `rows` is the number of rows in its file.
    """
    if role == "outcome":
        return column.type is not None
    return column.type in ("int", "string") and column.distinct < rows
