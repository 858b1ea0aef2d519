"""A run's sums by arm, first day and day, from one query.

Adding them gives every look of the past, and closed windows, exactly.
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
from ..statistics.sums import NOTHING, Number, UnitSums
from .cells_sql import (
    TWICE,
    UNSHIFTED,
    Shift,
    cells_sql,
    parameters,
    shifts_covariate,
    shifts_outcome,
    sums_of,
)
from .run_units import ENDPOINT_UNITS, RUN_UNITS, segment_units, versions_sql

AFTER_STOP = timedelta(seconds=10)  # in which the last gateway has taken it
_DAY = timedelta(days=1)
_RECENT = timedelta(days=28)


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """The sums that a day adds, of the units that came to an arm on a first day.

    `steps`: of metrics compared by day, the day alone.
    """

    arm: str
    segment: str  # '', or `platform=ios`
    first: date
    day: date
    sums: dict[str, UnitSums]
    steps: dict[str, UnitSums] = {}


class RunCells(msgspec.Struct, frozen=True, kw_only=True):
    """The cells of a run; of `arms` the control is first."""

    arms: tuple[str, ...]
    cells: tuple[Cell, ...]
    twice: int = 0  # units that are in several arms: left out

    @property
    def first_day(self) -> date:
        """Return the day on which the run's first unit was seen; ValueError without a unit."""
        return min(cell.first for cell in self.cells)

    def days(self, until: datetime) -> list[date]:
        """Return the days since the run's first unit that are over at a time."""
        return [
            self.first_day + number * _DAY for number in range((until.date() - self.first_day).days)
        ]

    def units(self) -> dict[str, int]:
        """Return the number of units of each arm, with those whose outcomes may still come."""
        return {arm: sum(count for _, count in self._units_by_first_day(arm)) for arm in self.arms}

    def by_first_day(self) -> dict[date, dict[str, int]]:
        """Return the number of units of each arm by the day on which they were first seen."""
        days: dict[date, dict[str, int]] = {}
        for arm in self.arms:
            for day, count in self._units_by_first_day(arm):
                of_day = days.setdefault(day, dict.fromkeys(self.arms, 0))
                of_day[arm] += count
        return dict(sorted(days.items()))

    def by_value(self, attribute: str) -> dict[str, dict[str, int]]:
        """Return the number of units of each arm, by the values of a segment attribute."""
        values: dict[str, dict[str, int]] = {}
        for cell in self.cells:
            name, _, value = cell.segment.partition("=")
            if name == attribute:
                of_value = values.setdefault(value, dict.fromkeys(self.arms, 0))
                of_value[cell.arm] += _units(cell)
        return dict(sorted(values.items()))

    def _units_by_first_day(self, arm: str) -> Iterator[tuple[date, int]]:
        """Yield the days on which units of an arm were first seen, with their numbers."""
        return ((cell.first, _units(cell)) for cell in self.cells if cell.arm == arm)

    def sums_at(
        self, metric: Metric, ends: datetime, window: timedelta | None, *, segment: str = ""
    ) -> dict[str, UnitSums]:
        """Return each arm's sums of a metric, over the events before `ends`.

        Args:
            metric: The metric.
            ends: Events before it count: a midnight or the query's end.
            window: Units count whose window of whole days is over by then; None: all.
            segment: The segment, such as `platform=ios`; "": all units.
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

    def sums_of_day(self, metric: Metric, since_first: int, ends: datetime) -> dict[str, UnitSums]:
        """Return each arm's sums of a metric for one day of its units' age.

        Args:
            metric: The metric.
            since_first: The unit's age: days since its first exposure, from 0.
            ends: Units count whose day is over by then.
        """
        last = ends.date() - _DAY
        part = [c for c in self.cells if c.day <= last and (c.day - c.first).days == since_first]
        units = {
            arm: sum(
                n for day, n in self._units_by_first_day(arm) if day + since_first * _DAY <= last
            )
            for arm in self.arms
        }
        return {
            arm: _day_alone([c for c in part if c.arm == arm], metric, units[arm], since_first)
            for arm in self.arms
        }


def _units(cell: Cell) -> int:
    """Return the number of units that a row of sums adds: those first seen on its day.

    Rows of later days hold only increments and count no units.
    """
    return next(iter(cell.sums.values())).units


def _day_alone(cells: Iterable[Cell], metric: Metric, units: int, since_first: int) -> UnitSums:
    """Return a metric's sums for one day of the units' age, as if that day stood alone.

    `cells` are the rows of that day, `units` counts the units that had it, and `since_first` is its
    number since a unit's first exposure, from 0.
    """
    step = sum((cell.steps[metric.name] for cell in cells), NOTHING)
    shift = (
        step.shift if since_first == 0 else (0, 0, 0)
    )  # what a later day adds to a unit is not shifted
    d = (units, step.y, units) if metric.denominator is None else (step.d, step.yd, step.dd)
    return UnitSums(units=units, y=step.y, yy=step.yy, d=d[0], yd=d[1], dd=d[2], shift=shift)


class CountedPeriod(msgspec.Struct, frozen=True, kw_only=True):
    """The period that is counted: events before `until`, with outcomes that are known at `known`.

    `since`, `earliest`: days as YYYY-MM-DD from which on assignments and events are read.
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
) -> CountedPeriod:
    """Return the period in which a look at results counts events and outcomes.

    Events after a stop do not count, even within the window of a unit: by then its requests get
    other parameters.

    Args:
        project: The project.
        run: The run.
        metrics: The metrics that are compared.
        moment: The time of this look at the results.
        stopped: When the run was stopped, if it was.
    """
    metrics = tuple(metrics)
    ends, known_at = cutoffs(project.spec, metrics, moment)
    since = first_day(run, project.spec)
    time_before = max((metric.before for metric in metrics if metric.before), default=timedelta())
    return CountedPeriod(
        until=min(ends, stopped + AFTER_STOP) if stopped else ends,
        known=known_at,
        since=since.isoformat(),
        earliest=(since - time_before).isoformat(),
    )


