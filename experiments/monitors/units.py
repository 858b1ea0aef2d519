"""A monitor of units: its query's cells, put together by group, and the figures of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from ...core.runtime.project import Project
from ...errors import Invalid
from ...pipelines.evaluation.statistics import Estimate
from ...project.specs.monitors import AlarmLimits, Monitor
from ...project.specs.reach import path
from ...project.specs.streams import Stream
from . import parity
from .intervals import proportion
from .parity import UnitCounts
from .snapshot import GroupFigure, Scope, UnitFigure
from .units_sql import units_sql
from .windows import MonitorFigures, MonitorWindow

STREAM: Stream = "rankings"
NOBODY_SAID = "(not said)"  # the group of units whose requests left the attribute out
UnitCountsByKind = dict[str, UnitCounts]


class UnitCell(msgspec.Struct, frozen=True, kw_only=True):
    """Units of one kind of request.

    `back`: they are also active in the window after.
    """

    period: str
    day: str
    version: str
    group: str
    satisfied: bool
    back: bool
    units: int


def figures(project: Project, monitor: Monitor, reading: MonitorWindow) -> MonitorFigures:
    """Compute the metrics of a monitor of units, by group, day and model version.

    `reading` has the dates and times that are read. It raises what `read` raises.
    """
    endpoint = project.spec.endpoints[monitor.endpoint]
    outcome = project.spec.objectives[endpoint.objective].outcome
    outcomes = path(outcome, endpoint.unit, project.spec.events) is not None
    cells = read(project, monitor, reading)
    notes = [] if outcomes else [f"satisfied: no {outcome} comes to a {endpoint.unit}"]
    if {cell.group for cell in cells if cell.period == "now"} == {NOBODY_SAID}:
        notes.append(
            f"no request said its {monitor.units}; gateways log it once they are started "
            "after `isthmus apply`"
        )
    return MonitorFigures(
        units=sum(cell.units for cell in cells if cell.period == "now"),
        rows=tuple(rows(cells, monitor.alarm, outcomes=outcomes)),
        notes=tuple(notes),
    )


def read(project: Project, monitor: Monitor, reading: MonitorWindow) -> tuple[UnitCell, ...]:
    """Count units by period, model version and group, and those with an outcome.

    `reading` has the dates and times that are read.

    Raises:
        Invalid: The log's table is from before there were monitors; `apply` adds the column.
    """
    endpoint = project.spec.endpoints[monitor.endpoint]
    state = project.target.warehouse.observe("rankings")
    if state is not None and "attributes" not in {column.name for column in state.columns}:
        raise Invalid(
            "rankings has no column attributes yet",
            remedy="isthmus apply, then start the gateways again",
        )
    days = reading.parameters()
    parameters = {"endpoint": endpoint.name} | days
    if (
        path(
            project.spec.objectives[endpoint.objective].outcome, endpoint.unit, project.spec.events
        )
        is not None
    ):
        parameters |= {"earliest": days["since"], "known": reading.known}
    rows = project.target.warehouse.query(units_sql(project.spec, endpoint), parameters).to_pylist()
    return tuple(_cell(row, monitor.units) for row in rows)


def _cell(row: Mapping[str, Any], attribute: str) -> UnitCell:
    """Convert a row of the query to a count of units."""
    return UnitCell(
        period=row["period"],
        day=row["day"],
        version=row["version"],
        group=group_of(row["attributes"], attribute),
        satisfied=bool(row["satisfied"]),
        back=bool(row["back"]),
        units=int(row["units"]),
    )


def group_of(attributes: str | None, name: str) -> str:
    """Return a unit's group: the value that an attribute has in its requests, as text.

    `attributes` is JSON text. A text value is unchanged; any other is in JSON's notation.
    """
    value = msgspec.json.decode(attributes, type=dict[str, Any]).get(name) if attributes else None
    if value is None:
        return NOBODY_SAID
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def rows(
    cells: Sequence[UnitCell], alarm: AlarmLimits, *, outcomes: bool = True
) -> Iterator[GroupFigure]:
    """Yield the metrics of a monitor of units, as rows of its snapshot.

    Rows of a single day raise no alarm: seven tests a week at one limit would raise false ones.

    Args:
        cells: The counts of units.
        alarm: The limits beyond which a row is an alarm.
        outcomes: Whether the endpoint has an outcome, so that units can be satisfied.
    """
    now, first = (
        kinds(cell for cell in cells if cell.period == period) for period in ("now", "first")
    )
    yield from _mix_rows(now, "window")
    yield from _drift_rows(now, first, alarm)
    if outcomes:
        yield from _satisfied_rows(now, alarm, "window")
    yield from _returning_rows([cell for cell in cells if cell.period == "before"])
    for day in sorted({cell.day for cell in cells if cell.period == "day"}):
        yield from _scope_rows(
            [cell for cell in cells if cell.day == day],
            AlarmLimits(),
            "day",
            day,
            outcomes=outcomes,
        )
    for version in sorted(
        {cell.version for cell in cells if cell.period == "now"}, key=version_order
    ):
        yield from _scope_rows(
            [cell for cell in cells if cell.period == "now" and cell.version == version],
            alarm,
            "version",
            version,
            outcomes=outcomes,
        )


def version_order(version: str) -> tuple[str, int]:
    """Return a key that sorts model@10 after model@9."""
    model, _, number = version.rpartition("@")
    return model, int(number) if number.isdigit() else 0


def _scope_rows(
    cells: Iterable[UnitCell], alarm: AlarmLimits, scope: Scope, label: str, *, outcomes: bool
) -> Iterator[GroupFigure]:
    """Yield the metrics of one day or of one model version, as rows of a snapshot.

    `scope` says which of both, and `label` names it; `outcomes` whether there are any.
    """
    groups = kinds(cells)
    yield from _mix_rows(groups, scope, label)
    if outcomes:
        yield from _satisfied_rows(groups, alarm, scope, label)


def kinds(cells: Iterable[UnitCell]) -> UnitCountsByKind:
    """Sum the units, and those with an outcome, by group, in the order of the groups' names."""
    groups: UnitCountsByKind = {}
    for cell in cells:
        groups[cell.group] = groups.get(cell.group, UnitCounts(0)) + UnitCounts(
            cell.units, cell.units * cell.satisfied
        )
    return dict(sorted(groups.items()))


