"""Draw small charts as SVG text: no library, no outside resource, sharp on a phone.

Colours and type come from the page's style.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import Literal

import msgspec

_WIDTH, _WIDE, _HEIGHT = 380, 780, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 20, 12, 46


Style = Literal["a", "b", "c", "d", "e", "f", "quiet"]
# of models; classes of the page's style sheet
STYLES: tuple[Style, ...] = ("a", "b", "c", "d", "e", "f")


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """The points of one line, or of one colour of dots or bars, in a chart.

    `style` is a class of the page's style sheet: a model's, or quiet.

    `low` and `high` draw whiskers of dots.
    """

    name: str
    style: Style
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    kind: Literal["line", "dots", "bars"] = "line"
    # of dots, and of bars, which have the width of 1 on x; None: its name and figures
    titles: Sequence[str] | None = None


class Axis(msgspec.Struct, frozen=True, kw_only=True):
    label: str
    low: float
    high: float
    ticks: Sequence[tuple[float, str]]


def axis(label: str, low: float, high: float, *, digits: int | None = None, steps: int = 5) -> Axis:
    """Return a chart's linear axis from `low` to `high`, with ticks at round numbers.

    `steps` is about how many ticks it has, and `digits` how many decimals they show.
    """
    raw = (high - low) / steps
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)
    shown = (
        max(0, -math.floor(math.log10(step)) + (step / power == 2.5)) if digits is None else digits
    )
    first = math.ceil(low / step - 1e-9)
    values = [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]
    return Axis(
        label=label, low=low, high=high, ticks=[(value, f"{value:.{shown}f}") for value in values]
    )


def axis_with_zero(label: str, bounds: Sequence[float]) -> Axis:
    """Return a chart's axis on which zero and all of these values lie, with some room beyond."""
    low, high = min(0.0, *bounds), max(0.0, *bounds)
    room = max(0.05 * (high - low), 0.1)
    return axis(label, low - room, high + room)


def chart(
    title: str, x: Axis, y: Axis, series: Sequence[Series], *, behind: str = "", wide: bool = False
) -> str:
    """Draw a chart of series over two axes as an HTML figure with SVG, legend and gridlines.

    `behind` is the HTML of the table whose figures the chart shows; it is folded away below.
    """
    picture = _responsive(title, lambda width: (_HEIGHT, _graphs(x, y, series, width)), wide=wide)
    named = [graph for graph in series if graph.name]
    legend = "".join(
        f'<span class="key {graph.style}">{escape(graph.name)}</span>' for graph in named
    )
    return framed(title, picture, behind, legend=f"<div>{legend}</div>")


def _graphs(x: Axis, y: Axis, series: Sequence[Series], width: float) -> list[str]:
    """Return a chart of a width in pixels as SVG elements: gridlines, ticks, labels, series."""
    across = _scale(x, _LEFT, width - _RIGHT)
    up = _scale(y, _HEIGHT - _BOTTOM, _TOP)
    parts = []
    for value, text in y.ticks:
        line_y = up(value)
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{width - _RIGHT}" '
            f'y1="{line_y:.1f}" y2="{line_y:.1f}"/>'
        )
        parts.append(
            f'<text class="tick" x="{_LEFT - 7}" y="{line_y + 3.5:.1f}" '
            f'text-anchor="end">{escape(text)}</text>'
        )
    floor = _HEIGHT - _BOTTOM
    parts.append(
        f'<line class="axis" x1="{_LEFT}" x2="{width - _RIGHT}" y1="{floor}" y2="{floor}"/>'
    )
    for place, text in _without_overlaps(x.ticks, across):
        parts.append(
            f'<text class="tick" x="{place:.1f}" y="{floor + 17}" '
            f'text-anchor="middle">{escape(text)}</text>'
        )
    middle = (_LEFT + width - _RIGHT) / 2
    parts.append(
        f'<text class="label" x="{middle}" y="{_HEIGHT - 6}" '
        f'text-anchor="middle">{escape(x.label)}</text>'
    )
    height = (_TOP + floor) / 2
    parts.append(
        f'<text class="label" transform="translate(12 {height}) rotate(-90)" '
        f'text-anchor="middle">{escape(y.label)}</text>'
    )
    for graph in series:
        parts += _series_svg(graph, across, up)
    return parts


