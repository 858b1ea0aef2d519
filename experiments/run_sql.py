"""The query behind a run's results, in the neutral subset: one scan of each table, whatever the number of metrics.

    units     the first assignment and the arm of every unit of the run; by segment, with the first value of each attribute
    happened  one row an event of a unit: what it adds to each metric, and to the metric in the time before
    by_day    the same, by unit and day, with a row on the first day for who did nothing
    running   each unit's totals so far, day by day, beside the day's own
    steps     as the metrics count them (bounded, or 0 and 1, or shifted), beside those of the day before

A unit is an `id` until its last stage (unit and segment, in results by segment), as grouping and sorting by more is what costs.
Of metric i: `m<i>_y` the numerator, `m<i>_d` the denominator of a rate, `m<i>_x` the numerator in the time before the first assignment.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from ..events.relations import exposed_name, view_name
from ..project.experiment_specs import Metric, Total
from ..project.reach import EXPOSURE_ID, path, to_exposure
from ..project.specs import Event, ProjectSpec
from .run_units import RUN_UNITS

KEYS = "arm, other, segment, first_day, day"  # `other` differs from `arm` where a unit was in both
_CREDITS = (
    "SELECT event_id AS isthmus_id, min(unit) AS unit, min(CASE WHEN credit = $control_credit THEN -1 ELSE 1 END) AS win FROM exposures "
    "WHERE dt >= $since AND (credit = $control_credit OR credit = $treatment_credit) GROUP BY event_id"
)
_SO_FAR = "OVER (PARTITION BY id ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"

Role = Literal["y", "d", "x"]
Shift = tuple[float, float]  # what is taken from a unit's y and x
UNSHIFTED: Shift = (0, 0)


def cells_sql(
    spec: ProjectSpec, metrics: Sequence[Metric], *, unit: str, units: str = RUN_UNITS, daily: Container[str] = (), credited: bool = False
) -> str:
    """Columns: KEYS, units, and of metric i m<i>_<sum> for each of `sums_of`: what the day adds; int64, or float64 of an attribute.

    `unit`: the endpoint's attribute. `units`: as run_units.py has them. `daily`: metrics whose days are
    to be compared by themselves. `credited`: of metrics that `won` gives. Parameters: $run (or $endpoint), $until (not included), $since,
    $earliest: dates from which on assignments and events are read; of an objective $known, when its outcomes are known; of a metric that is
    `shifted` $shift<i>, of one whose `past_shifted` $shift<i>_x; of what is credited $control_credit and $treatment_credit, as exposures
    have them.
    """
    measures = [_Measure(at, metric, role, credited) for at, metric in enumerate(metrics) for role in _roles(metric)]
    sources = dict.fromkeys(measure.source for measure in measures)
    zeros = _all(measures, lambda m: f"{m.zero} AS {m.name}")
    nothing = f"SELECT id, first_day AS day, {zeros} FROM units"
    happened = "\n  UNION ALL ".join((*(_happened(spec, source, measures, unit) for source in sources), nothing))
    return f"""WITH units AS ({units}),
happened AS ({happened}),
by_day AS (SELECT id, day, {_all(measures, lambda m: m.of_day)} FROM happened GROUP BY id, day),
running AS (SELECT id, day, {_all(measures, lambda m: m.running)} FROM by_day),
steps AS (SELECT {KEYS}, CASE WHEN day = first_day THEN 1 ELSE 0 END AS isthmus_new, {_all(measures, lambda m: m.step)}
  FROM running JOIN units ON units.id = running.id WHERE day >= first_day)
SELECT {KEYS}, sum(isthmus_new) AS units, {", ".join(_sums(metrics, daily))} FROM steps GROUP BY {KEYS}"""


def won(metric: Metric) -> Metric:
    """Of an interleaved run: a unit's y is its events that count for the treatment less those for the control, d is all of these."""
    denominator = metric.denominator if metric.objective else metric.numerator
    return msgspec.structs.replace(metric, kind="rate", denominator=denominator, before=None)


def parameters(metrics: Sequence[Metric], *, known: datetime, shifts: Mapping[str, Shift]) -> dict[str, object]:
    """Of the metrics; the others are the caller's."""
    moved: dict[str, object] = {f"shift{at}": float(shifts.get(m.name, UNSHIFTED)[0]) for at, m in enumerate(metrics) if shifted(m)}
    moved |= {f"shift{at}_x": float(shifts.get(m.name, UNSHIFTED)[1]) for at, m in enumerate(metrics) if past_shifted(m)}
    return moved | ({"known": known} if any(metric.objective for metric in metrics) else {})


