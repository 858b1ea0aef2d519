"""The query behind a run's results, in the neutral subset.

One scan of each table, whatever the number of metrics.

    units     the first assignment of every unit of the run, its arm by number; by segment, with the
        first value of each attribute
    happened  one row an event of a unit: what it adds to each metric, and to the metric in the time
        before
    by_day    the same, by unit and day, with a row on the first day for who did nothing
    running   each unit's totals so far, day by day, beside the day's own
    steps     as the metrics count them (bounded, or 0 and 1, or shifted), beside those of the day
        before

Grouping and sorting by text is what costs: arms and days are numbers and midnights, and travel with
the unit, so that it is joined once. Of metric i: `m<i>_y` the numerator, `m<i>_d` the denominator
of a rate, `m<i>_x` the numerator in the time before the first assignment.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from ...project.specs.description import ProjectSpec
from ...project.specs.experiments import Metric, Total
from .run_units import RUN_UNITS
from .unit_events import Source, source_rows_sql

KEYS = "arm, segment, first_day, day"
TWICE, UNKNOWN = (
    -1,
    -2,
)  # in place of an arm's number: the unit was in several; in one that is none of the run's
_COUNTED = "arm, first_day"  # what travels with a unit

Role = Literal["y", "d", "x"]
Shift = tuple[float, float]  # what is taken from a unit's y and x
UNSHIFTED: Shift = (0, 0)


def cells_sql(
    spec: ProjectSpec,
    metrics: Sequence[Metric],
    *,
    unit: str,
    arms: int,
    units: str = RUN_UNITS,
    segmented: bool = False,
    daily: Container[str] = (),
    credited: bool = False,
    drop_above: int | None = None,
) -> str:
    """Return the SQL query that sums a run's metrics by arm and day.

    Columns: KEYS, units, and of metric i m<i>_<sum> for each of `sums_of`: what the day adds;
    int64, or float64 of an attribute. arm: its number below `arms`, TWICE or UNKNOWN. first_day,
    day: their midnights.

    Parameters: $arm<i>, the name of each; $run (or $endpoint), $until (not included), $since,
    $earliest: dates from which on assignments and events are read; of an objective $known, when its
    outcomes are known; of a metric that `shifts_outcome` $shift<i>, that `shifts_covariate`
    $shift<i>_x; of what is credited $control_credit and $treatment_credit, as exposures have them.

    Args:
        spec: The project's events and objectives.
        metrics: The metrics whose sums are queried.
        unit: The endpoint's attribute that names a unit.
        arms: How many arms there are.
        units: The units that count, a query of run_units.py.
        segmented: Whether `units` has segments, by which the sums are grouped, too.
        daily: Metrics whose days are to be compared by themselves.
        credited: The metrics are those that `win_rate` gives.
        drop_above: From the day on which a unit has more events than this of a rate's
            denominator, it adds nothing to the rate's sums: its earlier days are taken off again.
    """
    measures = [
        _Measure(number, metric, role, credited, drop_above if metric.per_event else None)
        for number, metric in enumerate(metrics)
        for role in _roles(metric)
    ]
    segment = "segment, " if segmented else ""
    stages = _stages(spec, measures, unit=unit, arms=arms, units=units, key=segment)
    return f"""{stages}
SELECT arm, {segment or "'' AS segment, "}first_day, day, sum(isthmus_new) AS units,
  {", ".join(_sums(metrics, daily, drops=drop_above is not None))}
  FROM steps GROUP BY arm, {segment}first_day, day"""


def steps_sql(spec: ProjectSpec, metric: Metric, *, unit: str, arms: int) -> str:
    """Return the SQL WITH clause whose last part, `steps`, has what each day adds to each unit.

    Columns: unit, arm, first_day, day, isthmus_new, the running totals m0_y and (of a rate) m0_d,
    and those of the day before, m0_y_0 and m0_d_0. Parameters: as of `cells_sql`.
    """
    of_run = msgspec.structs.replace(metric, before=None)
    measures = [_Measure(0, of_run, role) for role in _roles(of_run)]
    return _stages(spec, measures, unit=unit, arms=arms, units=RUN_UNITS, key="unit, ")


def _stages(
    spec: ProjectSpec,
    measures: Sequence[_Measure],
    *,
    unit: str,
    arms: int,
    units: str,
    key: str,
) -> str:
    """Return the SQL WITH clause of all parts from `units` to `steps`.

    `measures` are the sums, `units` is the query of the units that count, and `key` is a column
    that all parts have besides, with its comma, such as `segment, `.
    """
    of_unit = "unit, segment" if key == "segment, " else "unit"
    sources = dict.fromkeys(measure.source for measure in measures)
    nothing = (
        f"SELECT {of_unit}, {_COUNTED}, first_day AS day, "
        f"{_all(measures, lambda m: f'{m.zero} AS {m.name}')} FROM units"
    )
    happened = "\n  UNION ALL ".join(
        (*(_outcome_rows(spec, source, measures, unit, of_unit) for source in sources), nothing)
    )
    so_far = (
        f"OVER (PARTITION BY {of_unit} ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT "
        "ROW)"
    )
    return f"""WITH units AS (SELECT {of_unit}, {_arm_number(arms)} AS arm, first_at, first_day FROM
      ({units}) AS isthmus_units),