def _responsive(
    title: str, draw: Callable[[float], tuple[float, Sequence[str]]], *, wide: bool = True
) -> str:
    """Return a picture as SVG in HTML, drawn twice if it is wide: for screens and for phones.

    `draw` returns the height and the SVG elements of the picture for a width.
    """

    def picture(width: float) -> str:
        height, parts = draw(width)
        label = escape(title, quote=True)
        return (
            f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{label}">'
            f"{''.join(parts)}</svg>"
        )

    if not wide:
        return picture(_WIDTH)
    return (
        f'<div class="on-desk">{picture(_WIDE)}</div><div class="on-phone">{picture(_WIDTH)}</div>'
    )


def _without_overlaps(
    ticks: Sequence[tuple[float, str]], across: Callable[[float], float]
) -> list[tuple[float, str]]:
    """Return the axis ticks whose labels do not overlap, as (pixel, text).

    `across` maps a value to a pixel.
    """
    shown: list[tuple[float, str]] = []
    end = -math.inf
    for value, text in ticks:
        half = _LETTER * len(text) / 2
        if (place := across(value)) - half >= end:
            shown.append((place, text))
            end = place + half + _LETTER
    return shown


def framed(title: str, picture: str, behind: str, *, legend: str = "") -> str:
    """Return an HTML figure of a picture (SVG), with a title above and a table folded below.

    `behind` is the table's HTML, `legend` that of a legend.
    """
    table = f"<details><summary>as a table</summary>{behind}</details>" if behind else ""
    return f"<figure><figcaption>{escape(title)}{legend}</figcaption>{picture}{table}</figure>"


_ROW = 22  # height of a line of `ranges`
_LONGEST = 40  # letters of its name


class Range(msgspec.Struct, frozen=True, kw_only=True):
    """A line of `ranges`: a value with its interval."""

    name: str
    value: float
    low: float
    high: float


def ranges(title: str, x: Axis, lines: Sequence[Range], *, behind: str = "") -> str:
    """Draw a forest plot as an HTML figure: on each line a value with its interval.

    `behind` is the HTML of a table, folded below the figure.
    """
    picture = _responsive(title, lambda width: _range_lines(x, lines, width))
    return framed(title, picture, behind)


def _range_lines(x: Axis, lines: Sequence[Range], width: float) -> tuple[float, list[str]]:
    """Return the height and the SVG elements of a forest plot that is `width` pixels wide."""
    above = width == _WIDTH
    row = 2 * _ROW if above else _ROW
    longest = max((len(line.name) for line in lines), default=0)
    left = float(_RIGHT) if above else min(300.0, 24 + 7 * longest)
    floor = _TOP + row * len(lines)
    across = _scale(x, left, width - _RIGHT)
    parts = [
        f'<line class="grid" x1="{across(value):.1f}" x2="{across(value):.1f}" '
        f'y1="{_TOP}" y2="{floor}"/>'
        for value, _ in x.ticks
    ]
    parts += [
        f'<text class="tick" x="{place:.1f}" y="{floor + 17}" '
        f'text-anchor="middle">{escape(text)}</text>'
        for place, text in _without_overlaps(x.ticks, across)
    ]
    zero = across(0.0)
    parts.append(f'<line class="axis" x1="{zero:.1f}" x2="{zero:.1f}" y1="{_TOP}" y2="{floor}"/>')
    for number, line in enumerate(lines):
        y = _TOP + row * number + (1.5 * _ROW if above else 0.5 * _ROW)
        short = line.name if len(line.name) <= _LONGEST else f"{line.name[: _LONGEST - 3]}..."
        place = (
            f'x="0" y="{y - 11:.1f}"'
            if above
            else f'x="{left - 10}" y="{y + 4:.1f}" text-anchor="end"'
        )
        parts.append(f'<text class="label" {place}>{escape(short)}</text>')
        ends = f'x1="{across(line.low):.1f}" x2="{across(line.high):.1f}"'
        parts.append(f'<line class="whisker a" {ends} y1="{y:.1f}" y2="{y:.1f}"/>')
        tooltip = _titled(f"{line.name}: {line.value:.4g} ({line.low:.4g} .. {line.high:.4g})")
        parts.append(
            f'<circle class="dot a" cx="{across(line.value):.1f}" cy="{y:.1f}" '
            f'r="4">{tooltip}</circle>'
        )
    middle = (left + width - _RIGHT) / 2
    parts.append(
        f'<text class="label" x="{middle:.1f}" y="{floor + 38}" '
        f'text-anchor="middle">{escape(x.label)}</text>'
    )
    return floor + 44, parts