def sums_of(metric: Metric, *, daily: bool = False) -> tuple[str, ...]:
    """Of a metric that is no rate d is 1 a unit, so its sums follow from those of y and the number of units.

    `daily`: the squares of what the day alone adds to a unit, uu of y, vv of d, uv of both.
    """
    of_rate = ("d", "yd", "dd") if metric.denominator else ()
    of_before = ("x", "xx", "yx", *(("dx",) if metric.denominator else ())) if metric.before else ()
    of_day = ("uu", *(("uv", "vv") if metric.denominator else ())) if daily else ()
    return ("y", "yy", *of_rate, *of_before, *of_day)


def shifted(metric: Metric) -> bool:
    """Only a sum of an attribute may have a mean so far above its spread that sums of squares lose it."""
    return metric.kind == "sum" and metric.numerator.attribute is not None


def past_shifted(metric: Metric) -> bool:
    """The same of the time before, whose total of an attribute is one of a unit whatever the metric is."""
    return metric.before is not None and metric.numerator.attribute is not None


class _Source(msgspec.Struct, frozen=True):
    """What is scanned once: an event, or an objective's exposures with their outcomes. `credited`: of those alone that credit somebody."""

    event: str
    objective: str | None = None
    credited: bool = False


class _Measure(msgspec.Struct, frozen=True):
    """One column of the query's stages: the part `role` of metric `at`."""

    at: int
    metric: Metric
    role: Role
    credited: bool = False

    @property
    def name(self) -> str:
        return f"m{self.at}_{self.role}"

    @property
    def total(self) -> Total:
        return self.metric.denominator if self.role == "d" and self.metric.denominator else self.metric.numerator

    @property
    def source(self) -> _Source:
        if self.metric.objective is not None and self.metric.denominator is not None:
            return _Source(self.metric.denominator.event, self.metric.objective, self.credited)
        return _Source(self.total.event, None, self.credited)

    @property
    def zero(self) -> str:
        return "0" if self.total.attribute is None else "CAST(0 AS DOUBLE)"

    @property
    def value(self) -> str:
        """The source's column, or 1 for each of its rows."""
        if self.credited:
            return "win" if self.role == "y" else "counts"
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
    def of_day(self) -> str:
        return f"{self._narrow(f'sum({self.name})')} AS {self.name}"

    @property
    def running(self) -> str:
        """With the day's own as `<name>_1`."""
        so_far = f"{self._narrow(f'sum({self.name}) {_SO_FAR}')} AS {self.name}"
        return so_far if self.role == "x" else f"{so_far}, {self.name} AS {self.name}_1"

    @property
    def step(self) -> str:
        """With what it was before the day as `<name>_0`: on a unit's first day nothing, as it did not count."""
        if self.role == "x":
            return f"{self.name} - $shift{self.at}_x AS {self.name}" if past_shifted(self.metric) else self.name
        before = f"CASE WHEN day = first_day THEN {self.zero} ELSE {self._counted(f'{self.name} - {self.name}_1')} END"
        return f"{self._counted(self.name)} AS {self.name}, {before} AS {self.name}_0"

    def _narrow(self, total: str) -> str:
        """DuckDB adds whole numbers to 128 bits: to carry and multiply those is a seventh of the query."""
        return f"CAST({total} AS BIGINT)" if self.total.attribute is None else total

    def _counted(self, total: str) -> str:
        if self.role != "y":
            return total
        if self.metric.kind == "any":
            return f"CASE WHEN {total} > 0 THEN 1 ELSE 0 END"
        return f"{self._bounded(total)} - $shift{self.at}" if shifted(self.metric) else self._bounded(total)

    def _bounded(self, total: str) -> str:
        bound = self.metric.at_most
        if bound is None:
            return total
        limit = f"{bound:.0f}" if float(bound).is_integer() and self.total.attribute is None else f"CAST({float(bound)!r} AS DOUBLE)"
        return f"CASE WHEN {total} > {limit} THEN {limit} ELSE {total} END"


def _roles(metric: Metric) -> tuple[Role, ...]:
    return ("y", *(("d",) if metric.denominator else ()), *(("x",) if metric.before else ()))


def _all(measures: Sequence[_Measure], text: Callable[[_Measure], str]) -> str:
    return ", ".join(map(text, measures))


def unit_rows(spec: ProjectSpec, event: str, unit: str, *, until: str) -> str:
    """Columns: unit (text), day, happened_at of every event that comes to a unit. Parameters: $earliest, a date, and `until`, a time.

    ValueError: none does.
    """
    return _rows(spec, _Source(event), (), unit, until=until)


def _happened(spec: ProjectSpec, source: _Source, measures: Sequence[_Measure], unit: str) -> str:
    columns = ", ".join(f"{_of_event(m) if m.source == source else m.zero} AS {m.name}" for m in measures)
    values = dict.fromkeys(m.value for m in measures if m.source == source and m.value != "1")
    return (
        f"SELECT units.id, happened.day, {columns} "
        f"FROM units JOIN ({_rows(spec, source, tuple(values), unit)}) AS happened ON happened.unit = units.unit "
        f"WHERE happened_at >= {_earliest([m for m in measures if m.source == source])}"
    )


