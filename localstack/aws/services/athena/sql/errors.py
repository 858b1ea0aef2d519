"""A text that is no statement, and where in it."""

from __future__ import annotations


class Malformed(Exception):
    """A text that does not parse:

    Athena refuses it when it is started (InvalidRequestException).
    """

    def __init__(self, message: str, *, at: tuple[int, int] | None = None) -> None:
        super().__init__(f"line {at[0]}:{at[1]}: {message}" if at else message)


def position(text: str, offset: int) -> tuple[int, int]:
    """Line and column, both from 1, as Trino counts them."""
    line = text.count("\n", 0, offset) + 1
    return line, offset - (text.rfind("\n", 0, offset) + 1) + 1
