"""Draw a monitor's figures: of the newest window, over the days, by version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import msgspec

from ....experiments.monitors.snapshot import Figure, GroupFigure, MonitorSnapshot
from ....experiments.monitors.units import version_order
from ....project.specs.monitors import AlarmLimits
from ....reports import page as kit
from ....reports import plots
from ..events.event import dates


class _Shown(msgspec.Struct, frozen=True):
    """The title and the format of a figure.

    It is written as `factor` times the value, with so many digits and the unit.
    """

    title: str
    factor: float = 100
    unit: str = " %"
    digits: int = 1

    def text(self, row: GroupFigure) -> str:
        """Return a row's figure as text: value, confidence interval, and ALARM if it is one."""
        ends = (
            ""
            if row.low is None or row.high is None
            else f" ({self.number(row.low)} .. {self.number(row.high)})"
        )
        return f"{self.number(row.value)}{self.unit}{ends}{'   ALARM' if row.alarm else ''}"

    def number(self, value: float) -> str:
        """Return a number as text, in the unit and with the digits of this figure."""
        return f"{self.factor * value:,.{self.digits}f}"


FIGURES: Mapping[Figure, _Shown] = {
    "shown": _Shown("share shown"),
    "seen": _Shown("share shown, by position"),
    "catalogue": _Shown("share of the catalogue"),
    "never_shown": _Shown("never shown"),
    "organic": _Shown("share of organic clicks"),
    "shown_to_organic": _Shown("shown / organic", factor=1, unit="", digits=2),
    "served_to_trained": _Shown("served / trained", factor=1, unit="", digits=2),
    "calibration": _Shown("clicks / scores", factor=1, unit="", digits=2),
    "gini": _Shown("Gini", factor=1, unit="", digits=3),
    "gini_rise": _Shown("Gini's rise", factor=1, unit="", digits=3),
    "effective_items": _Shown("as spread as so many items", factor=1, unit="", digits=0),
    "mix": _Shown("share of the active units"),
    "mix_drift": _Shown("share's move", unit=" points"),
    "satisfied": _Shown("satisfied"),
    "satisfied_ratio": _Shown("satisfied, lowest / highest", factor=1, unit="", digits=2),
    "returning": _Shown("returning", digits=0),
}
# that are drawn by day
_DAILY: tuple[Figure, ...] = ("shown", "calibration", "gini", "mix", "satisfied", "satisfied_ratio")
_VERSIONED: tuple[Figure, ...] = (
    "shown",
    "served_to_trained",
    "shown_to_organic",
    "calibration",
    "gini",
    "mix",
    "satisfied",
    "satisfied_ratio",
)


def _is_of_groups(rows: Sequence[GroupFigure], figure: Figure) -> bool:
    """Return whether any of the rows has a value of a figure for a single group."""
    return figure != "satisfied_ratio" and any(_is(row, figure) and row.group for row in rows)


def newest_parts(look: MonitorSnapshot) -> list[str]:
    """Return HTML tables of a snapshot: a line for each group, then figures over all groups.

    `look` is the newest stored snapshot of a monitor.
    """
    rows = [row for row in look.rows if row.scope == "window"]
    grouped: list[Figure] = [figure for figure in FIGURES if _is_of_groups(rows, figure)]
    groups = dict.fromkeys(row.group for row in rows if row.group)
    lines = [
        (group, *(_cell(look.by_group(figure).get(group), figure) for figure in grouped))
        for group in groups
    ]
    whole = [
        (_name(row), FIGURES[row.figure].text(row)) for row in rows if not row.group or row.against
    ]
    first = (
        f"Moves and rises are since the first window, {look.first[0]} to {look.first[1]}. In "
        "brackets 95 %."
    )
    by_group = (
        [
            kit.table(
                (look.groups, *(FIGURES[figure].title for figure in grouped)), lines, numbers=True
            )
        ]
        if lines
        else []
    )
    over_all = [kit.table(("over all", ""), whole)] if whole else []
    notes = [kit.words(note, "soft") for note in (first, *look.notes)]
    return [kit.section("The last window", *by_group, *notes, *over_all)]


