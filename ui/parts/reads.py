"""Read from the target for a page, which names what cannot be read and shows the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar, final

import msgspec

from ...errors import Invalid, IsthmusError, Unavailable
from ...reports import page as kit

T = TypeVar("T")
_DIGITS = 9  # more is no number that a page takes, and Python reads no text of 4,300


class ReadFailure(msgspec.Struct, frozen=True, kw_only=True):
    what: str
    why: str
    remedy: str | None = None


@final
class Reads:
    """The reads of one page.

    After the first `Unavailable` nothing more is asked: every question would wait as long for its
    answer.
    """

    def __init__(self) -> None:
        self.unread: list[ReadFailure] = []
        self._away = False

    def attempt(self, what: str, read: Callable[[], T]) -> T | ReadFailure:
        """Call `read` and return its result; on an IsthmusError, record and return what failed.

        `what` names what is read.
        """
        if self._away:
            return self._note(ReadFailure(what=what, why="not asked: the target is away"))
        try:
            return read()
        except IsthmusError as error:
            self._away = isinstance(error, Unavailable)
            return self._note(ReadFailure(what=what, why=error.message, remedy=error.remedy))

    def box(self) -> tuple[str, ...]:
        """Return an HTML box on what could not be read from the target; empty if all was."""
        lines = [
            f"{unread.what}: {unread.why}{f'   {unread.remedy}' if unread.remedy else ''}"
            for unread in self.unread
        ]
        return (kit.verdict(["Not everything could be read", *lines], "fail"),) if lines else ()

    def _note(self, unread: ReadFailure) -> ReadFailure:
        """Record that something could not be read, so that the page lists it; return the record."""
        self.unread.append(unread)
        return unread


def missing(unread: ReadFailure) -> str:
    """Return an HTML paragraph in place of what could not be read, with the reason."""
    return kit.words(f"{unread.what} could not be read: {unread.why}", "soft")


def whole(query: Mapping[str, str], name: str, *, default: int, most: int) -> int:
    """Parse a parameter of the URL query as a whole number from 1 to `most`.

    `default` is returned where the query lacks it.

    Raises:
        Invalid: It is not a whole number from 1 to `most`.
    """
    text = query.get(name, str(default))
    if (
        not text.isascii()
        or not text.isdigit()
        or len(text) > _DIGITS
        or not 1 <= int(text) <= most
    ):
        raise Invalid(
            f"{name}={text} is not a whole number from 1 to {most:,}",
            remedy=f"for example {name}={default}",
        )
    return int(text)
