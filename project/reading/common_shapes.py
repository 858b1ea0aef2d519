"""Texts that several sections of project.yaml have."""

from __future__ import annotations

from datetime import timedelta

from . import quantities
from .names import NAME, NAME_LENGTH, column_problem, name_problem
from .quantities import Mistake
from .shapes import LATER, Text


def name_text(longest: int = NAME_LENGTH) -> Text:
    """Return the shape (validator) of a name of limited length."""

    def parse(text: str) -> str:
        if problem := name_problem(text, longest=longest):
            raise Mistake(*problem)
        return text

    return Text(what="a name", pattern=NAME, parse=parse)


def column(text: str) -> str:
    """Return a column's name unchanged; raise Mistake if it is not allowed."""
    if problem := column_problem(text):
        raise Mistake(*problem)
    return text


def path_inside(text: str, example: str) -> str:
    """Return a file's path unchanged; raise Mistake unless it lies in the project's folder."""
    if text.startswith(("/", "~")) or "\\" in text or ".." in text.split("/") or "://" in text:
        raise Mistake(
            f"{text!r} is not inside the project's folder",
            f"put the file there and write its path from the folder: {example}",
        )
    return text


def _days(text: str) -> timedelta:
    """Parse a duration of whole days, such as `7d`.

    `24h` is refused, as it would mean hours from a moment on: days are days of UTC.
    """
    try:
        length = quantities.duration(text)
    except Mistake as mistake:
        raise Mistake(
            mistake.message, f"write whole days of UTC, such as 7d: a window in hours is {LATER}"
        ) from None
    if text[-1] not in "dw":
        days = max(1, round(length / timedelta(days=1)))
        raise Mistake(
            f"{text} is not in whole days; a window in hours is {LATER}",
            f"write 1d or more, such as {days}d: days are those of UTC",
        )
    return length


NAME_SHAPE = name_text()
WORDS = Text(what="text")
DURATION = Text(
    what="a duration", pattern=quantities.DURATION, parse=quantities.duration, example="30m"
)
DAYS = Text(what="a number of days", pattern=quantities.DAYS, parse=_days, example="7d")
COLUMN = Text(what="a column's name", pattern=NAME, parse=column)
SHARE = Text(
    what="a share", pattern=quantities.PERCENT, parse=quantities.share, example="90%", numbers=True
)
