"""Output for a person at a terminal: tables that fit it, wrapped lines, colour, a bar.

It loads rich.
"""

from __future__ import annotations

import os
import re
from textwrap import TextWrapper
from typing import TextIO, final

from rich.console import Console
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ...core.escapes import escaped, escaped_line
from .tables import GAP, TextTable

_WIDTH = 80  # where the terminal does not say
_BAR = 24
_CELL = re.compile(r"\S+(?: \S+)*")  # words with one space between
_STYLES = {
    r"^error\b": "bold red",
    r"^warning\b": "yellow",
    r"^next\b": "bold",
    r"^ +\+(?= )": "green",
    r"^ +-(?= )": "red",
    r"^ +[~?!](?= )": "yellow",
    r"(?:^|(?<=  ))(?:pass|better|ready|promoted|holds|done)\b": "green",
    r"(?:^|(?<=  ))(?:fail|failed|worse|aborted|broken|lost|refused)\b": "red",
    r"(?:^|(?<=  ))(?:inconclusive|undecided|waiting|invalid)\b": "yellow",
}


@final
class Terminal:
    """A stream that somebody looks at."""

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(
            file=stream,
            width=width_of(stream),
            force_terminal=True,
            highlight=False,
            markup=False,
            emoji=False,
        )

    def text(self, text: str) -> None:
        """Print text to the terminal, wrapped to its width and coloured by meaning."""
        text = escaped(text)
        shown = "\n".join(
            part for line in text.split("\n") for part in broken(line, self._console.width)
        )
        coloured = Text(shown)
        for line in re.finditer(r"[^\n]+", shown):
            for pattern, style in _STYLES.items():
                for match in re.finditer(pattern, line[0]):
                    coloured.stylize(
                        style, line.start() + match.start(), line.start() + match.end()
                    )
        self._console.print(coloured, soft_wrap=True)

    def table(self, grid: TextTable) -> None:
        """Print a table to the terminal; a row that is too wide is printed cell below cell."""
        longest = [
            _longest_word(grid, column)
            for column in range(len(grid.rows[0] if grid.rows else grid.head))
        ]
        if (
            len(grid.indent) + sum(longest) + len(GAP) * len(longest) <= self._console.width
            or not grid.head
        ):
            self._console.print(Padding(_columns(grid, longest), (0, 0, 0, len(grid.indent))))
        else:
            for row in grid.rows:
                self._console.print(_record(grid.head, row))

    def bar(self, what: str, share: str, done: int, total: int | None) -> str:
        """Return a line on how much of a task is done, to be written over by the next one.

        `share` is the part that is done, as text.
        """
        room = self._console.width - 1 - len(share) - 2 * len(GAP) - _BAR
        line = f"{escaped_line(what)[: max(room, 10)]}{GAP}{share}"
        if not total:
            return f"\r{line}\x1b[K"
        with self._console.capture() as drawn:
            self._console.print(ProgressBar(total=total, completed=done, width=_BAR), end="")
        return f"\r{line}{GAP}{drawn.get()}\x1b[K"


def width_of(stream: TextIO) -> int:
    """Return the width of a stream's terminal in columns; the variable COLUMNS comes first."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        return int(columns)
    try:
        return os.get_terminal_size(stream.fileno()).columns or _WIDTH
    except (OSError, ValueError):  # a stream that only says it is one
        return _WIDTH


def broken(line: str, width: int) -> list[str]:
    """Wrap a long line into lines of the terminal's width, between or within its cells.

    A command and a word are never broken, so that they can be copied.
    """
    if len(line) <= width:
        return [line]
    hang = min(len(line) - len(line.lstrip()) + 4, width // 2)
    lines, end, hangs = [""], 0, False
    for cell in _CELL.finditer(line):
        column = len(lines[-1]) + cell.start() - end
        end = cell.end()
        if column + len(cell[0]) > width and (
            hangs or column > 0.6 * width or (column > hang and _widest(cell[0]) > width - column)
        ):
            lines.append("")
            column = hang
        first, *rest = _wrapped(cell[0], width - column)
        lines[-1] = lines[-1].ljust(column) + first
        lines += [" " * column + more for more in rest]
        if rest:  # what follows begins where this one did
            hang, hangs = column, True
    return lines


def _widest(cell: str) -> int:
    """Return the length of a cell's longest word, the least width that it needs."""
    return max(map(len, cell.split()))


def _wrapped(cell: str, room: int) -> list[str]:
    """Wrap a cell's text into lines of a width; a command stays on one line."""
    if cell.startswith(("isthmus ", "cd ")):
        return [cell]
    return TextWrapper(width=room, break_long_words=False, break_on_hyphens=False).wrap(cell)


def _longest_word(grid: TextTable, column: int) -> int:
    """Return the length of the longest word in a column of a table."""
    cells = [row[column] for row in (*grid.rows, *([grid.head] if grid.head else []))]
    return max((len(word) for cell in cells for word in cell.split()), default=0)


def _columns(grid: TextTable, longest: list[int]) -> Table:
    """Return a table as a rich.Table, each column at least as wide as its number in `longest`."""
    table = Table(
        box=None,
        pad_edge=False,
        padding=(0, len(GAP), 0, 0),
        show_header=bool(grid.head),
        header_style="bold",
    )
    for column, least in enumerate(longest):
        head = grid.head[column] if grid.head else ""
        table.add_column(
            head,
            justify="right" if grid.numeric(column) else "left",
            min_width=least,
            overflow="fold",
        )
    for row in grid.rows:
        table.add_row(*map(_coloured, row))
    return table


def _record(head: tuple[str, ...], row: tuple[str, ...]) -> Table:
    """Return one row as a two-column table of names and values, for a narrow terminal."""
    table = Table(box=None, pad_edge=False, padding=(0, len(GAP), 0, 0), show_header=False)
    table.add_column(style="bold", min_width=max(map(len, head)))
    table.add_column(overflow="fold")
    for name, cell in zip(head, row, strict=True):
        if cell:
            table.add_row(name, _coloured(cell))
    table.add_row()
    return table


def _coloured(cell: str) -> Text:
    """Return a cell's text with its keywords coloured by meaning."""
    text = Text(cell)
    for pattern, style in _STYLES.items():
        if not pattern.startswith("^"):
            text.highlight_regex(pattern, style)
    return text
