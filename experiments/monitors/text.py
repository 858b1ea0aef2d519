"""A monitor's snapshot as the console shows it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ...reports.columns import aligned

if TYPE_CHECKING:
    from .snapshot import Figure, Row, Snapshot

_WEEK = 7
Table = list[list[str]]


def text(seen: Snapshot) -> str:
    return "\n".join(_lines(seen))


def _lines(seen: Snapshot) -> Iterator[str]:
    yield f"{seen.monitor}   {seen.endpoint}, {_days(seen.window)} to {seen.until:%Y-%m-%d}"
    table = _units_table(seen) if seen.kind == "units" else _items_table(seen)
    yield from aligned(table, left=(0, len(table[0]) - 1))
    yield from _over_all(seen)
    yield from _by_version(seen)
    yield from (f"  {note}" for note in seen.notes)
    yield f"what it means   {'; '.join(meanings(seen)) or _quiet(seen)}"
    if seen.alarms:
        yield f"what helps      {_help(seen)}"


def _days(number: int) -> str:
    return "1 day" if number == 1 else f"{number} days"


def _quiet(seen: Snapshot) -> str:
    asked = any(getattr(seen.alarm, name) is not None for name in seen.alarm.__struct_fields__)
    return (
        "no figure is beyond its limit"
        if asked
        else "nothing is an alarm here: write `alarm:` with limits"
    )


def _units_table(seen: Snapshot) -> Table:
    figures: tuple[Figure, ...] = ("mix", "mix_drift", "satisfied", "returning")
    mix, drift, satisfied, returning = map(seen.of, figures)
    first = "first week" if seen.window == _WEEK else f"first {_days(seen.window)}"
    rows = [[_label(seen), "active units", f"mix ({first})", "satisfied", "returning", ""]]
    for group, row in mix.items():
        before = f" ({100 * (row.value - drift[group].value):.1f})" if group in drift else ""
        cells = [
            group,
            f"{row.count:,}",
            f"{_percent(row)}{before}",
            _percent(satisfied.get(group)),
            _percent(returning.get(group), 0),
        ]
        rows.append([*cells, "     ".join(_remarks(seen, group))])
    return rows


def _remarks(seen: Snapshot, group: str) -> Iterator[str]:
    worst, drift = seen.of("satisfied_ratio").get(group), seen.of("mix_drift").get(group)
    if worst:
        yield f"satisfied {worst.value:.2f} of {worst.against}'s   {worst.low:.2f} .. {worst.high:.2f}{_alarm(worst)}"
    if drift and drift.alarm:
        yield f"mix {100 * drift.value:+.1f} points{_alarm(drift)}"


def _items_table(seen: Snapshot) -> Table:
    columns: tuple[tuple[Figure, str], ...] = (
        ("shown", "shown"),
        ("seen", "by position"),
        ("catalogue", "catalogue"),
        ("organic", "organic"),
    )
    there: list[tuple[Figure, str]] = [
        (figure, name) for figure, name in columns if seen.of(figure)
    ]
    calibration, organic = seen.of("calibration"), seen.of("shown_to_organic")
    rows = [
        [
            _label(seen),
            "exposures",
            *(name for _, name in there),
            "clicks / scores" if calibration else "",
            "",
        ]
    ]
    for group, row in seen.of("shown").items():
        figures = [_percent(seen.of(figure).get(group)) for figure, _ in there]
        remarks = [
            f"shown {_value_text(ratio)} of its organic share{_alarm(ratio)}"
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


def _calibration(row: Row | None) -> str:
    return f"{_value_text(row)}{_alarm(row)}" if row else "-"


def _over_all(seen: Snapshot) -> Iterator[str]:
    """What has no group."""
    figures: tuple[Figure, ...] = ("gini", "gini_rise", "effective_items", "never_shown")
    gini, rise, effective, never = (seen.of(figure).get("") for figure in figures)
    parts = [f"Gini {gini.value:.3f}"] if gini else []
    parts += [f"{_value_text(rise, '+.3f')} since the first window{_alarm(rise)}"] if rise else []
    parts += [f"as spread as {effective.value:,.0f} items shown equally often"] if effective else []
    parts += [f"never shown {100 * never.value:.0f} % of {never.count:,} items"] if never else []
    if parts:
        yield f"  concentration   {'   '.join(parts)}"


def _by_version(seen: Snapshot) -> Iterator[str]:
    """The figure that decides, of the group where it is largest, where more than one version
    answered.
    """
    figures: tuple[Figure, ...] = (
        ("satisfied_ratio",)
        if seen.kind == "units"
        else ("gini", "shown_to_organic", "served_to_trained")
    )
    versions = seen.labels("version")
    for version in versions if len(versions) > 1 else ():
        every = [seen.of(name, scope="version", of=version).values() for name in figures]
        sure = [
            [row for row in rows if row.low is not None or row.figure == "served_to_trained"]
            for rows in every
        ]
        largest = [max(rows, key=lambda row: row.value) for rows in sure if rows]
        told = [f"{_title(row)} {_value_text(row)}{_alarm(row)}" for row in largest]
        if told:
            yield f"  {version:<15} {'   '.join(told)}"


def _title(row: Row) -> str:
    if row.figure == "satisfied_ratio":
        return f"satisfied {row.group} / {row.against}"
    return f"{row.figure.replace('_', ' ')} {row.group}".strip()


_MEANINGS: dict[str, Callable[[Row], str]] = {
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


def meanings(seen: Snapshot) -> Iterator[str]:
    """Of each alarm, in words; of a version's only where the window has none of its kind."""
    whole = {row.figure for row in seen.alarms if row.scope == "window"}
    for row in (row for row in seen.alarms if row.scope != "version" or row.figure not in whole):
        under = f" under {row.of}" if row.scope == "version" else ""
        if row.figure == "satisfied_ratio":
            then = f"a model trained on these clicks will serve {row.against} better still"
            yield f"{row.group} finds less here than {row.against}{_comes_back_less(row, seen)}{under}; {then}"
        elif row.figure in _MEANINGS:
            yield _MEANINGS[row.figure](row) + under


def _comes_back_less(row: Row, seen: Snapshot) -> str:
    returning = seen.of("returning")
    shares = [returning[name].value for name in (row.group, row.against) if name in returning]
    return " and comes back less" if len(shares) == 2 and shares[0] < shares[1] else ""


def _help(seen: Snapshot) -> str:
    if seen.kind == "units":
        return (
            f"a model that reads {seen.groups}, more `explore`, a cap per response; then compare "
            "here by version"
        )
    return (
        "more `explore`, a cap per response, a model that is trained again on explored answers; "
        "then compare here by version"
    )


def _label(seen: Snapshot) -> str:
    return seen.groups.rpartition(".")[2]


def _percent(row: Row | None, digits: int = 1) -> str:
    return "-" if row is None else f"{100 * row.value:.{digits}f} %"


def _value_text(row: Row, spec: str = ".2f") -> str:
    return f"{row.value:{spec}}" + (
        f" ({row.low:{spec}} .. {row.high:{spec}})"
        if row.low is not None and row.high is not None
        else ""
    )


def _alarm(row: Row) -> str:
    return "   ALARM" if row.alarm else ""