happened AS ({happened}),
by_day AS (SELECT {of_unit}, day, min(arm) AS arm, min(first_day) AS first_day,
  {_all(measures, lambda m: m.of_day)}
  FROM happened GROUP BY {of_unit}, day),
running AS (SELECT {key}{_COUNTED}, day, {_all(measures, lambda m: m.running(so_far))} FROM
  by_day),
steps AS (SELECT {key}{_COUNTED}, day, CASE WHEN day = first_day THEN 1 ELSE 0 END AS
  isthmus_new, {_all(measures, lambda m: m.step)}
  FROM running)"""


def _arm_number(arms: int) -> str:
    """Return the SQL expression that gives each unit the number of its arm.

    It is TWICE (-1) for a unit that was in several arms, UNKNOWN (-2) for one in no arm of the run.
    """
    of_name = " ".join(f"WHEN arm = $arm{number} THEN {number}" for number in range(arms))
    return f"CASE WHEN arm <> other THEN {TWICE} {of_name} ELSE {UNKNOWN} END"


def win_rate(metric: Metric) -> Metric:
    """Return the metric of an interleaved run: the treatment's share of the credited events.

    A unit's numerator y is its events credited to the treatment minus those credited to the
    control; its denominator d is all of these events.
    """
    denominator = metric.denominator if metric.objective else metric.numerator
    return msgspec.structs.replace(metric, kind="rate", denominator=denominator, before=None)


def parameters(
    metrics: Sequence[Metric],
    arms: Sequence[str],
    *,
    known_at: datetime,
    shifts: Mapping[str, Shift],
) -> dict[str, object]:
    """Return the SQL parameters that concern metrics and arms; the caller adds the others.

    `known_at` is when outcomes must be known, and `shifts` what is subtracted from values.
    """
    moved: dict[str, object] = {f"arm{number}": name for number, name in enumerate(arms)}
    moved |= {
        f"shift{number}": float(shifts.get(m.name, UNSHIFTED)[0])
        for number, m in enumerate(metrics)
        if shifts_outcome(m)
    }
    moved |= {
        f"shift{number}_x": float(shifts.get(m.name, UNSHIFTED)[1])
        for number, m in enumerate(metrics)
        if shifts_covariate(m)
    }
    return moved | ({"known": known_at} if any(metric.objective for metric in metrics) else {})


def sums_of(metric: Metric, *, daily: bool = False, drops: bool = False) -> tuple[str, ...]:
    """Return the names of the sums that a metric's mean and variance need.

    They are columns of `UnitSums`, of a unit's outcomes y, denominator d and covariate x. A metric
    that is no ratio has d = 1 for each unit, so its sums with d follow from the number of units and
    those of y. With `daily` they include the squares of what one day alone adds to a unit: uu of y,
    vv of d, uv of both. With `drops` those of a rate include the number of units that are left out.
    """
    of_rate = ("d", "yd", "dd") if metric.denominator else ()
    of_before = ("x", "xx", "yx", *(("dx",) if metric.denominator else ())) if metric.before else ()
    of_day = ("uu", *(("uv", "vv") if metric.denominator else ())) if daily else ()
    of_drops = ("dropped",) if drops and metric.per_event else ()
    return ("y", "yy", *of_rate, *of_before, *of_day, *of_drops)


def shifts_outcome(metric: Metric) -> bool:
    """Return whether a constant is subtracted from a metric's outcomes (y) to keep digits.

    Only a sum of an attribute's values can have a mean so far above its spread that sums of squares
    lose their digits.
    """
    return metric.kind == "sum" and metric.numerator.attribute is not None


def shifts_covariate(metric: Metric) -> bool:
    """Return whether a constant is subtracted from a metric's covariate (x) to keep digits.

    The covariate, a unit's total before the experiment, is a sum of an attribute's values even
    where the metric itself counts units.
    """
    return metric.before is not None and metric.numerator.attribute is not None


class _Measure(msgspec.Struct, frozen=True):
    """One column of the query's stages: the part `role` of metric number `at`."""

    at: int
    metric: Metric
    role: Role
    credited: bool = False
    drop_above: int | None = None  # of a rate: more events of the denominator leave a unit out

    @property
    def name(self) -> str:
        """Return the name of the measure's SQL column."""
        return f"m{self.at}_{self.role}"

    @property
    def total(self) -> Total:
        """Return what the column adds up: a count, or the values of an attribute."""
        return (
            self.metric.denominator
            if self.role == "d" and self.metric.denominator
            else self.metric.numerator
        )

    @property
    def source(self) -> Source:
        """Return which events the column adds up."""
        if self.metric.objective is not None and self.metric.denominator is not None:
            return Source(self.metric.denominator.event, self.metric.objective, self.credited)
        return Source(self.total.event, None, self.credited)

    @property
    def zero(self) -> str:
        """Return the SQL of 0 in the column's type."""
        return "0" if self.total.attribute is None else "CAST(0 AS DOUBLE)"

    @property
    def value(self) -> str:
        """Return the name of the value that an event adds, or 1 where events are counted."""
        if self.credited:
            return "win" if self.role == "y" else "counts"
        if self.metric.objective is not None and self.role != "d":
            return "outcome"
        return self.total.attribute or "1"

    @property
    def of_event(self) -> str:
        """Return the SQL of what one event adds to the column."""
        value = self.value if self.value == "1" else f"happened.isthmus_{self.value}"
        counted = (
            value
            if self.total.attribute is None
            else f"coalesce(CAST({value} AS DOUBLE), {self.zero})"
        )
        return f"CASE WHEN {self.when} THEN {counted} ELSE {self.zero} END"

    @property
    def when(self) -> str:
        """Return the SQL condition under which an event counts, by its time since the exposure.

        The covariate has the days before a unit's first exposure; outcomes count from it on, within
        the metric's window.
        """
        if self.role == "x" and self.metric.before is not None:
            return (
                "happened_at < units.first_at AND happened_at >= units.first_day - INTERVAL "
                f"{self.metric.before.days} DAY"
            )
        closes = (
            f" AND happened_at < units.first_day + INTERVAL {self.metric.within.days} DAY"
            if self.metric.within
            else ""
        )
        return f"happened_at >= units.first_at{closes}"

    @property
    def of_day(self) -> str:
        """Return the SQL that sums the column over a unit's day."""
        return f"{self._narrow(f'sum({self.name})')} AS {self.name}"

    def running(self, so_far: str) -> str:
        """Return the SQL of a unit's running total, up to and including each day.

        `so_far` is the SQL window over the unit's days up to then. Except for the covariate, the
        column `<name>_1` has what the day alone adds.
        """
        total = f"{self._narrow(f'sum({self.name}) {so_far}')} AS {self.name}"
        return total if self.role == "x" else f"{total}, {self.name} AS {self.name}_1"

    @property
    def step(self) -> str:
        """Return the SQL of the metric's value after a day and before it, from the running total.

        The value before is `<name>_0`. On a unit's first day that is 0, as it did not count until
        then.
        """
        if self.role == "x":
            return (
                f"{self.name} - $shift{self.at}_x AS {self.name}"
                if shifts_covariate(self.metric)
                else self.name
            )
        denominator = f"m{self.at}_d"
        value = self._unless_dropped(self._shifted_total(self.name), denominator)
        value_before = self._unless_dropped(
            self._shifted_total(f"{self.name} - {self.name}_1"), f"{denominator} - {denominator}_1"
        )
        total_before = f"CASE WHEN day = first_day THEN {self.zero} ELSE {value_before} END"
        columns = f"{value} AS {self.name}, {total_before} AS {self.name}_0"
        if self.drop_above is None or self.role != "d":
            return columns
        dropped, dropped_before = (
            f"CASE WHEN {total} > {self.drop_above} THEN 1 ELSE 0 END"
            for total in (denominator, f"{denominator} - {denominator}_1")
        )
        return (
            f"{columns}, {dropped} AS m{self.at}_dropped, CASE WHEN day = first_day THEN 0 ELSE "
            f"{dropped_before} END AS m{self.at}_dropped_0"
        )

    def _unless_dropped(self, value: str, denominator: str) -> str:
        """Return the SQL of a unit's value, which is 0 where its denominator is above the limit."""
        if self.drop_above is None:
            return value
        return f"CASE WHEN {denominator} > {self.drop_above} THEN {self.zero} ELSE {value} END"

    def _narrow(self, total: str) -> str:
        """Return the SQL that casts a count to a 64-bit integer; other totals stay.

        DuckDB adds integers up to 128 bits, which would cost a seventh of the query's time.
        """
        return f"CAST({total} AS BIGINT)" if self.total.attribute is None else total

    def _shifted_total(self, total: str) -> str:
        """Return the SQL of a total as the metric counts it: as 0 or 1, bounded, or shifted."""
        if self.role != "y":
            return total
        if self.metric.kind == "any":
            return f"CASE WHEN {total} > 0 THEN 1 ELSE 0 END"
        return (
            f"{self._bounded(total)} - $shift{self.at}"
            if shifts_outcome(self.metric)
            else self._bounded(total)
        )

    def _bounded(self, total: str) -> str:
        """Return the SQL of a total that counts up to the metric's bound."""
        bound = self.metric.at_most
        if bound is None:
            return total
        limit = (
            f"{bound:.0f}"
            if float(bound).is_integer() and self.total.attribute is None
            else f"CAST({float(bound)!r} AS DOUBLE)"
        )
        return f"CASE WHEN {total} > {limit} THEN {limit} ELSE {total} END"


