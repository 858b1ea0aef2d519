"""The sums of two arms that a site assigned, by day, from one query a metric.

Adding days gives every look of the past, exactly.
"""

from __future__ import annotations

import math
from datetime import datetime

import msgspec

from ...core.runtime.project import Project
from ...errors import Invalid
from ...feature_store.port import Params
from ...project.specs.description import Objective
from ...project.specs.experiments import Analysis
from ...times import utc_milliseconds
from ..statistics.sums import NOTHING, Number, UnitSums

_ROWS = (
    "({arm} = $control OR {arm} = $treatment) AND event_timestamp < $until AND created_timestamp "
    "<= $known"
)
_SUMS = ("units", "y", "d", "yy", "yd", "dd", "dropped")
_OF_LABELS = ("y", "yy", "yd")  # floats where the objective is a number
_INCREMENTS = (
    "sum(isthmus_new) AS units, sum(all_y - all_y_0) AS y, sum(all_d - all_d_0) AS d, "
    "sum((all_y - all_y_0) * (all_y + all_y_0)) AS yy, "
    "sum(all_y * all_d - all_y_0 * all_d_0) AS yd, "
    "sum((all_d - all_d_0) * (all_d + all_d_0)) AS dd, sum(dropped - dropped_0) AS dropped"
)


class Cells(msgspec.Struct, frozen=True, kw_only=True):
    """The sums that each day (YYYY-MM-DD) adds, by arm."""

    arms: dict[str, dict[str, UnitSums]]
    twice: int = 0  # units that are in both arms: left out
    unnamed: int = 0  # rows without a unit: left out

    @property
    def days(self) -> list[str]:
        """Return the days on which an arm has rows in the log, in order."""
        return sorted({day for of_arm in self.arms.values() for day in of_arm})

    def total(self, *, until: str = "9999") -> dict[str, UnitSums]:
        """Return each arm's sums over the days up to `until`, which is included."""
        return {
            name: sum((arm for day, arm in of_arm.items() if day <= until), NOTHING)
            for name, of_arm in self.arms.items()
        }


def read(project: Project, experiment: Analysis, objective: Objective, moment: datetime) -> Cells:
    """Sum the log's outcomes by arm and day, as far as they are known at a moment.

    An old log (`now:`) is complete: outcomes up to its end are known. Sums of an outcome that is a
    number are floats; counts are ints.

    Args:
        project: The project whose warehouse has the log.
        experiment: The arms and their attribute.
        objective: The outcome that is counted.
        moment: Rows before it count.

    Raises:
        Invalid: The outcome's values are too large, or too close together for their size.
    """
    closed = project.spec.now is not None and moment == utc_milliseconds(project.spec.now)
    known_at = moment + objective.within if closed else moment
    params = {
        "control": experiment.control,
        "treatment": experiment.treatment,
        "until": moment,
        "known": known_at,
    }
    arms: dict[str, dict[str, UnitSums]] = {
        str(value): {} for value in (experiment.control, experiment.treatment)
    }
    twice = 0
    for row in project.target.warehouse.query(cells_sql(experiment, objective), params).to_pylist():
        if row["arm"] != row["other"]:
            twice += int(row["units"])
        else:
            arms[str(row["arm"])][row["day"]] = msgspec.convert(
                {name: _sum(row[name], name, objective) for name in _SUMS}, UnitSums
            )
    cells = Cells(
        arms=arms, twice=twice, unnamed=_count_unnamed(project, experiment, objective, params)
    )
    if any(sums.shift_due for sums in cells.total().values()):
        raise Invalid(
            f"metric {objective.name}: its values lie too close together for their size: their "
            "variance has lost its digits",
            remedy=f"add up what differs more than {objective.outcome}.{objective.sums}",
        )
    return cells


