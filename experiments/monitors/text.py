"""A monitor's snapshot as the console shows it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ...reports.columns import aligned, plural

if TYPE_CHECKING:
    from .snapshot import Figure, GroupFigure, MonitorSnapshot

_WEEK = 7
Table = list[list[str]]


def text(snapshot: MonitorSnapshot) -> str:
    """Return a monitor's snapshot as text: a table of its groups, then what the alarms mean."""
    return "\n".join(_lines(snapshot))


def _lines(snapshot: MonitorSnapshot) -> Iterator[str]:
    """Yield a monitor's snapshot as lines of text."""
    days = f"{plural(snapshot.window, 'day')} to {snapshot.until:%Y-%m-%d}"
    yield f"{snapshot.monitor}   {snapshot.endpoint}, {days}"
    table = _units_table(snapshot) if snapshot.kind == "units" else _items_table(snapshot)
    yield from aligned(table, left=(0, len(table[0]) - 1))
    yield from _over_all(snapshot)
    yield from _by_version(snapshot)
    yield from (f"  {note}" for note in snapshot.notes)
    yield f"what it means   {'; '.join(meanings(snapshot)) or _no_alarm_text(snapshot)}"
    if snapshot.alarms:
        yield f"what helps      {_remedy_text(snapshot)}"


def _no_alarm_text(snapshot: MonitorSnapshot) -> str:
    """Return the line for a snapshot in which no metric raises an alarm."""
    has_limits = any(
        getattr(snapshot.alarm, name) is not None for name in snapshot.alarm.__struct_fields__
    )
    return (
        "no figure is beyond its limit"
        if has_limits
        else "nothing is an alarm here: write `alarm:` with limits"
    )


def _units_table(snapshot: MonitorSnapshot) -> Table:
    """Return a text table of the groups of units: their shares, outcomes and alarms."""
    figures: tuple[Figure, ...] = ("mix", "mix_drift", "satisfied", "returning")
    mix, drift, satisfied, returning = map(snapshot.by_group, figures)
    first = "first week" if snapshot.window == _WEEK else f"first {plural(snapshot.window, 'day')}"
    rows = [[_label(snapshot), "active units", f"mix ({first})", "satisfied", "returning", ""]]
    for group, row in mix.items():
        first_share = f" ({100 * (row.value - drift[group].value):.1f})" if group in drift else ""
        cells = [
            group,
            f"{row.count:,}",
            f"{_percent(row)}{first_share}",
            _percent(satisfied.get(group)),
            _percent(returning.get(group), 0),
        ]
        rows.append([*cells, "     ".join(_remarks(snapshot, group))])
    return rows


def _remarks(snapshot: MonitorSnapshot, group: str) -> Iterator[str]:
    """Yield clauses on a group of units: its share of outcomes against another's, and alarms."""
    worst, drift = (
        snapshot.by_group("satisfied_ratio").get(group),
        snapshot.by_group("mix_drift").get(group),
    )
    if worst:
        share = f"satisfied {worst.value:.2f} of {worst.against}'s"
        yield f"{share}   {worst.low:.2f} .. {worst.high:.2f}{_alarm_text(worst)}"
    if drift and drift.alarm:
        yield f"mix {100 * drift.value:+.1f} points{_alarm_text(drift)}"


def _items_table(snapshot: MonitorSnapshot) -> Table:
    """Return a text table of the groups of items: their exposures, clicks and alarms."""
    columns: tuple[tuple[Figure, str], ...] = (
        ("shown", "shown"),
        ("seen", "by position"),
        ("catalogue", "catalogue"),
        ("organic", "organic"),
    )
    shown_columns: list[tuple[Figure, str]] = [
        (figure, name) for figure, name in columns if snapshot.by_group(figure)
    ]
    calibration, organic = snapshot.by_group("calibration"), snapshot.by_group("shown_to_organic")
    rows = [
        [
            _label(snapshot),
            "exposures",
            *(name for _, name in shown_columns),
            "clicks / scores" if calibration else "",
            "",
        ]
    ]
    for group, row in snapshot.by_group("shown").items():
        figures = [_percent(snapshot.by_group(figure).get(group)) for figure, _ in shown_columns]
        remarks = [
            f"shown {_value_text(ratio)} of its organic share{_alarm_text(ratio)}"
            for ratio in [organic.get(group)]
            if ratio
        ]
        rows.append(
            [
                group,
                f"{row.count:,}",
                *figures,
                _calibration(calibration.get(group)) if calibration else "",
                "     ".join(remarks),
            ]
        )
    return rows


def _calibration(row: GroupFigure | None) -> str:
    """Return the ratio of clicks to predicted scores as text, with its alarm; "-" if unknown."""
    return f"{_value_text(row)}{_alarm_text(row)}" if row else "-"


