"""A run's sums by arm, first day and day, from one query: adding them gives every look of the past,
and closed windows, exactly.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
from msgspec.structs import replace

from ...core.runtime.project import Project
from ...endpoints.gateway.log.log_rows import credit
from ...endpoints.gateway.log.streams import ASSIGNMENTS, EXPOSURES, RANKINGS
from ...errors import Invalid, NotFound
from ...project.specs.description import ProjectSpec
from ...project.specs.experiments import MODEL_VERSION, Metric
from ...times import utc_milliseconds
from ..design.runs import FrozenRun, first_day
from ..statistics.sums import NOTHING, Number, Sums
from .cells_sql import (
    TWICE,
    UNSHIFTED,
    Shift,
    cells_sql,
    is_shifted,
    parameters,
    past_shifted,
    sums_of,
)
from .run_units import ENDPOINT_UNITS, RUN_UNITS, segment_units, versions_sql

AFTER_STOP = timedelta(seconds=10)  # in which the last gateway has taken it
_DAY = timedelta(days=1)
_RECENT = timedelta(days=28)


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """What a day adds to the sums of the units that came to an arm on a first day.

    `steps`: of metrics compared by day, the day alone.
    """

    arm: str
    segment: str  # '', or `platform=ios`
    first: date
    day: date
    sums: dict[str, Sums]
    steps: dict[str, Sums] = {}


class RunCells(msgspec.Struct, frozen=True, kw_only=True):
    """`arms`: the control first."""

    arms: tuple[str, ...]
    cells: tuple[Cell, ...]
    twice: int = 0  # units that are in several arms: left out

    @property
    def first_day(self) -> date:
        """ValueError: there is no unit."""
        return min(cell.first for cell in self.cells)

    def days(self, until: datetime) -> list[date]:
        """From the first day on, those that are over by `until`."""
        return [self.first_day + at * _DAY for at in range((until.date() - self.first_day).days)]

    def units(self) -> dict[str, int]:
        """Of each arm, also those whose windows are open."""
        return {arm: sum(count for _, count in self._came(arm)) for arm in self.arms}

    def by_first_day(self) -> dict[date, dict[str, int]]:
        days: dict[date, dict[str, int]] = {}
        for arm in self.arms:
            for day, count in self._came(arm):
                of_day = days.setdefault(day, dict.fromkeys(self.arms, 0))
                of_day[arm] += count
        return dict(sorted(days.items()))

    def by_value(self, attribute: str) -> dict[str, dict[str, int]]:
        """Units of each arm by the value of an attribute, of cells by segment."""
        values: dict[str, dict[str, int]] = {}
        for cell in self.cells:
            name, _, value = cell.segment.partition("=")
            if name == attribute:
                of_value = values.setdefault(value, dict.fromkeys(self.arms, 0))
                of_value[cell.arm] += _units(cell)
        return dict(sorted(values.items()))

    def _came(self, arm: str) -> Iterator[tuple[date, int]]:
        return ((cell.first, _units(cell)) for cell in self.cells if cell.arm == arm)

    def at(
        self, metric: Metric, ends: datetime, window: timedelta | None, *, segment: str = ""
    ) -> dict[str, Sums]:
        """Of each arm before `ends`, a midnight or the query's end; of units whose `window` of
        whole days is over by then.
        """
        last_first = (ends - window).date() if window else date.max
        last = (ends - timedelta(milliseconds=1)).date()
        counted = [
            c
            for c in self.cells
            if c.segment == segment and c.first <= last_first and c.day <= last
        ]
        return {
            arm: sum((c.sums[metric.name] for c in counted if c.arm == arm), NOTHING)
            for arm in self.arms
        }

    def on(self, metric: Metric, since_first: int, ends: datetime) -> dict[str, Sums]:
        """What each arm did on that day since its units' first, of the units whose day is over: the
        day by itself.
        """
        last = ends.date() - _DAY
        part = [c for c in self.cells if c.day <= last and (c.day - c.first).days == since_first]
        came = {
            arm: sum(n for day, n in self._came(arm) if day + since_first * _DAY <= last)
            for arm in self.arms
        }
        return {
            arm: _alone([c for c in part if c.arm == arm], metric, came[arm], since_first)
            for arm in self.arms
        }


def _units(cell: Cell) -> int:
    """That came on its first day: the increments of later days have none."""
    return next(iter(cell.sums.values())).units


def _alone(cells: Iterable[Cell], metric: Metric, units: int, since_first: int) -> Sums:
    step = sum((cell.steps[metric.name] for cell in cells), NOTHING)
    shift = (
        step.shift if since_first == 0 else (0, 0, 0)
    )  # what a later day adds to a unit is not shifted
    d = (units, step.y, units) if metric.denominator is None else (step.d, step.yd, step.dd)
    return Sums(units=units, y=step.y, yy=step.yy, d=d[0], yd=d[1], dd=d[2], shift=shift)


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What is counted: events before `until` (not included) with outcomes that are known at
    `known`; days as YYYY-MM-DD are read from.
    """

    until: datetime
    known: datetime
    since: str
    earliest: str