def _sum(value: Number, name: str, objective: Objective) -> Number:
    """Convert a queried sum to an int if it is a count, else to a finite float."""
    if not objective.is_number or name not in _OF_LABELS:
        return int(value)
    if not math.isfinite(value):
        raise Invalid(
            f"metric {objective.name}: its values are too large to be squared",
            remedy=f"objectives.{objective.name}.at_most: bounds a row's sum",
        )
    return float(value)


def cells_sql(experiment: Analysis, objective: Objective) -> str:
    """Return the SQL query that sums a log's outcomes by arm and day.

    Columns: arm, other (differs from it where units are in both arms), day, and what the day adds
    to the sums of `UnitSums`.
    """
    arm = experiment.attribute
    of_arms = f"FROM {objective.name} WHERE {_ROWS.format(arm=arm)}"
    if objective.unit is None:
        by_row = f"SELECT {arm} AS arm, dt AS day, outcome AS y {of_arms}"
        sums = (
            "count(*) AS units, sum(y) AS y, count(*) AS d, sum(y * y) AS yy, sum(y) AS yd, "
            "count(*) AS dd, 0 AS dropped"
        )
        return (
            f"SELECT arm, arm AS other, day, {sums} FROM ({by_row}) AS isthmus_rows GROUP BY "
            "arm, day"
        )
    by_day = (
        f"SELECT {objective.unit} AS isthmus_unit, dt AS isthmus_day, min({arm}) AS "
        f"isthmus_least, max({arm}) AS isthmus_most, "
        f"sum(outcome) AS y, count(*) AS d {of_arms} AND {objective.unit} IS NOT NULL GROUP "
        f"BY {objective.unit}, dt"
    )
    of_unit = "OVER (PARTITION BY isthmus_unit"
    so_far = f"{of_unit} ORDER BY isthmus_day ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"
    running = (
        f"SELECT isthmus_day AS day, y, d, min(isthmus_least) {of_unit}) AS arm, "
        f"max(isthmus_most) {of_unit}) AS other, CASE WHEN row_number() {of_unit} ORDER BY "
        f"isthmus_day) = 1 THEN 1 ELSE 0 END AS isthmus_new, sum(y) {so_far} AS all_y, sum(d) "
        f"{so_far} AS all_d FROM ({by_day}) AS isthmus_days"
    )
    limit = experiment.drop_above
    totals = {"": ("all_y", "all_d"), "_0": ("all_y - y", "all_d - d")}
    steps = ", ".join(
        f"{_unless_dropped(all_y, all_d, limit)} AS all_y{when}, "
        f"{_unless_dropped(all_d, all_d, limit)} AS all_d{when}, "
        f"{_is_dropped(all_d, limit)} AS dropped{when}"
        for when, (all_y, all_d) in totals.items()
    )
    by_step = f"SELECT day, arm, other, isthmus_new, {steps} FROM ({running}) AS isthmus_running"
    return (
        f"SELECT arm, other, day, {_INCREMENTS} FROM ({by_step}) AS isthmus_units GROUP BY arm, "
        "other, day"
    )


def _unless_dropped(total: str, denominator: str, limit: int | None) -> str:
    """Return the SQL of a unit's total, which is 0 where its exposures are above the limit."""
    return total if limit is None else f"CASE WHEN {denominator} > {limit} THEN 0 ELSE {total} END"


def _is_dropped(denominator: str, limit: int | None) -> str:
    """Return the SQL of 1 where a unit's exposures are above the limit, else 0."""
    return "0" if limit is None else f"CASE WHEN {denominator} > {limit} THEN 1 ELSE 0 END"


def _count_unnamed(
    project: Project, experiment: Analysis, objective: Objective, params: Params
) -> int:
    """Return how many rows of the log lack the unit."""
    attributes = project.spec.events[objective.exposure].attributes
    if all(attribute.required for attribute in attributes if attribute.name == objective.unit):
        return 0
    sql = (
        f"SELECT count(*) AS n FROM {objective.name} WHERE "
        f"{_ROWS.format(arm=experiment.attribute)} AND {objective.unit} IS NULL"
    )
    return int(project.target.warehouse.query(sql, params)["n"][0].as_py())
