"""What a page asks its target. What cannot be read is said on the page, and the rest is shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar, final

import msgspec

from ...errors import Invalid, IsthmusError, Unavailable
from ...reports import page as kit

T = TypeVar("T")
_DIGITS = 9  # more is no number that a page takes, and Python reads no text of 4,300


class Unread(msgspec.Struct, frozen=True, kw_only=True):
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
        self.unread: list[Unread] = []
        self._away = False

    def of(self, what: str, read: Callable[[], T]) -> T | Unread:
        """What `read` gives; or why it could not, when the target raises an IsthmusError."""
        if self._away:
            return self._note(Unread(what=what, why="not asked: the target is away"))
        try:
            return read()
        except IsthmusError as error:
            self._away = isinstance(error, Unavailable)
            return self._note(Unread(what=what, why=error.message, remedy=error.remedy))

    def box(self) -> tuple[str, ...]:
        """What a page shows first of all that could not be read; nothing, where everything could."""
        lines = [
            f"{of.what}: {of.why}{f'   {of.remedy}' if of.remedy else ''}" for of in self.unread
        ]
        return (kit.verdict(["Not everything could be read", *lines], "fail"),) if lines else ()

    def _note(self, unread: Unread) -> Unread:
        self.unread.append(unread)
        return unread


def missing(unread: Unread) -> str:
    """In the place of what would stand there."""
    return kit.words(f"{unread.what} could not be read: {unread.why}", "soft")


def whole(query: Mapping[str, str], name: str, *, default: int, most: int) -> int:
    """A whole number of the query string, 1 .. most. Invalid."""
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
