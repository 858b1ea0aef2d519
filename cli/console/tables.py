"""Aligned columns for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from ...core.escapes import escaped_line

GAP = "  "


class TextTable(msgspec.Struct, frozen=True):
    """A table of cells as they are shown.

    As text: columns aligned, numbers on the right; a terminal has its own way (terminal.py).
    """

    rows: tuple[tuple[str, ...], ...]
    head: tuple[str, ...] = ()
    indent: str = ""

    def numeric(self, column: int) -> bool:
        """Return whether all cells of a column are numbers, which are aligned to the right."""
        return bool(self.rows) and all(_number(row[column]) for row in self.rows)

    def __str__(self) -> str:
        whole = [self.head] * bool(self.head) + list(self.rows)
        if not whole:
            return ""
        widths = [max(len(row[i]) for row in whole) for i in range(len(whole[0]))]
        right = [self.numeric(i) for i in range(len(widths))]
        lines = []
        for row in whole:
            cells = [
                cell.rjust(width) if to_right else cell.ljust(width)
                for cell, width, to_right in zip(row, widths, right, strict=True)
            ]
            lines.append((self.indent + GAP.join(cells)).rstrip())
        return "\n".join(lines)


def grid(
    rows: Iterable[Sequence[object]], *, head: Sequence[str] = (), indent: str = ""
) -> TextTable:
    """Return rows of values as a table of text cells, below the column titles `head`.

    Numbers get separators, and None becomes an empty cell. `indent` is put before each line.
    """
    return TextTable(
        tuple(tuple(map(_cell, row)) for row in rows), tuple(map(escaped_line, head)), indent
    )


def _cell(value: object) -> str:
    """Return a value as the text of a table's cell: `1,234`, `yes`, "" for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.6g}"
    return escaped_line(str(value))


def _number(cell: str) -> bool:
    """Return whether a cell's text is a number or empty."""
    return not cell or cell.replace(",", "").replace(".", "").replace("-", "").isdigit()