def _is(row: GroupFigure, figure: Figure) -> bool:
    """Return whether a row holds a value of a figure, such as the Gini coefficient."""
    return row.figure == figure


def _cell(row: GroupFigure | None, figure: Figure) -> str:
    """Return a row's value of a figure as the text of a table's cell; "" without a row."""
    return "" if row is None else FIGURES[figure].text(row)


def _name(row: GroupFigure) -> str:
    """Return a figure's title, with the two compared groups if it is a ratio."""
    against = f": {row.group} / {row.against}" if row.against else ""
    return f"{FIGURES[row.figure].title}{against}"


def over_time(looks: Sequence[MonitorSnapshot]) -> list[str]:
    """Return HTML charts of each figure by day, and a table of the alarms.

    A day's figures are those of the newest stored snapshot that covers it.
    """
    days = {row.of: look for look in looks for row in look.rows if row.scope == "day"}
    rows = [
        row for day in sorted(days) for row in days[day].rows if (row.scope, row.of) == ("day", day)
    ]
    limits = looks[-1].alarm
    drawn = [
        _by_day(figure, mine, limits)
        for figure in _DAILY
        if (mine := [row for row in rows if row.figure == figure])
    ]
    alarms = [_alarm(look, row) for look in reversed(looks) for row in look.alarms]
    words = (
        "Each day by itself, with 95 %. A day has no alarm: so many looks at one limit would cry "
        "too often."
    )
    parts = (
        [kit.section("Day by day", kit.charts(*drawn), kit.words(words, "soft"))] if drawn else []
    )
    return (
        [
            *parts,
            kit.section("Alarms", kit.table(("last day", "figure", "group", "under", ""), alarms)),
        ]
        if alarms
        else parts
    )


def _alarm(look: MonitorSnapshot, row: GroupFigure) -> tuple[str, ...]:
    """Return an alarm's cells in the table: the window's end, figure, group, version, value.

    `look` is the snapshot, and `row` its row with the alarm.
    """
    return (
        f"{look.until}",
        FIGURES[row.figure].title,
        _group(row),
        row.of or "all versions",
        FIGURES[row.figure].text(row),
    )


def _by_day(figure: Figure, rows: Sequence[GroupFigure], alarms: AlarmLimits) -> str:
    """Return an HTML chart of one figure by day, with a series for each group.

    `alarms` has the limits, which are drawn too.
    """
    first, last = (date.fromisoformat(choose(row.of for row in rows)) for choose in (min, max))
    places = {row.of: float((date.fromisoformat(row.of) - first).days) for row in rows}
    return _chart(figure, rows, _Across(dates(first, last), places), alarms)