def bars(shares: Sequence[float], title: str) -> str:
    """Draw a small histogram as SVG, to fit a table's cell."""
    top, width = max(shares, default=0) or 1, 100 / max(len(shares), 1)
    drawn = "".join(
        f'<rect class="bar a" x="{place * width:.1f}" y="{24 * (1 - share / top):.1f}" '
        f'width="{max(width - 1, 1):.1f}" '
        f'height="{24 * share / top:.1f}">{_titled(f"{share:.3g}")}</rect>'
        for place, share in enumerate(shares)
    )
    label = escape(title, quote=True)
    return (
        '<svg class="small" viewBox="0 0 100 24" preserveAspectRatio="none" role="img" '
        f'aria-label="{label}">{drawn}</svg>'
    )


_THICK, _GAP = 18, 4  # height of a bar, and what is free above and below it
_LETTER = 6.5  # width of one, about


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a line of `strips`, [low, high). Its name stands in it where it fits."""

    name: str
    style: Style
    low: float
    high: float
    title: str


class Strip(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    stretches: Sequence[Stretch]


def strips(
    title: str, x: Axis, lines: Sequence[Strip], *, behind: str = "", wide: bool = False
) -> str:
    """Draw an HTML figure of bars, one on each line, each split into coloured segments.

    `behind` is the HTML of a table, folded below the figure.
    """
    picture = _responsive(title, lambda width: _strip_lines(x, lines, width), wide=wide)
    return framed(title, picture, behind)


def _strip_lines(x: Axis, lines: Sequence[Strip], width: float) -> tuple[float, list[str]]:
    """Return the height and the SVG elements of segmented bars that are `width` pixels wide."""
    left = min(width / 3, 20 + _LETTER * max((len(line.name) for line in lines), default=0))
    floor = _TOP + (_THICK + 2 * _GAP) * len(lines)
    across = _scale(x, left, width - _RIGHT)
    parts = []
    for value, _ in x.ticks:
        line_x = across(value)
        parts.append(
            f'<line class="grid" x1="{line_x:.1f}" x2="{line_x:.1f}" y1="{_TOP}" y2="{floor}"/>'
        )
    for place, text in _without_overlaps(x.ticks, across):
        parts.append(
            f'<text class="tick" x="{place:.1f}" y="{floor + 16}" '
            f'text-anchor="middle">{escape(text)}</text>'
        )
    for number, line in enumerate(lines):
        y = _TOP + (_THICK + 2 * _GAP) * number + _GAP
        name = (
            f'<text class="label" x="{left - 8:.1f}" y="{y + 13:.1f}" '
            f'text-anchor="end">{escape(line.name)}</text>'
        )
        parts += [name, *(_segment_svg(stretch, y, across) for stretch in line.stretches)]
    middle = (left + width - _RIGHT) / 2
    parts.append(
        f'<text class="label" x="{middle:.1f}" y="{floor + 34}" '
        f'text-anchor="middle">{escape(x.label)}</text>'
    )
    return floor + 40, parts


def _segment_svg(stretch: Stretch, y: float, across: Callable[[float], float]) -> str:
    """Return the SVG of one coloured segment of a bar, with its name if there is room.

    `y` is its top in pixels; `across` maps a value to a pixel.
    """
    start, width = across(stretch.low), across(stretch.high) - across(stretch.low)
    bar = _bar_svg(stretch.style, (start, max(width, 1.0)), (y, _THICK), stretch.title)
    if width < _LETTER * len(stretch.name) + 8:
        return bar
    return (
        f'{bar}<text class="in" x="{start + width / 2:.1f}" y="{y + 13:.1f}" '
        f'text-anchor="middle">{escape(stretch.name)}</text>'
    )


def _bar_svg(style: Style, x: tuple[float, float], y: tuple[float, float], title: str) -> str:
    """Return the SVG of one bar; `x` and `y` are each a start and a length, in pixels.

    `title` is its tooltip.
    """
    place = f'x="{x[0]:.1f}" y="{y[0]:.1f}" width="{x[1]:.1f}" height="{y[1]:.1f}"'
    return f'<rect class="bar {style}" {place}>{_titled(title)}</rect>'


def _titled(text: str) -> str:
    """Return the SVG title element that shows a tooltip, or "" for an empty text."""
    return f"<title>{escape(text)}</title>" if text else ""


def _scale(ruler: Axis, start: float, end: float) -> Callable[[float], float]:
    """Return a function that maps a value on the axis to a pixel between `start` and `end`."""
    return lambda value: (
        start
        + (min(max(value, ruler.low), ruler.high) - ruler.low)
        / (ruler.high - ruler.low)
        * (end - start)
    )


def _series_svg(
    graph: Series, across: Callable[[float], float], up: Callable[[float], float]
) -> list[str]:
    """Return the SVG elements of a series: a line, bars, or dots with their intervals.

    `across` and `up` map a value to a horizontal and a vertical pixel.
    """
    points = [(across(x), up(y)) for x, y in zip(graph.x, graph.y, strict=True)]
    if graph.kind == "line":
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        return [
            f'<polyline class="line {graph.style}" points="{path}">{_titled(graph.name)}</polyline>'
        ]
    titles = graph.titles or [_value_text(graph, number) for number in range(len(points))]
    if graph.kind == "bars":
        floor, width = (
            _HEIGHT - _BOTTOM,
            max(1.0, (across(graph.x[0] + 1) - across(graph.x[0])) - 2) if points else 0.0,
        )
        return [
            _bar_svg(graph.style, (x - width / 2, width), (y, floor - y), title)
            for (x, y), title in zip(points, titles, strict=True)
        ]
    parts = []
    for number, ((x, y), title) in enumerate(zip(points, titles, strict=True)):
        if graph.low is not None and graph.high is not None:
            ends = f'y1="{up(graph.low[number]):.1f}" y2="{up(graph.high[number]):.1f}"'
            parts.append(f'<line class="whisker {graph.style}" x1="{x:.1f}" x2="{x:.1f}" {ends}/>')
        parts.append(
            f'<circle class="dot {graph.style}" cx="{x:.1f}" cy="{y:.1f}" '
            f'r="4">{_titled(title)}</circle>'
        )
    return parts


def _value_text(graph: Series, number: int) -> str:
    """Return a data point's tooltip as text: its series, position, value and interval.

    `number` is the point's index in the series.
    """
    between = (
        f" ({graph.low[number]:.4g} .. {graph.high[number]:.4g})"
        if graph.low is not None and graph.high is not None
        else ""
    )
    return f"{graph.name} {graph.x[number]:.4g}: {graph.y[number]:.4g}{between}".strip()
