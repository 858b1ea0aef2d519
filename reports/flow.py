"""Draw which thing is made of which: boxes in columns, with lines to what is made of them.

SVG as text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise

import msgspec

from .plots import Style, framed

_BOX, _TALL = 26, 42  # height of a box, and of one that has a second line
_GAP = 10  # what is free below a box
_HEAD = 24  # height of the columns' heads
_LETTER, _PAD = 6.8, 20  # width of a letter, about; of what is free in a box
_SMALL = 6.1  # width of a letter of the second line, about
_BETWEEN = 32  # columns
# rows about whose middle columns stand: of a taller graph the first screen shows the whole way
_TALLEST = 12
_DESK, _SHRUNK = (
    1120,
    1400,
)  # pixels: what is wider than the screen of a desk and no wider than this shrinks
_LONGEST = 26  # letters


class Box(msgspec.Struct, frozen=True, kw_only=True):
    """One thing of the graph.

    With `to` it is a link that the keyboard reaches; its lines are then drawn stronger while it is
    in focus.
    """

    name: str  # unique in the graph
    style: Style
    title: str  # what a screen reader and a tooltip say
    label: str = ""  # the text in the box; "": the name
    detail: str = ""  # a second, smaller line
    bar: float | None = None  # the length of a bar at the bottom, from 0 to 1
    id: str = ""  # of the element, for links to the box
    to: str = ""  # a place on the page


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A line between two boxes, by their names; the target stands further to the right."""

    source: str
    target: str
    title: str = ""


class Place(msgspec.Struct, frozen=True):
    """The place of a box, or of the free row that a line takes, in pixels."""

    left: float
    top: float
    width: float
    height: float

    @property
    def middle(self) -> float:
        """The height at which lines leave and reach it."""
        return self.top + self.height / 2


def flow(
    title: str,
    columns: Sequence[Sequence[Box]],
    links: Sequence[Link],
    *,
    behind: str = "",
    heads: Sequence[str] = (),
    about: str = "",
    key: str = "flow",
) -> str:
    """Draw a graph as one HTML figure with SVG: boxes in columns, and lines between them.

    A link that passes a column takes a row of its own there, which it shares with links to the same
    target.

    Args:
        title: The figure's title.
        columns: The boxes, sources first. Names are unique.
        links: The lines.
        behind: HTML of a table, folded below the figure.
        heads: A text above each column.
        about: What a screen reader says of the figure beyond its title.
        key: The beginning of the ids in this figure: letters, digits, underscores. It is unique on
            a page.
    """
    column_of = {box.name: number for number, column in enumerate(columns) for box in column}
    places, across, tall = _places(columns, links, column_of, heads)
    paths = [_path(link, places, column_of[link.source], column_of[link.target]) for link in links]
    ids = [f"{key}_line_{number}" for number in range(len(links))]
    lines = "".join(
        f'<path id="{name}" d="{path}"><title>{_link_title(link)}</title></path>'
        for name, path, link in zip(ids, paths, links, strict=True)
    )
    drawn = "".join(f'<use class="made" href="#{name}"/>' for name in ids)
    near: dict[str, list[str]] = {}
    for name, link in zip(ids, links, strict=True):
        for end in (link.source, link.target):
            near.setdefault(end, []).append(f'<use class="near" href="#{name}"/>')
    boxes = "".join(
        _box(box, places[column_of[box.name]][box.name], "".join(near.get(box.name, ())))
        for column in columns
        for box in column
    )
    titles = "".join(
        f'<text class="tick" x="{_left_of(column):.1f}" y="14">{escape(head)}</text>'
        for head, column in zip(heads, places, strict=False)
    )
    shrunk = " shrunk" if _DESK < across <= _SHRUNK else ""
    svg = (
        f'<svg class="flow{shrunk}" width="{across:.0f}" height="{tall:.0f}" '
        f'viewBox="0 0 {across:.0f} {tall:.0f}" role="group" aria-labelledby="{key}_title" '
        f'aria-describedby="{key}_about">'
        f'<title id="{key}_title">{escape(title)}</title>'
        f'<desc id="{key}_about">{escape(about or _counted(columns, links))}</desc>'
        f"<defs>{lines}</defs>"
    )
    return framed(
        title, f'<div class="wide" tabindex="0">{svg}{drawn}{titles}{boxes}</svg></div>', behind
    )


def _counted(columns: Sequence[Sequence[Box]], links: Sequence[Link]) -> str:
    """Return what a screen reader says of a figure: how many boxes and lines it has."""
    return f"{sum(map(len, columns))} boxes and {len(links)} lines between them"


def _left_of(places: Mapping[str, Place]) -> float:
    """Return where a column begins, in pixels; 0 if it is empty."""
    return min((place.left for place in places.values()), default=0.0)