def _roles(metric: Metric) -> tuple[Role, ...]:
    """Return which sums a metric needs: of y (numerator), d (denominator), x (covariate)."""
    return ("y", *(("d",) if metric.denominator else ()), *(("x",) if metric.before else ()))


def _all(measures: Sequence[_Measure], text: Callable[[_Measure], str]) -> str:
    """Return the SQL that `text` returns for each measure, joined by commas."""
    return ", ".join(map(text, measures))


def _outcome_rows(
    spec: ProjectSpec, source: Source, measures: Sequence[_Measure], unit: str, of_unit: str
) -> str:
    """Return the SQL query of what each event of a source adds to its unit's totals.

    `of_unit` is the SQL of the unit's columns.
    """
    columns = ", ".join(
        f"{m.of_event if m.source == source else m.zero} AS {m.name}" for m in measures
    )
    own = [m for m in measures if m.source == source]
    values = dict.fromkeys(m.value for m in own if m.value != "1")
    days_before = max((m.metric.before.days for m in own if m.metric.before is not None), default=0)
    earliest = f"units.first_day - INTERVAL {days_before} DAY" if days_before else "units.first_at"
    return (
        f"SELECT {of_unit.replace('unit', 'units.unit')}, {_COUNTED}, {_day(days_before)} AS day, "
        f"{columns} FROM units JOIN ({source_rows_sql(spec, source, tuple(values), unit)}) AS "
        f"happened ON happened.unit = units.unit WHERE happened_at >= {earliest}"
    )