def reading(
    project: Project,
    run: FrozenRun,
    metrics: Iterable[Metric],
    moment: datetime,
    stopped: datetime | None,
) -> Reading:
    """What happens after a stop is out, also of units that are in their windows: they have other
    parameters by then.
    """
    metrics = tuple(metrics)
    ends, known = cutoffs(project.spec, metrics, moment)
    since = first_day(run, project.spec)
    before = max((metric.before for metric in metrics if metric.before), default=timedelta())
    return Reading(
        until=min(ends, stopped + AFTER_STOP) if stopped else ends,
        known=known,
        since=since.isoformat(),
        earliest=(since - before).isoformat(),
    )


def cutoffs(
    spec: ProjectSpec, metrics: Iterable[Metric], moment: datetime
) -> tuple[datetime, datetime]:
    """Before when events count, and when outcomes are known.

    An old log (`now:`) is complete: its last moment counts, with its outcomes.
    """
    if spec.now is None or moment != utc_milliseconds(spec.now):
        return moment, moment
    within = (
        spec.objectives[m.objective].within for m in metrics if m.objective in spec.objectives
    )
    return moment + timedelta(milliseconds=1), moment + max(within, default=timedelta())


def read(
    project: Project,
    run: FrozenRun,
    metrics: Sequence[Metric],
    of: Reading,
    *,
    daily: Sequence[str] = (),
) -> RunCells:
    """One query; two where a metric's values lie so far from zero that sums of their squares lose
    digits.

    NotFound: project.yaml has no such endpoint any more. Invalid: no gateway has logged an
    assignment.
    """
    return _exact(
        project, run, of, CellQuery(metrics=tuple(metrics), arms=_arms(run), daily=frozenset(daily))
    )


def read_wins(project: Project, run: FrozenRun, metric: Metric, of: Reading) -> RunCells:
    """Of an interleaved run, whose one arm has every unit:

    `metric` as run_sql.win_rate gives it.
    """
    control, treatment = (
        credit(run.run, variant) for variant in run.definition.experiment.interleave or ()
    )
    credits_ = {"control_credit": control, "treatment_credit": treatment}
    return _read(project, run, of, CellQuery(metrics=(metric,), arms=_arms(run), credits=credits_))


def read_segments(
    project: Project, run: FrozenRun, metrics: Sequence[Metric], of: Reading
) -> RunCells:
    """The same by segment: a unit is in one of each attribute."""
    segments = run.definition.experiment.segments
    answered_by = {"endpoint": run.definition.layer.endpoint} if MODEL_VERSION in segments else {}
    asked = CellQuery(
        metrics=tuple(metrics),
        arms=_arms(run),
        units=segment_units(segments),
        segmented=True,
        of_whom=answered_by,
    )
    return _exact(project, run, of, asked)


