"""What is made of what: boxes in columns, and a line from each to what is made of it. SVG as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

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
    """`source` and `target`: names of boxes, of which the target stands further to the right."""

    source: str
    target: str
    title: str = ""


def flow(title: str, columns: Sequence[Sequence[Box]], links: Sequence[Link], *, behind: str = "") -> str:
    """One figure. A box's name is its own: no other has it."""
    widths = [max((_width(box) for box in column), default=0.0) for column in columns]
    lefts = [sum(widths[:number]) + _BETWEEN * number for number in range(len(columns))]
    tall = max((len(column) for column in columns), default=0) * (_BOX + _GAP)
    places = {
        box.name: (left, (tall - len(column) * (_BOX + _GAP)) / 2 + row * (_BOX + _GAP), width)
        for column, left, width in zip(columns, lefts, widths, strict=True)
        for row, box in enumerate(column)
    }
    across = max(sum(widths) + _BETWEEN * (len(columns) - 1), 1)
    lines = "".join(_line(link, places) for link in links)
    boxes = "".join(_box(box, places[box.name]) for column in columns for box in column)
    svg = f'<svg class="flow" width="{across:.0f}" height="{tall}" viewBox="0 0 {across:.0f} {tall}" role="img"'
    return framed(title, f'<div class="wide">{svg} aria-label="{escape(title, quote=True)}">{lines}{boxes}</svg></div>', behind)


def _width(box: Box) -> float:
    return _LETTER * min(len(box.name), _LONGEST) + _PAD


def _line(link: Link, places: Mapping[str, tuple[float, float, float]]) -> str:
    left, top, width = places[link.source]
    right, below, _ = places[link.target]
    start, y, end, to = left + width, top + _BOX / 2, right, below + _BOX / 2
    bend = (start + end) / 2
    told = escape(link.title or f"{link.source} -> {link.target}")
    path = f"M{start:.1f} {y:.1f} C{bend:.1f} {y:.1f} {bend:.1f} {to:.1f} {end:.1f} {to:.1f}"
    return f'<path class="made" d="{path}"><title>{told}</title></path>'


def _box(box: Box, place: tuple[float, float, float]) -> str:
    left, top, width = place
    short = box.name if len(box.name) <= _LONGEST else f"{box.name[: _LONGEST - 3]}..."
    frame = f'<rect class="frame {box.style}" x="{left + 1:.1f}" y="{top + 1:.1f}" width="{width - 2:.1f}" height="{_BOX - 2}" rx="4">'
    text = f'<text class="label" x="{left + width / 2:.1f}" y="{top + 17:.1f}" text-anchor="middle">{escape(short)}</text>'
    return f"{frame}<title>{escape(box.title)}</title></rect>{text}"
