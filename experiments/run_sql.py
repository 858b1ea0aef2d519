"""The query behind a run's results, in the neutral subset: one scan of each table, whatever the number of metrics.

    units     the first assignment and the arm of every unit of the run
    happened  one row an event of a unit: what it adds to each metric, and to the metric in the time before
    by_day    the same, by unit and day, with a row on the first day for who did nothing
    running   each unit's totals so far, day by day
    totals    the same as the metrics count them: bounded, or 0 and 1, or shifted
    steps     beside those of the day before

Of metric i: `m<i>_y` the numerator, `m<i>_d` the denominator of a rate, `m<i>_x` the numerator in the time before the first assignment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import msgspec

from ..events.relations import view_name
from ..project.reach import EXPOSURE_ID, path
from ..project.specs import Event, Metric, ProjectSpec, Total

KEYS = "arm, other, first_day, day"  # `other` differs from `arm` where a unit was in both
_UNITS = (
    "SELECT unit, min(arm) AS arm, max(arm) AS other, min(event_timestamp) AS first_at, min(dt) AS first_day FROM events_assignments "
    "WHERE run = $run AND reason = 'split' AND segment = '' AND event_timestamp < $assigned_until GROUP BY unit"
)
_BY_DAY = "OVER (PARTITION BY unit ORDER BY day"
_SO_FAR = f"{_BY_DAY} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"

Role = Literal["y", "d", "x"]


def cells_sql(spec: ProjectSpec, metrics: Sequence[Metric], *, unit: str) -> str:
    """Columns: KEYS, units, and of metric i m<i>_<sum> for each of `sums_of`: what the day adds; int64, or float64 of an attribute.

    `unit`: the endpoint's attribute. Parameters: $run; $assigned_until and $until (not included); of a metric that is `shifted` $shift<i>.
    """
    measures = [_Measure(at, metric, role) for at, metric in enumerate(metrics) for role in _roles(metric)]
    sources = dict.fromkeys(measure.source for measure in measures)
    nothing = f"SELECT unit, arm, other, first_day, first_day AS day, {_all(measures, lambda m: f'{m.zero} AS {m.name}')} FROM units"
    happened = "\n  UNION ALL ".join((*(_happened(spec, source, measures, unit) for source in sources), nothing))
    return f"""WITH units AS ({_UNITS}),
happened AS ({happened}),
by_day AS (SELECT unit, {KEYS}, {_all(measures, lambda m: f"sum({m.name}) AS {m.name}")} FROM happened GROUP BY unit, {KEYS}),
running AS (SELECT unit, {KEYS}, {_all(measures, lambda m: f"{m.running} AS {m.name}")} FROM by_day),
totals AS (SELECT unit, {KEYS}, {_all(measures, lambda m: f"{m.counted} AS {m.name}")} FROM running WHERE day >= first_day),
steps AS (SELECT {KEYS}, CASE WHEN day = first_day THEN 1 ELSE 0 END AS isthmus_new, {_all(measures, lambda m: m.step)} FROM totals)
SELECT {KEYS}, sum(isthmus_new) AS units, {", ".join(_sums(metrics))} FROM steps GROUP BY {KEYS}"""


def sums_of(metric: Metric) -> tuple[str, ...]:
    """Of a metric that is no rate d is 1 a unit, so its sums follow from those of y and the number of units."""
    of_rate = ("d", "yd", "dd") if metric.denominator else ()
    of_before = ("x", "xx", "yx", *(("dx",) if metric.denominator else ())) if metric.before else ()
    return ("y", "yy", *of_rate, *of_before)


def shifted(metric: Metric) -> bool:
    """Only a sum of an attribute may have a mean so far above its spread that sums of squares lose it."""
    return metric.kind == "sum" and metric.numerator.attribute is not None


class _Source(msgspec.Struct, frozen=True):
    """What is scanned once: an event, or an objective's exposures with their outcomes."""

    event: str
    objective: str | None = None


class _Measure(msgspec.Struct, frozen=True):
    """One column of the query's stages: the part `role` of metric `at`."""

    at: int
    metric: Metric
    role: Role

    @property
    def name(self) -> str:
        return f"m{self.at}_{self.role}"

    @property
    def total(self) -> Total:
        return self.metric.denominator if self.role == "d" and self.metric.denominator else self.metric.numerator

    @property
    def source(self) -> _Source:
        if self.metric.objective is not None and self.metric.denominator is not None:
            return _Source(self.metric.denominator.event, self.metric.objective)
        return _Source(self.total.event)

    @property
    def zero(self) -> str:
        return "0" if self.total.attribute is None else "CAST(0 AS DOUBLE)"

    @property
    def value(self) -> str:
        """The source's column, or 1 for each of its rows."""
        if self.metric.objective is not None and self.role != "d":
            return "outcome"
        return self.total.attribute or "1"

    @property
    def when(self) -> str:
        first_day = "date_trunc('day', units.first_at)"
        if self.role == "x" and self.metric.before is not None:
            return f"happened_at < units.first_at AND happened_at >= {first_day} - INTERVAL {self.metric.before.days} DAY"
        closes = f" AND happened_at < {first_day} + INTERVAL {self.metric.within.days} DAY" if self.metric.within else ""
        return f"happened_at >= units.first_at{closes}"

    @property
    def running(self) -> str:
        return f"sum({self.name}) OVER (PARTITION BY unit)" if self.role == "x" else f"sum({self.name}) {_SO_FAR}"

    @property
    def counted(self) -> str:
        if self.role != "y":
            return self.name
        if self.metric.kind == "any":
            return f"CASE WHEN {self.name} > 0 THEN 1 ELSE 0 END"
        bound = self.metric.at_most
        bounded = self.name if bound is None else f"CASE WHEN {self.name} > {bound!r} THEN {bound!r} ELSE {self.name} END"
        return f"{bounded} - $shift{self.at}" if shifted(self.metric) else bounded

    @property
    def step(self) -> str:
        """With its value of the unit's row before as `<name>_0`."""
        if self.role == "x":
            return self.name
        return f"{self.name}, coalesce(lag({self.name}) {_BY_DAY}), {self.zero}) AS {self.name}_0"