def _earliest(measures: Sequence[_Measure]) -> str:
    before = max((m.metric.before.days for m in measures if m.metric.before is not None), default=0)
    return f"date_trunc('day', units.first_at) - INTERVAL {before} DAY" if before else "units.first_at"


def _of_event(measure: _Measure) -> str:
    value = measure.value if measure.total.attribute is None else f"coalesce(CAST({measure.value} AS DOUBLE), {measure.zero})"
    return f"CASE WHEN {measure.when} THEN {value} ELSE {measure.zero} END"


def _rows(spec: ProjectSpec, source: _Source, values: tuple[str, ...], unit: str, *, until: str = "$until") -> str:
    """Columns: unit, day, happened_at and `values`, of every event of the source before `until`."""
    event = spec.events[source.event]
    if source.credited:
        return _credited(spec, source, event, until=until)
    table = source.objective or view_name(event.name)
    read = f"dt >= $earliest AND event_timestamp < {until}" + (" AND created_timestamp <= $known" if source.objective else "")
    columns = "".join(f", {value}" for value in ("dt AS day", "event_timestamp AS happened_at", *values))
    steps = path(event.name, unit, spec.events)
    if steps is None:
        raise ValueError(f"{event.name} does not reach {unit}")
    if steps == (unit,):
        return f"SELECT CAST({unit} AS VARCHAR) AS unit{columns} FROM {table} WHERE {read}"
    of, via = (event, "event_id") if len(steps) == 1 else (_referred(spec, event, steps[0]), steps[0])
    further = steps[1:] or steps
    return (
        f"SELECT isthmus_of.unit{columns} FROM {table} AS isthmus_row JOIN ({_units_of(spec, of, further)}) AS isthmus_of "
        f"ON isthmus_row.{via} = isthmus_of.isthmus_id WHERE {read}"
    )


def _credited(spec: ProjectSpec, source: _Source, event: Event, *, until: str) -> str:
    """Columns: unit, day, happened_at, counts (1, or an outcome) and win (the same, less than 0 for the control), of what is credited."""
    steps = to_exposure(event.name, spec.events)
    if steps is None:
        raise ValueError(f"{event.name} does not say which exposure it followed")
    count = "outcome" if source.objective else "1"
    read = f"dt >= $earliest AND event_timestamp < {until}" + (" AND created_timestamp <= $known" if source.objective else "")
    via, *further = steps
    of = _credits_of(spec, _referred(spec, event, via), tuple(further)) if further else _CREDITS
    return (
        f"SELECT isthmus_of.unit, dt AS day, event_timestamp AS happened_at, {count} AS counts, {count} * isthmus_of.win AS win "
        f"FROM {source.objective or view_name(event.name)} AS isthmus_row JOIN ({of}) AS isthmus_of "
        f"ON isthmus_row.{via} = isthmus_of.isthmus_id WHERE {read}"
    )


def _credits_of(spec: ProjectSpec, event: Event, steps: tuple[str, ...]) -> str:
    """Columns: isthmus_id of the event, unit, win."""
    step, *further = steps
    of_next = _credits_of(spec, _referred(spec, event, step), tuple(further)) if further else _CREDITS
    return (
        "SELECT isthmus_event.event_id AS isthmus_id, min(isthmus_next.unit) AS unit, min(isthmus_next.win) AS win "
        f"FROM {view_name(event.name)} AS isthmus_event JOIN ({of_next}) AS isthmus_next "
        f"ON isthmus_event.{step} = isthmus_next.isthmus_id GROUP BY isthmus_event.event_id"
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


def _sums(metrics: Sequence[Metric], daily: Container[str]) -> Iterator[str]:
    """What a row's step adds. Of the first row all of it: before it a unit did not count."""
    for at, metric in enumerate(metrics):
        y, d, x = (f"m{at}_{role}" for role in ("y", "d", "x"))
        terms = {
            "y": f"{y} - {y}_0",
            "yy": f"({y} - {y}_0) * ({y} + {y}_0)",
            "d": f"{d} - {d}_0",
            "yd": f"{y} * {d} - {y}_0 * {d}_0",
            "dd": f"({d} - {d}_0) * ({d} + {d}_0)",
            "x": f"isthmus_new * {x}",
            "xx": f"isthmus_new * {x} * {x}",
            "yx": f"{x} * ({y} - {y}_0)",
            "dx": f"{x} * ({d} - {d}_0)",
            "uu": f"({y} - {y}_0) * ({y} - {y}_0)",
            "uv": f"({y} - {y}_0) * ({d} - {d}_0)",
            "vv": f"({d} - {d}_0) * ({d} - {d}_0)",
        }
        yield from (f"sum({terms[name]}) AS m{at}_{name}" for name in sums_of(metric, daily=metric.name in daily))