def _day(days_before: int) -> str:
    """Return the SQL of the day on which an event counts.

    `days_before` is how many days before a unit's first exposure are read, too, 0 for none. Such
    earlier events count on the unit's first day.
    """
    day = "date_trunc('day', happened_at)"
    return (
        f"CASE WHEN happened_at < units.first_at THEN units.first_day ELSE {day} END"
        if days_before
        else day
    )


def _sums(metrics: Sequence[Metric], daily: Container[str], *, drops: bool) -> Iterator[str]:
    """Yield the SQL of how much a day's rows add to each sum of each metric.

    Metrics in `daily` also sum what the day alone adds; `drops` counts units that are left out. A
    unit's first row adds the whole of its value, because the unit did not count before.
    """
    for number, metric in enumerate(metrics):
        y, d, x = (f"m{number}_{role}" for role in ("y", "d", "x"))
        dropped = f"m{number}_dropped - m{number}_dropped_0"
        counted = f"(isthmus_new - ({dropped}))" if drops and metric.per_event else "isthmus_new"
        terms = {
            "y": f"{y} - {y}_0",
            "yy": f"({y} - {y}_0) * ({y} + {y}_0)",
            "d": f"{d} - {d}_0",
            "yd": f"{y} * {d} - {y}_0 * {d}_0",
            "dd": f"({d} - {d}_0) * ({d} + {d}_0)",
            "x": f"{counted} * {x}",
            "xx": f"{counted} * {x} * {x}",
            "yx": f"{x} * ({y} - {y}_0)",
            "dx": f"{x} * ({d} - {d}_0)",
            "uu": f"({y} - {y}_0) * ({y} - {y}_0)",
            "uv": f"({y} - {y}_0) * ({d} - {d}_0)",
            "vv": f"({d} - {d}_0) * ({d} - {d}_0)",
            "dropped": dropped,
        }
        yield from (
            f"sum({terms[name]}) AS m{number}_{name}"
            for name in sums_of(metric, daily=metric.name in daily, drops=drops)
        )