def _roles(metric: Metric) -> tuple[Role, ...]:
    return ("y", *(("d",) if metric.denominator else ()), *(("x",) if metric.before else ()))


def _all(measures: Sequence[_Measure], text: Callable[[_Measure], str]) -> str:
    return ", ".join(map(text, measures))


def _happened(spec: ProjectSpec, source: _Source, measures: Sequence[_Measure], unit: str) -> str:
    columns = ", ".join(f"{_of_event(m) if m.source == source else m.zero} AS {m.name}" for m in measures)
    values = dict.fromkeys(m.value for m in measures if m.source == source and m.value != "1")
    return (
        f"SELECT units.unit, arm, other, first_day, happened.day, {columns} "
        f"FROM units JOIN ({_rows(spec, source, tuple(values), unit)}) AS happened ON happened.unit = units.unit "
        f"WHERE happened_at >= {_earliest([m for m in measures if m.source == source])}"
    )


def _earliest(measures: Sequence[_Measure]) -> str:
    before = max((m.metric.before.days for m in measures if m.metric.before is not None), default=0)
    return f"date_trunc('day', units.first_at) - INTERVAL {before} DAY" if before else "units.first_at"


def _of_event(measure: _Measure) -> str:
    value = measure.value if measure.total.attribute is None else f"coalesce(CAST({measure.value} AS DOUBLE), {measure.zero})"
    return f"CASE WHEN {measure.when} THEN {value} ELSE {measure.zero} END"


def _rows(spec: ProjectSpec, source: _Source, values: tuple[str, ...], unit: str) -> str:
    """Columns: unit, day, happened_at and `values`, of every event of the source before $until."""
    event = spec.events[source.event]
    table = source.objective or view_name(event.name)
    known = " AND created_timestamp <= $until" if source.objective else ""
    columns = "".join(f", {value}" for value in ("dt AS day", "event_timestamp AS happened_at", *values))
    steps = path(event.name, unit, spec.events)
    if steps is None:
        raise ValueError(f"{event.name} does not reach {unit}")
    if steps == (unit,):
        return f"SELECT CAST({unit} AS VARCHAR) AS unit{columns} FROM {table} WHERE event_timestamp < $until{known}"
    of, via = (event, "event_id") if len(steps) == 1 else (_referred(spec, event, steps[0]), steps[0])
    further = steps[1:] or steps
    return (
        f"SELECT isthmus_of.unit{columns} FROM {table} AS isthmus_row JOIN ({_units_of(spec, of, further)}) AS isthmus_of "
        f"ON isthmus_row.{via} = isthmus_of.isthmus_id WHERE event_timestamp < $until{known}"
    )


def _units_of(spec: ProjectSpec, event: Event, steps: tuple[str, ...]) -> str:
    """Columns: isthmus_id of the event, unit. One row an id, though an id may stand on two dates."""
    step, *further = steps
    if further:
        rows = (
            f"{view_name(event.name)} AS isthmus_event JOIN ({_units_of(spec, _referred(spec, event, step), tuple(further))}) "
            f"AS isthmus_next ON isthmus_event.{step} = isthmus_next.isthmus_id"
        )
        columns = "isthmus_event.event_id AS isthmus_id, min(isthmus_next.unit) AS unit"
        return f"SELECT {columns} FROM {rows} GROUP BY isthmus_event.event_id"
    name, table = ("unit", exposed_name(event.name)) if step == EXPOSURE_ID else (f"CAST({step} AS VARCHAR)", view_name(event.name))
    return f"SELECT event_id AS isthmus_id, min({name}) AS unit FROM {table} GROUP BY event_id"


def _referred(spec: ProjectSpec, event: Event, attribute: str) -> Event:
    return next(spec.events[a.event] for a in event.attributes if a.name == attribute and a.event is not None)


def exposed_name(event: str) -> str:
    """The event with the columns of what the gateway showed."""
    return f"{event}_exposed"


def _sums(metrics: Sequence[Metric]) -> Iterator[str]:
    """What a row's step adds. Of the first row all of it: before it a unit did not count."""
    for at, metric in enumerate(metrics):
        y, d, x = (f"m{at}_{role}" for role in ("y", "d", "x"))
        terms = {
            "y": f"{y} - {y}_0",
            "yy": f"{y} * {y} - {y}_0 * {y}_0",
            "d": f"{d} - {d}_0",
            "yd": f"{y} * {d} - {y}_0 * {d}_0",
            "dd": f"{d} * {d} - {d}_0 * {d}_0",
            "x": f"isthmus_new * {x}",
            "xx": f"isthmus_new * {x} * {x}",
            "yx": f"{x} * ({y} - {y}_0)",
            "dx": f"{x} * ({d} - {d}_0)",
        }
        yield from (f"sum({terms[name]}) AS m{at}_{name}" for name in sums_of(metric))