def _over_all(snapshot: MonitorSnapshot) -> Iterator[str]:
    """Yield lines of text on the metrics that belong to no group."""
    figures: tuple[Figure, ...] = ("gini", "gini_rise", "effective_items", "never_shown")
    gini, rise, effective, never = (snapshot.by_group(figure).get("") for figure in figures)
    parts = [f"Gini {gini.value:.3f}"] if gini else []
    parts += (
        [f"{_value_text(rise, '+.3f')} since the first window{_alarm_text(rise)}"] if rise else []
    )
    parts += [f"as spread as {effective.value:,.0f} items shown equally often"] if effective else []
    parts += (
        [f"never shown {100 * never.value:.0f} % of {plural(never.count, 'item')}"] if never else []
    )
    if parts:
        yield f"  concentration   {'   '.join(parts)}"


def _by_version(snapshot: MonitorSnapshot) -> Iterator[str]:
    """Yield lines of text on the main metric by model version, if several versions answered.

    The group is the one in which it is largest.
    """
    figures: tuple[Figure, ...] = (
        ("satisfied_ratio",)
        if snapshot.kind == "units"
        else ("gini", "shown_to_organic", "served_to_trained")
    )
    versions = snapshot.labels("version")
    for version in versions if len(versions) > 1 else ():
        every = [
            snapshot.by_group(name, scope="version", label=version).values() for name in figures
        ]
        sure = [
            [row for row in rows if row.low is not None or row.figure == "served_to_trained"]
            for rows in every
        ]
        largest = [max(rows, key=lambda row: row.value) for rows in sure if rows]
        texts = [f"{_title(row)} {_value_text(row)}{_alarm_text(row)}" for row in largest]
        if texts:
            yield f"  {version:<15} {'   '.join(texts)}"


def _title(row: GroupFigure) -> str:
    """Return the title of a row's metric, for a line of text."""
    if row.figure == "satisfied_ratio":
        return f"satisfied {row.group} / {row.against}"
    return f"{row.figure.replace('_', ' ')} {row.group}".strip()


_MEANINGS: dict[str, Callable[[GroupFigure], str]] = {
    "mix_drift": lambda row: (
        f"{row.group} is {'more' if row.value > 0 else 'less'} of those who come than in the "
        "first window"
    ),
    "shown_to_organic": lambda row: (
        f"{row.group} is shown {row.value:.1f} times as much as it is clicked where no model chose"
    ),
    "calibration": lambda row: (
        f"{row.group or 'everything'} is clicked {row.value:.2f} times as often as the scores say"
    ),
    "gini_rise": lambda _row: "fewer items get more of what is shown than in the first window",
}


def meanings(snapshot: MonitorSnapshot) -> Iterator[str]:
    """Yield a sentence on what each alarm means.

    An alarm of one model version is left out if the whole window has an alarm of the same metric.
    """
    whole = {row.figure for row in snapshot.alarms if row.scope == "window"}
    for row in (
        row for row in snapshot.alarms if row.scope != "version" or row.figure not in whole
    ):
        under = f" under {row.of}" if row.scope == "version" else ""
        if row.figure == "satisfied_ratio":
            then = f"a model trained on these clicks will serve {row.against} better still"
            less = f"finds less here than {row.against}{_comes_back_less(row, snapshot)}"
            yield f"{row.group} {less}{under}; {then}"
        elif row.figure in _MEANINGS:
            yield _MEANINGS[row.figure](row) + under


def _comes_back_less(row: GroupFigure, snapshot: MonitorSnapshot) -> str:
    """Return a remark if a group's units return less often than the compared group's, or ""."""
    returning = snapshot.by_group("returning")
    shares = [returning[name].value for name in (row.group, row.against) if name in returning]
    return " and comes back less" if len(shares) == 2 and shares[0] < shares[1] else ""


def _remedy_text(snapshot: MonitorSnapshot) -> str:
    """Return a sentence on what can be done against an alarm."""
    if snapshot.kind == "units":
        return (
            f"a model that reads {snapshot.groups}, more `explore`, a cap per response; then "
            "compare here by version"
        )
    return (
        "more `explore`, a cap per response, a model that is trained again on explored answers; "
        "then compare here by version"
    )


def _label(snapshot: MonitorSnapshot) -> str:
    """Return the name of the feature or attribute by which a snapshot is grouped."""
    return snapshot.groups.rpartition(".")[2]


def _percent(row: GroupFigure | None, digits: int = 1) -> str:
    """Format a row's share as a percentage."""
    return "-" if row is None else f"{100 * row.value:.{digits}f} %"


def _value_text(row: GroupFigure, spec: str = ".2f") -> str:
    """Return a metric's value with its interval as text; numbers have the format `spec`."""
    return f"{row.value:{spec}}" + (
        f" ({row.low:{spec}} .. {row.high:{spec}})"
        if row.low is not None and row.high is not None
        else ""
    )


def _alarm_text(row: GroupFigure) -> str:
    """Return the word ALARM for a metric that is beyond its limit, else ""."""
    return "   ALARM" if row.alarm else ""
