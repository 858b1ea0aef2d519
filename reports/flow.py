"""Draw which thing is made of which: boxes in columns, with lines to what is made of them.

SVG as text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise

import msgspec

from .plots import Style, framed

_BOX, _GAP = 26, 12  # height of a box, and what is free below it
_LETTER, _PAD = 6.8, 20  # width of a letter, about; of what is free in a box
_BETWEEN = 56  # columns
_LONGEST = 30  # letters


class Box(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    style: Style
    title: str


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A line between two boxes, by their names; the target stands further to the right."""

    source: str
    target: str
    title: str = ""


Place = tuple[float, float, float]  # left, top, width


def flow(
    title: str, columns: Sequence[Sequence[Box]], links: Sequence[Link], *, behind: str = ""
) -> str:
    """Draw a graph as one HTML figure with SVG: boxes in columns, and lines between them.

    Names of boxes are unique. A link that passes a column takes a row of its own there, which it
    shares with links to the same target. `behind` is the HTML of a table, folded below the figure.
    """
    column_of = {box.name: number for number, column in enumerate(columns) for box in column}
    rows: list[list[str]] = [[box.name for box in column] for column in columns]
    for link in links:
        for number in range(column_of[link.source] + 1, column_of[link.target]):
            if _lane(link) not in rows[number]:
                rows[number].append(_lane(link))
    widths = [max((_width(box) for box in column), default=0.0) for column in columns]
    lefts = [sum(widths[:number]) + _BETWEEN * number for number in range(len(columns))]
    tall, across = (
        max(map(len, rows), default=0) * (_BOX + _GAP),
        max(sum(widths) + _BETWEEN * (len(columns) - 1), 1),
    )
    places = [
        {
            name: (left, (tall - len(names) * (_BOX + _GAP)) / 2 + row * (_BOX + _GAP), width)
            for row, name in enumerate(names)
        }
        for names, left, width in zip(rows, lefts, widths, strict=True)
    ]
    lines = "".join(
        _line(link, places, column_of[link.source], column_of[link.target]) for link in links
    )
    boxes = "".join(
        _box(box, places[column_of[box.name]][box.name]) for column in columns for box in column
    )
    svg = (
        f'<svg class="flow" width="{across:.0f}" height="{tall}" viewBox="0 0 {across:.0f} '
        f'{tall}" role="img"'
    )
    return framed(
        title,
        f'<div class="wide" tabindex="0">{svg} '
        f'aria-label="{escape(title, quote=True)}">{lines}{boxes}</svg></div>',
        behind,
    )


def _lane(link: Link) -> str:
    """Return the name of the empty row that a link takes in each column that it passes."""
    return f"-> {link.target}"


def _width(box: Box) -> float:
    """Return the width of a box in the graph, in pixels, by the length of its name."""
    return _LETTER * min(len(box.name), _LONGEST) + _PAD


def _line(link: Link, places: Sequence[Mapping[str, Place]], first: int, last: int) -> str:
    """Return a link as an SVG path, a curve between its two boxes, from column `first` to `last`.

    `places` has, for each column, the places of its boxes by name.
    """
    stops = [
        places[first][link.source],
        *(places[number][_lane(link)] for number in range(first + 1, last)),
        places[last][link.target],
    ]
    left, top, width = stops[0]
    path = [f"M{left + width:.1f} {top + _BOX / 2:.1f}"]
    for (start, y, wide), (end, to, further) in pairwise(
        (left, top + _BOX / 2, width) for left, top, width in stops
    ):
        bend = (start + wide + end) / 2
        path.append(f"C{bend:.1f} {y:.1f} {bend:.1f} {to:.1f} {end:.1f} {to:.1f}")
        path.append(f"H{end + further:.1f}")
    title = escape(link.title or f"{link.source} -> {link.target}")
    return f'<path class="made" d="{" ".join(path[:-1])}"><title>{title}</title></path>'


def _box(box: Box, place: Place) -> str:
    """Return the SVG of a node in the graph, a rectangle with its name and a tooltip."""
    left, top, width = place
    short = box.name if len(box.name) <= _LONGEST else f"{box.name[: _LONGEST - 3]}..."
    frame = (
        f'<rect class="frame {box.style}" x="{left + 1:.1f}" y="{top + 1:.1f}" '
        f'width="{width - 2:.1f}" height="{_BOX - 2}" rx="4">'
    )
    text = (
        f'<text class="label" x="{left + width / 2:.1f}" y="{top + 17:.1f}" '
        f'text-anchor="middle">{escape(short)}</text>'
    )
    return f"{frame}<title>{escape(box.title)}</title></rect>{text}"
