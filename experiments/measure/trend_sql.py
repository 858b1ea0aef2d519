"""The query behind a trend's interval, in the neutral subset: what each unit adds to a slope.

The second query of a run's results: its weights are made of the first one's answer, so they stand
in it as numbers. One row a unit and day, joined with its day's weights, then one row a unit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import accumulate
from typing import Any

import msgspec

from ...core.runtime.project import Project
from ...project.specs.description import ProjectSpec
from ...project.specs.experiments import Metric
from ...times import midnight
from ..design.runs import FrozenRun
from ..statistics.trend import DayWeight, Influences
from .cells_sql import parameters, steps_sql
from .run_cells import CountedPeriod, unit_of

Weights = Mapping[str, Mapping[int, DayWeight]]  # of one slope: by arm and day
_NONE = DayWeight(0.0, 0.0)
_DAY_MS = 86_400_000


def read(
    project: Project,
    run: FrozenRun,
    metric: Metric,
    period: CountedPeriod,
    slopes: Mapping[str, Weights],
) -> dict[str, dict[str, Influences]]:
    """Query how much each arm's units move the slopes of a metric's effect over their age.

    Args:
        project: The project.
        run: The run.
        metric: The metric whose effect has these slopes.
        period: What is counted, less the day that is not over at its end.
        slopes: What each day of a unit weighs, by slope, arm and day since its first.
    """
    arms = tuple(arm.name for arm in run.definition.experiment.arms)
    sql = trend_sql(
        project.spec, metric, unit=unit_of(project, run), arms=arms, slopes=list(slopes.values())
    )
    values: dict[str, object] = {
        "run": run.run,
        "since": period.since,
        "earliest": period.earliest,
        "until": period.until,
    }
    values |= trend_parameters(metric, arms, until=period.until, known_at=period.known)
    rows = project.target.warehouse.query(sql, values).to_pylist()
    return {
        slope: {
            arms[int(row["arm"])]: Influences(int(row["units"]), _finite(row[f"s{number}"]))
            for row in rows
            if arms[int(row["arm"])] in weights
        }
        for number, (slope, weights) in enumerate(slopes.items())
    }


def trend_parameters(
    metric: Metric, arms: Sequence[str], *, until: datetime, known_at: datetime
) -> dict[str, object]:
    """Return the SQL parameters of `trend_sql`: the metric, the arms and the last whole day.

    `until` is when events end, and `known_at` when outcomes must be known. The caller adds the
    others.
    """
    of_run = msgspec.structs.replace(metric, before=None)
    today = {"today": midnight(until.date())}
    return today | parameters([of_run], arms, known_at=known_at, shifts={})


def _finite(value: Any) -> float:
    """Return a sum of squares as a float; infinite where a value was too large to be squared."""
    return float(value) if math.isfinite(value) else math.inf


def trend_sql(
    spec: ProjectSpec,
    metric: Metric,
    *,
    unit: str,
    arms: Sequence[str],
    slopes: Sequence[Weights],
) -> str:
    """Return the SQL query that sums the squares of the units' influences on slopes, by arm.

    Columns: arm (its number), units, and of slope i s<i>. Units count whose first day is over, and
    of them the days that are over. Parameters: those of `cells_sql` for one metric, and $today, the
    midnight at which the last whole day ends.

    Args:
        spec: The project's events and objectives.
        metric: What is added up.
        unit: The endpoint's attribute that names a unit.
        arms: The arms by number.
        slopes: What each day of a unit weighs.
    """
    numbers = range(len(slopes))
    y, d = "(m0_y - m0_y_0)", "(m0_d - m0_d_0)"
    of_day = f"{y} * of_y{{0}} - {d} * of_d{{0}}" if metric.denominator else f"{y} * of_y{{0}}"
    sums = ", ".join(f"sum({of_day.format(number)}) AS i{number}" for number in numbers)
    squares = ", ".join(f"sum(i{number} * i{number}) AS s{number}" for number in numbers)
    days = 1 + max(day for weights in slopes for of_arm in weights.values() for day in of_arm)
    of_ones, influences = (
        ("", "by_unit") if metric.denominator else (_of_ones(numbers, days), "influences")
    )
    return f"""{steps_sql(spec, metric, unit=unit, arms=len(arms))},
weights AS ({_weight_rows(arms, slopes, days)}),
by_unit AS (SELECT unit, min(steps.arm) AS arm, min(first_day) AS first_day, {sums}
  FROM steps JOIN weights ON weights.arm = steps.arm
    AND weights.since = date_diff('millisecond', first_day, day)
  WHERE day < $today GROUP BY unit){of_ones}
SELECT arm, count(*) AS units, {squares} FROM {influences} GROUP BY arm"""


def _of_ones(numbers: Iterable[int], days: int) -> str:
    """Return the SQL that corrects slopes for a metric whose denominator is 1 per unit and day.

    Such a metric is no ratio. It has this denominator also on days without a row, so these days'
    weights are subtracted. `numbers` are the numbers of the slopes, `days` is how many days have a
    weight.
    """
    less = ", ".join(f"i{number} - so_far{number} AS i{number}" for number in numbers)
    lasted = "date_diff('millisecond', first_day, $today)"
    return f""",
influences AS (SELECT by_unit.arm, {less}
  FROM by_unit JOIN weights ON weights.arm = by_unit.arm AND weights.since
    = CASE WHEN {lasted} > {days * _DAY_MS} THEN {days * _DAY_MS} ELSE {lasted} END - {_DAY_MS})"""


def _weight_rows(arms: Sequence[str], slopes: Sequence[Weights], days: int) -> str:
    """Return the SQL of a row for each arm and day, with its weights in every slope.

    Columns: arm, since (milliseconds since the first day), and of slope i of_y<i>, of_d<i>, and
    so_far<i>, the sum of the latter up to the day.
    """
    rows: list[str] = []
    for number, arm in enumerate(arms):
        of_arm = [
            [weights.get(arm, {}).get(day, _NONE) for day in range(days)] for weights in slopes
        ]
        so_far = [list(accumulate(weight.of_d for weight in weights)) for weights in of_arm]
        rows += (
            f"SELECT {number} AS arm, {day * _DAY_MS} AS since, "
            + ", ".join(
                f"{_double(weights[day].of_y)} AS of_y{slope}, "
                f"{_double(weights[day].of_d)} AS of_d{slope}, "
                f"{_double(so_far[slope][day])} AS so_far{slope}"
                for slope, weights in enumerate(of_arm)
            )
            for day in range(days)
        )
    return "\n  UNION ALL ".join(rows)


def _double(value: float) -> str:
    """Return a number as SQL that every engine reads exactly."""
    return f"CAST({value!r} AS DOUBLE)"