def _mix_rows(groups: UnitCountsByKind, scope: Scope, label: str = "") -> Iterator[GroupFigure]:
    """Yield each group's share of the units, as rows of a snapshot.

    `scope` and `label` say of which day or model version.
    """
    for name, share in parity.mix(groups).items():
        yield _row("mix", name, share, groups[name].units, scope=scope, label=label)


def _drift_rows(
    now: UnitCountsByKind, first: UnitCountsByKind, alarm: AlarmLimits
) -> Iterator[GroupFigure]:
    """Yield the change of each group's share of units since the first window, as snapshot rows."""
    limit = math.inf if alarm.mix_drift is None else alarm.mix_drift
    for name, moved in parity.drift(now, first).items():
        row = _row("mix_drift", name, moved, now[name].units if name in now else 0)
        yield msgspec.structs.replace(row, alarm=moved.low > limit or moved.high < -limit)


def _satisfied_rows(
    groups: UnitCountsByKind, alarm: AlarmLimits, scope: Scope, label: str = ""
) -> Iterator[GroupFigure]:
    """Yield each group's share of units with an outcome, and the lowest over the highest.

    They are rows of a snapshot; `scope` and `label` say of which day or model version.
    """
    for name, kind in groups.items():
        yield _row(
            "satisfied",
            name,
            proportion(kind.satisfied, kind.units),
            kind.units,
            scope=scope,
            label=label,
        )
    worst = parity.lowest_over_highest(
        {name: kind for name, kind in groups.items() if name != NOBODY_SAID}
    )
    if worst is not None:
        row = _row(
            "satisfied_ratio",
            worst.lowest,
            worst.ratio,
            groups[worst.lowest].units,
            scope=scope,
            label=label,
        )
        beyond = alarm.satisfied_ratio is not None and worst.ratio.high < alarm.satisfied_ratio
        yield msgspec.structs.replace(row, against=worst.highest, alarm=beyond)


def _returning_rows(cells: Sequence[UnitCell]) -> Iterator[GroupFigure]:
    """Yield the share of each group's units that came again, as rows of a snapshot."""
    for name, kind in kinds(
        msgspec.structs.replace(cell, satisfied=cell.back) for cell in cells
    ).items():
        yield _row("returning", name, proportion(kind.satisfied, kind.units), kind.units)


def _row(
    figure: UnitFigure,
    group: str,
    share: Estimate,
    count: int,
    *,
    scope: Scope = "window",
    label: str = "",
) -> GroupFigure:
    """Return the snapshot's row of a metric of a group.

    `share` is its value, `count` the units it rests on; `scope` and `label` say of which day or
    model version.
    """
    return GroupFigure(
        figure=figure,
        group=group,
        value=share.value,
        low=share.low,
        high=share.high,
        scope=scope,
        of=label,
        count=count,
    )
