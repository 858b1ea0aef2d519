"""Columns and counts in the texts that the console shows."""

from __future__ import annotations

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]], *, left: Sequence[int]) -> list[str]:
    """Return rows of cells as lines of text, with each column padded to one width.

    Args:
        rows: Cells, as many in each row.
        left: Numbers of the columns that are aligned to the left; the others are to the right.
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  "
        + "   ".join(
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def plural(count: int, noun: str) -> str:
    """Return the count with its noun: `1 unit`, `1,200 units`."""
    return f"{count:,} {noun}{'s' * (count != 1)}"