def cutoffs(
    spec: ProjectSpec, metrics: Iterable[Metric], moment: datetime
) -> tuple[datetime, datetime]:
    """Return the time before which events count, and that by which outcomes are known.

    Both are for results as of `moment`. An old log (`now:`) is complete: its last moment counts,
    with its outcomes.
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
    period: CountedPeriod,
    *,
    daily: Sequence[str] = (),
) -> RunCells:
    """Read the sums of a run's metrics by arm and day, with a query of the log.

    There is a second query where a metric's values lie so far from zero that sums of their squares
    lose digits.

    Args:
        project: The project.
        run: The run.
        metrics: The metrics whose sums are read.
        period: The period in which assignments and events count.
        daily: Metrics whose days are compared by themselves.

    Raises:
        NotFound: project.yaml has no such endpoint any more.
        Invalid: No gateway has logged an assignment.
    """
    return _read_exactly(
        project,
        run,
        period,
        CellQuery(
            metrics=tuple(metrics),
            arms=_arms(run),
            daily=frozenset(daily),
            drop_above=run.definition.experiment.drop_above,
        ),
    )


def read_wins(project: Project, run: FrozenRun, metric: Metric, period: CountedPeriod) -> RunCells:
    """Read the sums of an interleaved run's wins; one arm has every unit.

    `metric` is as `cells_sql.win_rate` gives it.
    """
    control, treatment = (
        credit(run.run, variant) for variant in run.definition.experiment.interleave or ()
    )
    credits_ = {"control_credit": control, "treatment_credit": treatment}
    return _read(
        project, run, period, CellQuery(metrics=(metric,), arms=_arms(run), credits=credits_)
    )


def read_segments(
    project: Project, run: FrozenRun, metrics: Sequence[Metric], period: CountedPeriod
) -> RunCells:
    """Read the sums of a run's metrics by segment, arm and day.

    A unit is in one segment of each attribute.
    """
    segments = run.definition.experiment.segments
    answered_by = {"endpoint": run.definition.layer.endpoint} if MODEL_VERSION in segments else {}
    query = CellQuery(
        metrics=tuple(metrics),
        arms=_arms(run),
        units=segment_units(segments),
        segmented=True,
        of_whom=answered_by,
        drop_above=run.definition.experiment.drop_above,
    )
    return _read_exactly(project, run, period, query)


def read_versions(
    project: Project, run: FrozenRun, period: CountedPeriod
) -> dict[str, dict[str, int]]:
    """Return the number of units of each arm, by the model version that answered them first.

    It is empty where no answers are logged.
    """
    if project.target.warehouse.observe(RANKINGS.name) is None:
        return {}
    values = {
        "run": run.run,
        "endpoint": run.definition.layer.endpoint,
        "since": period.since,
        "until": period.until,
    }
    arms = tuple(arm.name for arm in run.definition.experiment.arms)
    by_version: dict[str, dict[str, int]] = {}
    for row in project.target.warehouse.query(versions_sql(), values).to_pylist():
        of_version = by_version.setdefault(row["version"], dict.fromkeys(arms, 0))
        if row["arm"] in arms:
            of_version[row["arm"]] += int(row["units"])
    return dict(sorted(by_version.items()))


def read_endpoint(
    project: Project, endpoint: str, metric: Metric, moment: datetime, drop_above: int | None = None
) -> RunCells:
    """Read the sums of a metric over all units that an endpoint served in the last 28 days.

    A unit counts from its first exposure on. There is one arm, named `all`. Sums that lose digits
    are read again on shifted values, as `read` does. Units with more events than `drop_above` in
    the metric's denominator add nothing.

    Raises:
        Invalid: The endpoint has answered no unit in that time.
    """
    query = CellQuery(metrics=(metric,), arms=("all",), units=ENDPOINT_UNITS, drop_above=drop_above)
    cells = _of_endpoint(project, endpoint, query, moment)
    if not cells.cells:
        raise Invalid(
            f"{endpoint} has served no units yet: nothing to plan with",
            remedy="--control 0.4% --units 8000/day, or a metric that the log has",
        )
    shifts = _shifts(cells, query.metrics)
    return (
        _of_endpoint(project, endpoint, replace(query, shifts=shifts), moment) if shifts else cells
    )


def _of_endpoint(project: Project, endpoint: str, query: CellQuery, moment: datetime) -> RunCells:
    """Query the sums of metrics over all units that an endpoint served."""
    rows: list[dict[str, Any]] = []
    if project.target.warehouse.observe(EXPOSURES.name) is not None:
        since = moment.date() - _RECENT
        time_before = max(
            (metric.before for metric in query.metrics if metric.before), default=timedelta()
        )
        until, known_at = cutoffs(project.spec, query.metrics, moment)
        values = {
            "endpoint": endpoint,
            "until": until,
            "since": since.isoformat(),
            "earliest": (since - time_before).isoformat(),
        }
        sql = _sql(project.spec, query, project.spec.endpoints[endpoint].unit)
        rows = project.target.warehouse.query(
            sql, values | _parameters(query, known_at)
        ).to_pylist()
    return RunCells(arms=query.arms, cells=tuple(cell(row, query) for row in rows))


class CellQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A query of cells: the metrics, the arms and the units that count.

    `daily`: metrics whose days are compared by themselves. `shifts`: what is taken from a unit's
    value. `of_whom`: parameters of `units` that others do not have.
    """

    metrics: tuple[Metric, ...]
    arms: tuple[str, ...]
    units: str = RUN_UNITS
    segmented: bool = False
    daily: frozenset[str] = frozenset()
    shifts: dict[str, Shift] = {}
    credits: dict[str, str] = {}  # of an interleaved run, by parameter
    of_whom: dict[str, str] = {}  # parameters of `units` that others do not have
    drop_above: int | None = None  # units with more events of a rate's denominator are left out