def read_versions(project: Project, run: FrozenRun, of: Reading) -> dict[str, dict[str, int]]:
    """Units of each arm by the version (`ranker@3`) that answered them first; nobody where no
    answers are logged.
    """
    if project.target.warehouse.observe(RANKINGS.name) is None:
        return {}
    values = {
        "run": run.run,
        "endpoint": run.definition.layer.endpoint,
        "since": of.since,
        "until": of.until,
    }
    arms = tuple(arm.name for arm in run.definition.experiment.arms)
    by_version: dict[str, dict[str, int]] = {}
    for row in project.target.warehouse.query(versions_sql(), values).to_pylist():
        of_version = by_version.setdefault(row["version"], dict.fromkeys(arms, 0))
        if row["arm"] in arms:
            of_version[row["arm"]] += int(row["units"])
    return dict(sorted(by_version.items()))


def read_endpoint(project: Project, endpoint: str, metric: Metric, moment: datetime) -> RunCells:
    """Everybody whom an endpoint's gateways served in the last 28 days, from the first exposure on;
    one arm, `all`. As exact as `read`.

    Invalid: it has served nobody.
    """
    asked = CellQuery(metrics=(metric,), arms=("all",), units=ENDPOINT_UNITS)
    cells = _of_endpoint(project, endpoint, asked, moment)
    if not cells.cells:
        raise Invalid(
            f"{endpoint} has served no units yet: nothing to plan with",
            remedy="--control 0.4% --units 8000/day, or a metric that the log has",
        )
    shifts = _shifts(cells, asked.metrics)
    return (
        _of_endpoint(project, endpoint, replace(asked, shifts=shifts), moment) if shifts else cells
    )


def _of_endpoint(project: Project, endpoint: str, asked: CellQuery, moment: datetime) -> RunCells:
    rows: list[dict[str, Any]] = []
    if project.target.warehouse.observe(EXPOSURES.name) is not None:
        since = moment.date() - _RECENT
        before = max(
            (metric.before for metric in asked.metrics if metric.before), default=timedelta()
        )
        until, known = cutoffs(project.spec, asked.metrics, moment)
        values = {
            "endpoint": endpoint,
            "until": until,
            "since": since.isoformat(),
            "earliest": (since - before).isoformat(),
        }
        sql = _sql(project.spec, asked, project.spec.endpoints[endpoint].unit)
        rows = project.target.warehouse.query(sql, values | _parameters(asked, known)).to_pylist()
    return RunCells(arms=asked.arms, cells=tuple(cell(row, asked) for row in rows))


class CellQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What the query says of whom.

    `daily`: metrics whose days are compared by themselves; `shifts`: what is taken from a unit's
    value.
    """

    metrics: tuple[Metric, ...]
    arms: tuple[str, ...]
    units: str = RUN_UNITS
    segmented: bool = False
    daily: frozenset[str] = frozenset()
    shifts: dict[str, Shift] = {}
    credits: dict[str, str] = {}  # of an interleaved run, by parameter
    of_whom: dict[str, str] = {}  # parameters of `units` that others do not have


def _exact(project: Project, run: FrozenRun, of: Reading, asked: CellQuery) -> RunCells:
    cells = _read(project, run, of, asked)
    shifts = _shifts(cells, asked.metrics)
    return _read(project, run, of, replace(asked, shifts=shifts)) if shifts else cells


def _read(project: Project, run: FrozenRun, of: Reading, asked: CellQuery) -> RunCells:
    sql = _sql(project.spec, asked, _unit(project, run))
    moments = (
        asked.credits
        | asked.of_whom
        | {"run": run.run, "since": of.since, "earliest": of.earliest, "until": of.until}
    )
    rows = project.target.warehouse.query(sql, moments | _parameters(asked, of.known)).to_pylist()
    return RunCells(
        arms=asked.arms,
        cells=tuple(cell(row, asked) for row in rows if row["arm"] >= 0),
        twice=sum(int(row["units"]) for row in rows if row["arm"] == TWICE),
    )


def _sql(spec: ProjectSpec, asked: CellQuery, unit: str) -> str:
    return cells_sql(
        spec,
        asked.metrics,
        unit=unit,
        arms=len(asked.arms),
        units=asked.units,
        segmented=asked.segmented,
        daily=asked.daily,
        credited=bool(asked.credits),
    )


def _parameters(asked: CellQuery, known: datetime) -> dict[str, object]:
    return parameters(asked.metrics, asked.arms, known=known, shifts=asked.shifts)


def _arms(run: FrozenRun) -> tuple[str, ...]:
    return tuple(arm.name for arm in run.definition.experiment.arms)


def _unit(project: Project, run: FrozenRun) -> str:
    name = run.definition.layer.endpoint
    if name not in project.spec.endpoints:
        raise NotFound(
            f"project.yaml has no endpoint {name}, whose units {run.run} assigned",
            remedy="put it back",
        )
    if project.target.warehouse.observe(ASSIGNMENTS.name) is None:
        raise Invalid(
            f"{run.run}: {project.target.name} has no table {ASSIGNMENTS.name}",
            remedy="isthmus apply",
        )
    return project.spec.endpoints[name].unit


def cell(row: Mapping[str, Any], asked: CellQuery) -> Cell:
    """Of a row of the query."""
    pairs = [
        (metric, _values(row, at, metric, metric.name in asked.daily))
        for at, metric in enumerate(asked.metrics)
    ]
    units, shifts = int(row["units"]), asked.shifts
    return Cell(
        arm=asked.arms[int(row["arm"])],
        segment=row["segment"],
        first=row["first_day"].date(),
        day=row["day"].date(),
        sums={metric.name: _sums(metric, units, values, shifts) for metric, values in pairs},
        steps={
            metric.name: _step(metric, units, values, shifts)
            for metric, values in pairs
            if metric.name in asked.daily
        },
    )


def _values(row: Mapping[str, Any], at: int, metric: Metric, of_day: bool) -> dict[str, Number]:
    whole = metric.numerator.attribute is None and (
        metric.at_most is None or metric.at_most == int(metric.at_most)
    )
    return {
        name: _number(row[f"m{at}_{name}"], name, metric, whole)
        for name in sums_of(metric, daily=of_day)
    }


def _number(value: Any, name: str, metric: Metric, whole: bool) -> Number:
    counted = whole or (
        name in ("d", "dd", "vv")
        and metric.denominator is not None
        and metric.denominator.attribute is None
    )
    if not math.isfinite(value):
        raise Invalid(
            f"metric {metric.name}: its values are too large to be squared",
            remedy="at_most: bounds what a unit adds",
        )
    return int(value) if counted else float(value)


def _sums(
    metric: Metric, units: int, values: Mapping[str, Number], shifts: Mapping[str, Shift]
) -> Sums:
    of_unit: dict[str, Any] = (
        {}
        if metric.denominator
        else {"d": units, "yd": values["y"], "dd": units, "dx": values.get("x", 0)}
    )
    columns = {name: value for name, value in values.items() if name not in ("uu", "uv", "vv")}
    sums: dict[str, Any] = of_unit | columns
    y, x = shifts.get(metric.name, UNSHIFTED)
    return Sums(units=units, **sums, shift=(y, 0, x))


def _step(
    metric: Metric, units: int, values: Mapping[str, Number], shifts: Mapping[str, Shift]
) -> Sums:
    return Sums(
        units=units,
        y=values["y"],
        d=values.get("d", 0),
        yy=values["uu"],
        yd=values.get("uv", 0),
        dd=values.get("vv", 0),
        shift=(shifts.get(metric.name, UNSHIFTED)[0], 0, 0),
    )


def _shifts(cells: RunCells, metrics: Iterable[Metric]) -> dict[str, Shift]:
    of_floats = [metric for metric in metrics if is_shifted(metric) or past_shifted(metric)]
    due = [
        metric
        for metric in of_floats
        if any(_total(cells, metric, arm).shift_due for arm in cells.arms)
    ]
    return {
        metric.name: _means(metric, sum((c.sums[metric.name] for c in cells.cells), NOTHING))
        for metric in due
    }


def _means(metric: Metric, everyone: Sums) -> Shift:
    return (
        everyone.mean("y") if is_shifted(metric) else 0.0,
        everyone.mean("x") if past_shifted(metric) else 0.0,
    )


def _total(cells: RunCells, metric: Metric, arm: str) -> Sums:
    return sum((c.sums[metric.name] for c in cells.cells if c.arm == arm), NOTHING)
