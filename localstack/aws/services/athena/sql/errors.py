"""Texts that are no statement, and positions in them."""

from __future__ import annotations


class Malformed(Exception):
    """A text that does not parse.

    Athena refuses it when it is started (InvalidRequestException).
    """

    def __init__(self, message: str, *, position: tuple[int, int] | None = None) -> None:
        super().__init__(f"line {position[0]}:{position[1]}: {message}" if position else message)


def position(text: str, offset: int) -> tuple[int, int]:
    """Return the line and column of an offset in a query's text, from 1, as Trino counts."""
    line = text.count("\n", 0, offset) + 1
    return line, offset - (text.rfind("\n", 0, offset) + 1) + 1