def _read_exactly(
    project: Project, run: FrozenRun, period: CountedPeriod, query: CellQuery
) -> RunCells:
    """Query a run's sums, and again with shifted values where sums of squares lost digits."""
    cells = _read(project, run, period, query)
    shifts = _shifts(cells, query.metrics)
    return _read(project, run, period, replace(query, shifts=shifts)) if shifts else cells


def _read(project: Project, run: FrozenRun, period: CountedPeriod, query: CellQuery) -> RunCells:
    """Query the sums of a run's metrics once."""
    sql = _sql(project.spec, query, unit_of(project, run))
    moments = (
        query.credits
        | query.of_whom
        | {
            "run": run.run,
            "since": period.since,
            "earliest": period.earliest,
            "until": period.until,
        }
    )
    rows = project.target.warehouse.query(
        sql, moments | _parameters(query, period.known)
    ).to_pylist()
    return RunCells(
        arms=query.arms,
        cells=tuple(cell(row, query) for row in rows if row["arm"] >= 0),
        twice=sum(int(row["units"]) for row in rows if row["arm"] == TWICE),
    )


def _sql(spec: ProjectSpec, query: CellQuery, unit: str) -> str:
    """Return the SQL of the query that sums a run's metrics."""
    return cells_sql(
        spec,
        query.metrics,
        unit=unit,
        arms=len(query.arms),
        units=query.units,
        segmented=query.segmented,
        daily=query.daily,
        credited=bool(query.credits),
        drop_above=query.drop_above,
    )


def _parameters(query: CellQuery, known_at: datetime) -> dict[str, object]:
    """Return the SQL parameters of a query, for outcomes known at `known_at`."""
    return parameters(query.metrics, query.arms, known_at=known_at, shifts=query.shifts)


def _arms(run: FrozenRun) -> tuple[str, ...]:
    """Return the names of a run's arms."""
    return tuple(arm.name for arm in run.definition.experiment.arms)