def versions_parts(looks: Sequence[MonitorSnapshot]) -> list[str]:
    """Return HTML charts of bias amplification: how groups change by model version.

    A version's values are from the newest snapshot that has it. There are no charts for fewer than
    two versions.
    """
    newest = {version: look for look in looks for version in look.labels("version")}
    versions = sorted(newest, key=version_order)
    if len(versions) < 2:
        return []
    places = {version: float(place) for place, version in enumerate(versions)}
    ticks = [(place, version) for version, place in places.items()]
    axis = plots.Axis(
        label="version", low=-0.5, high=len(versions) - 0.5, ticks=ticks[:: -(-len(ticks) // 5)]
    )
    rows = [
        row
        for version in versions
        for row in newest[version].rows
        if (row.scope, row.of) == ("version", version)
    ]
    across, alarms = _Across(axis, places), looks[-1].alarm
    drawn = [
        _chart(figure, mine, across, alarms)
        for figure in _VERSIONED
        if (mine := [row for row in rows if row.figure == figure])
    ]
    words = (
        "Each version's own answers in the newest window that it answered in, with 95 %. "
        "A group that loses from one to the next is what a loop looks like."
    )
    return [kit.section("By version", kit.charts(*drawn), kit.words(words, "soft"))]


class _Across(msgspec.Struct, frozen=True):
    """An axis, and the places of days or versions on it."""

    axis: plots.Axis
    places: Mapping[str, float]


def _chart(
    figure: Figure, rows: Sequence[GroupFigure], across: _Across, alarms: AlarmLimits
) -> str:
    """Return an HTML chart of one figure, with a series for each group and the alarm limits.

    `across` is its horizontal axis.
    """
    shown = FIGURES[figure]
    series: dict[str, list[GroupFigure]] = {}
    for row in rows:
        series.setdefault("" if row.against else row.group, []).append(row)
    largest = sorted(
        sorted(series, key=lambda name: -sum(row.count for row in series[name]))[
            : len(plots.STYLES)
        ]
    )
    drawn = [
        _series(name, series[name], across, (place, len(largest)))
        for place, name in enumerate(largest)
    ]
    lines = [_limit(limit, across.axis) for limit in limits(figure, alarms)]
    ends = [
        shown.factor * end
        for row in rows
        for end in (row.value, row.low, row.high)
        if end is not None
    ]
    ends += [line.y[0] for line in lines]
    behind = kit.table(
        (across.axis.label, "group", shown.title, "n"), [_line(row, shown) for row in rows]
    )
    up = plots.axis(
        shown.title + shown.unit.replace(" %", ", %"),
        min(0.0, *ends),
        max(*ends, 0.0) * 1.08 or 1.0,
    )
    more = (
        f", the {len(largest)} largest of {len(series)} groups"
        if len(series) > len(largest)
        else ""
    )
    return plots.chart(
        f"{shown.title[:1].upper()}{shown.title[1:]}{more}",
        across.axis,
        up,
        [*lines, *drawn],
        behind=behind,
    )


def limits(figure: Figure, alarms: AlarmLimits) -> tuple[float, ...]:
    """Return the limits of a figure's alarm, to be drawn in its chart; empty if none are fixed."""
    if figure == "calibration":
        return alarms.calibration or ()
    limit = {
        "shown_to_organic": alarms.shown_to_organic,
        "satisfied_ratio": alarms.satisfied_ratio,
    }.get(figure)
    return () if limit is None else (limit,)


def _limit(value: float, across: plots.Axis) -> plots.Series:
    """Return an alarm's limit as a horizontal line of a chart; `across` is the horizontal axis."""
    return plots.Series(
        name=f"limit {value:g}", style="quiet", x=[across.low, across.high], y=[value, value]
    )


_APART = 0.09  # of a day, or of a version: so that no whisker hides another


def _series(
    name: str, rows: Sequence[GroupFigure], across: _Across, place: tuple[int, int]
) -> plots.Series:
    """Return one group's values as a series, shifted a little so that groups do not overlap.

    `place` is (number of the group, number of groups).
    """
    shown, (number, several) = FIGURES[rows[0].figure], place
    return plots.Series(
        name=name,
        style=plots.STYLES[number],
        x=[across.places[row.of] + _APART * (number - (several - 1) / 2) for row in rows],
        y=[shown.factor * row.value for row in rows],
        low=[shown.factor * (row.value if row.low is None else row.low) for row in rows],
        high=[shown.factor * (row.value if row.high is None else row.high) for row in rows],
        kind="dots",
        titles=[f"{row.of} {_group(row)} {shown.text(row)}" for row in rows],
    )


def _group(row: GroupFigure) -> str:
    """Return a row's group as text: `a / b` for a ratio, `all` if there is no group."""
    return f"{row.group} / {row.against}" if row.against else row.group or "all"


def _line(row: GroupFigure, shown: _Shown) -> tuple[str, ...]:
    """Return a row's cells in the table: day or version, group, value, count.

    `shown` is the figure that the row has.
    """
    return (row.of, _group(row), shown.text(row), f"{row.count:,}")