def _places(
    columns: Sequence[Sequence[Box]],
    links: Sequence[Link],
    column_of: Mapping[str, int],
    heads: Sequence[str],
) -> tuple[list[dict[str, Place]], float, float]:
    """Return the place of each box and of each line's free rows, by column; and the whole's size.

    The size is width and height, in pixels.
    """
    rows: list[list[str]] = [[box.name for box in column] for column in columns]
    for link in links:
        for number in range(column_of[link.source] + 1, column_of[link.target]):
            if _lane(link) not in rows[number]:
                rows[number].append(_lane(link))
    height = (
        _TALL
        if any(box.detail or box.bar is not None for column in columns for box in column)
        else _BOX
    )
    step = height + _GAP
    widths = [
        max(
            [*map(_width, column), *(_LETTER * len(head) for head in heads[number : number + 1])]
            or [0.0]
        )
        for number, column in enumerate(columns)
    ]
    lefts = [sum(widths[:number]) + _BETWEEN * number for number in range(len(columns))]
    top = _HEAD if heads else 0
    tall = max(map(len, rows), default=0) * step
    places = [
        {
            name: Place(
                left,
                top + max(0.0, (min(tall, _TALLEST * step) - len(names) * step) / 2) + row * step,
                width,
                height,
            )
            for row, name in enumerate(names)
        }
        for names, left, width in zip(rows, lefts, widths, strict=True)
    ]
    return places, max(sum(widths) + _BETWEEN * (len(columns) - 1), 1), top + tall


def _lane(link: Link) -> str:
    """Return the name of the empty row that a link takes in each column that it passes."""
    return f"-> {link.target}"


def _short(text: str) -> str:
    """Return a box's text, cut where it is too long."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _width(box: Box) -> float:
    """Return the width of a box in the graph, in pixels, by the length of its texts."""
    return _PAD + max(_LETTER * len(_short(box.label or box.name)), _SMALL * len(box.detail))


def _link_title(link: Link) -> str:
    """Return what a line's tooltip says, as HTML."""
    return escape(link.title or f"{link.source} -> {link.target}")


def _path(link: Link, places: Sequence[Mapping[str, Place]], first: int, last: int) -> str:
    """Return a link as the path of a curve between its two boxes, from column `first` to `last`.

    `places` has, for each column, the places of its boxes by name.
    """
    stops = [
        places[first][link.source],
        *(places[number][_lane(link)] for number in range(first + 1, last)),
        places[last][link.target],
    ]
    path = [f"M{stops[0].left + stops[0].width:.1f} {stops[0].middle:.1f}"]
    for start, end in pairwise(stops):
        bend = (start.left + start.width + end.left) / 2
        path.append(
            f"C{bend:.1f} {start.middle:.1f} {bend:.1f} {end.middle:.1f} {end.left:.1f} "
            f"{end.middle:.1f}"
        )
        path.append(f"H{end.left + end.width:.1f}")
    return " ".join(path[:-1])


def _box(box: Box, place: Place, near: str) -> str:
    """Return the SVG of a box: a frame with its texts, a tooltip, and its lines for when it is lit.

    With `box.to` it is a link.
    """
    title = f"<title>{escape(box.title)}</title>"
    frame = (
        f'<rect class="frame {box.style}" x="{place.left + 1:.1f}" y="{place.top + 1:.1f}" '
        f'width="{place.width - 2:.1f}" height="{place.height - 2}" rx="4">{title}</rect>'
    )
    left, text = place.left + _PAD / 2, escape(_short(box.label or box.name))
    if box.detail:
        lines = (
            f'<text class="label" x="{left:.1f}" y="{place.top + 17:.1f}">{text}</text>'
            f'<text class="tick detail" x="{left:.1f}" y="{place.top + 32:.1f}">'
            f"{escape(box.detail)}</text>"
        )
    else:
        lines = (
            f'<text class="label" x="{place.left + place.width / 2:.1f}" '
            f'y="{place.middle + 4:.1f}" text-anchor="middle">{text}</text>'
        )
    if box.bar is not None:
        width = max(0.0, min(1.0, box.bar)) * (place.width - _PAD)
        lines += (
            f'<rect class="bar {box.style}" x="{left:.1f}" y="{place.top + place.height - 6:.1f}" '
            f'width="{width:.1f}" height="3">{title}</rect>'
        )
    named = f' id="{escape(box.id, quote=True)}"' if box.id else ""
    if not box.to:
        return f'<g class="node"{named}>{near}{frame}{lines}</g>'
    return (
        f'<a class="node"{named} href="{escape(box.to, quote=True)}" '
        f'aria-label="{escape(box.title, quote=True)}">{near}{frame}{lines}</a>'
    )