def unit_of(project: Project, run: FrozenRun) -> str:
    """Return the attribute that names the run's units, such as `user_id`.

    Raises:
        NotFound: project.yaml has no such endpoint any more.
        Invalid: No gateway has logged an assignment.
    """
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


def cell(row: Mapping[str, Any], query: CellQuery) -> Cell:
    """Convert a row of the query to sums of the metrics of one arm, segment and day."""
    pairs = [
        (metric, _values(row, number, metric, query)) for number, metric in enumerate(query.metrics)
    ]
    units, shifts = int(row["units"]), query.shifts
    return Cell(
        arm=query.arms[int(row["arm"])],
        segment=row["segment"],
        first=row["first_day"].date(),
        day=row["day"].date(),
        sums={metric.name: _sums(metric, units, values, shifts) for metric, values in pairs},
        steps={
            metric.name: _sums_of_one_day(metric, units, values, shifts)
            for metric, values in pairs
            if metric.name in query.daily
        },
    )


def _values(
    row: Mapping[str, Any], number: int, metric: Metric, query: CellQuery
) -> dict[str, Number]:
    """Return a metric's sums from a row of the query, by the names of the sums.

    `number` is the metric's in the query.
    """
    whole = metric.numerator.attribute is None and (
        metric.at_most is None or metric.at_most == int(metric.at_most)
    )
    return {
        name: _checked_sum(row[f"m{number}_{name}"], name, metric, whole)
        for name in sums_of(
            metric, daily=metric.name in query.daily, drops=query.drop_above is not None
        )
    }


def _checked_sum(value: Any, name: str, metric: Metric, whole: bool) -> Number:
    """Convert a queried sum to an int if it is a count (`whole`), else to a float.

    Raises Invalid if it is infinite or not a number.
    """
    counted = (
        whole
        or name == "dropped"
        or (
            name in ("d", "dd", "vv")
            and metric.denominator is not None
            and metric.denominator.attribute is None
        )
    )
    if not math.isfinite(value):
        raise Invalid(
            f"metric {metric.name}: its values are too large to be squared",
            remedy="at_most: bounds what a unit adds",
        )
    return int(value) if counted else float(value)


def _sums(
    metric: Metric, units: int, values: Mapping[str, Number], shifts: Mapping[str, Shift]
) -> UnitSums:
    """Return a metric's sums from the values of one row.

    `shifts` is what was subtracted from values. Where the metric has no denominator the sums with d
    follow from the number of units.
    """
    of_unit: dict[str, Any] = (
        {}
        if metric.denominator
        else {"d": units, "yd": values["y"], "dd": units, "dx": values.get("x", 0)}
    )
    columns = {name: value for name, value in values.items() if name not in ("uu", "uv", "vv")}
    sums: dict[str, Any] = of_unit | columns
    y, x = shifts.get(metric.name, UNSHIFTED)
    return UnitSums(units=units, **sums, shift=(y, 0, x))


def _sums_of_one_day(
    metric: Metric, units: int, values: Mapping[str, Number], shifts: Mapping[str, Shift]
) -> UnitSums:
    """Return the sums of what one day alone adds to a metric, from the values of one row.

    `shifts` is what was subtracted from values.
    """
    return UnitSums(
        units=units,
        y=values["y"],
        d=values.get("d", 0),
        yy=values["uu"],
        yd=values.get("uv", 0),
        dd=values.get("vv", 0),
        shift=(shifts.get(metric.name, UNSHIFTED)[0], 0, 0),
    )


def _shifts(cells: RunCells, metrics: Iterable[Metric]) -> dict[str, Shift]:
    """Return what to subtract from the values of metrics whose sums of squares lost digits."""
    of_floats = [metric for metric in metrics if shifts_outcome(metric) or shifts_covariate(metric)]
    due = [
        metric
        for metric in of_floats
        if any(_total(cells, metric, arm).shift_due for arm in cells.arms)
    ]
    return {
        metric.name: _means(metric, sum((c.sums[metric.name] for c in cells.cells), NOTHING))
        for metric in due
    }


def _means(metric: Metric, everyone: UnitSums) -> Shift:
    """Return what to subtract from a metric's values: its mean outcome and mean covariate.

    Each is 0 where the values need no shift. `everyone` are the sums of all arms.
    """
    return (
        everyone.mean("y") if shifts_outcome(metric) else 0.0,
        everyone.mean("x") if shifts_covariate(metric) else 0.0,
    )


def _total(cells: RunCells, metric: Metric, arm: str) -> UnitSums:
    """Add up a metric's sums of one arm over all days and segments."""
    return sum((c.sums[metric.name] for c in cells.cells if c.arm == arm), NOTHING)
