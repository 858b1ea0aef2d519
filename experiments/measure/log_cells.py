"""The sums of two arms that a site assigned, by day, from one query a metric.

Adding days gives every look of the past, exactly.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from ...core.runtime.project import Project
from ...feature_store.port import Params
from ...project.specs.description import Objective
from ...project.specs.experiments import Analysis
from ...times import utc_milliseconds
from ..statistics.sums import NOTHING, Sums

_ROWS = (
    "({arm} = $control OR {arm} = $treatment) AND event_timestamp < $until AND created_timestamp "
    "<= $known"
)
_SUMS = ("units", "y", "d", "yy", "yd", "dd")
_INCREMENTS = (
    "sum(isthmus_new) AS units, sum(y) AS y, sum(d) AS d, sum(y * (2 * all_y - y)) AS yy, "
    "sum(all_y * all_d - (all_y - y) * (all_d - d)) AS yd, sum(d * (2 * all_d - d)) AS dd"
)


class Cells(msgspec.Struct, frozen=True, kw_only=True):
    """The sums that each day (YYYY-MM-DD) adds, by arm."""

    arms: dict[str, dict[str, Sums]]
    twice: int = 0  # units that are in both arms: left out
    unnamed: int = 0  # rows without a unit: left out

    @property
    def days(self) -> list[str]:
        """The days on which an arm has rows in the log, in order."""
        return sorted({day for of_arm in self.arms.values() for day in of_arm})

    def total(self, *, until: str = "9999") -> dict[str, Sums]:
        """Return each arm's sums over the days up to `until`, which is included."""
        return {
            name: sum((arm for day, arm in of_arm.items() if day <= until), NOTHING)
            for name, of_arm in self.arms.items()
        }


def read(project: Project, experiment: Analysis, objective: Objective, moment: datetime) -> Cells:
    """Sum the log's outcomes by arm and day, as far as they are known at a moment.

    An old log (`now:`) is complete: outcomes up to its end are known.

    Args:
        project: The project whose warehouse has the log.
        experiment: The arms and their attribute.
        objective: The outcome that is counted.
        moment: Rows before it count.
    """
    closed = project.spec.now is not None and moment == utc_milliseconds(project.spec.now)
    known_at = moment + objective.within if closed else moment
    params = {
        "control": experiment.control,
        "treatment": experiment.treatment,
        "until": moment,
        "known": known_at,
    }
    arms: dict[str, dict[str, Sums]] = {
        str(value): {} for value in (experiment.control, experiment.treatment)
    }
    twice = 0
    for row in project.target.warehouse.query(cells_sql(experiment, objective), params).to_pylist():
        if row["arm"] != row["other"]:
            twice += int(row["units"])
        else:
            arms[str(row["arm"])][row["day"]] = msgspec.convert(
                {name: int(row[name]) for name in _SUMS}, Sums
            )
    return Cells(
        arms=arms, twice=twice, unnamed=_count_unnamed(project, experiment, objective, params)
    )


def cells_sql(experiment: Analysis, objective: Objective) -> str:
    """Return the SQL query that sums a log's outcomes by arm and day.

    Columns: arm, other (differs from it where units are in both arms), day, and what the day adds
    to the sums of `Sums`.
    """
    arm = experiment.attribute
    of_arms = f"FROM {objective.name} WHERE {_ROWS.format(arm=arm)}"
    if objective.unit is None:
        by_row = f"SELECT {arm} AS arm, dt AS day, outcome AS y {of_arms}"
        sums = (
            "count(*) AS units, sum(y) AS y, count(*) AS d, sum(y * y) AS yy, sum(y) AS yd, "
            "count(*) AS dd"
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
    return (
        f"SELECT arm, other, day, {_INCREMENTS} FROM ({running}) AS isthmus_units GROUP BY arm, "
        "other, day"
    )


def _count_unnamed(
    project: Project, experiment: Analysis, objective: Objective, params: Params
) -> int:
    """Count the rows of the log in which the unit is missing."""
    attributes = project.spec.events[objective.exposure].attributes
    if all(attribute.required for attribute in attributes if attribute.name == objective.unit):
        return 0
    sql = (
        f"SELECT count(*) AS n FROM {objective.name} WHERE "
        f"{_ROWS.format(arm=experiment.attribute)} AND {objective.unit} IS NULL"
    )
    return int(project.target.warehouse.query(sql, params)["n"][0].as_py())
