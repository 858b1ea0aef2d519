"""The query of a monitor of units, in the neutral subset.

Whom an endpoint's gateways answered, and who of them found something. A unit stands by its first
answer of a period (of those whose request said something of it): by the version that gave it, and
by the attributes of that request. They are JSON, which the SQL of all targets does not take apart,
so the caller does.
"""

from __future__ import annotations

from ...project.specs.description import Endpoint, Objective, ProjectSpec
from ...project.specs.reach import path
from ..measure.unit_events import unit_events_sql

_NOW, _BEFORE, _FIRST = (
    "dt >= $since",
    "dt >= $before AND dt < $since",
    "dt >= $first AND dt < $first_end",
)


def units_sql(spec: ProjectSpec, endpoint: Endpoint) -> str:
    """Return the SQL query that counts units and their outcomes for a monitor of units.

    It counts the units that an endpoint answered in four periods (column period): `now`, the
    monitored window; `day`, each day of it; `before`, the window before; `first`, the first window,
    to compare with. The counts (units, int64) are grouped by day, version (of the model),
    attributes (of the request), satisfied (whether an outcome followed) and back (in `before`:
    whether the unit came again in `now`); the last two are 0 or 1.

    Parameters: $endpoint; $until and, where outcomes can be joined to units, $known (both not
    included); the dates $since, $before, $first and $first_end (not included), and with $known also
    $earliest, which equals $since.
    """
    objective = spec.objectives[endpoint.objective]
    satisfied = _satisfied_units(spec, objective, endpoint.unit)
    return f"""WITH answers AS (SELECT unit, dt, version, attributes, event_timestamp, event_id
      FROM rankings
  WHERE endpoint = $endpoint AND event_timestamp < $until AND ({_NOW} OR ({_BEFORE}) OR
    ({_FIRST}))),
outcomes AS ({satisfied}),
units_now AS ({_first_of("unit", _NOW)}),
units_of_day AS ({_first_of("unit, dt", _NOW)})
SELECT 'now' AS period, '' AS day, version, attributes, {_met_flag("outcome")}, 0 AS back, count(*)
  AS units
  FROM units_now LEFT JOIN (SELECT unit FROM outcomes GROUP BY unit) AS outcome ON outcome.unit =
    units_now.unit
  GROUP BY version, attributes, {_flag("outcome")}
UNION ALL SELECT 'day' AS period, units_of_day.dt AS day, '' AS version, attributes,
  {_met_flag("outcome")}, 0 AS back, count(*) AS units
  FROM units_of_day LEFT JOIN outcomes AS outcome ON outcome.unit = units_of_day.unit AND
    outcome.day = units_of_day.dt
  GROUP BY units_of_day.dt, attributes, {_flag("outcome")}
UNION ALL SELECT 'before' AS period, '' AS day, earlier.version, earlier.attributes, 0 AS
  satisfied, {_flag("again")} AS back,
  count(*) AS units FROM ({_first_of("unit", _BEFORE)}) AS earlier LEFT JOIN units_now AS again ON
    again.unit = earlier.unit
  GROUP BY earlier.version, earlier.attributes, {_flag("again")}
UNION ALL SELECT 'first' AS period, '' AS day, '' AS version, attributes, 0 AS satisfied, 0 AS
  back, count(*) AS units
  FROM ({_first_of("unit", _FIRST)}) AS begun GROUP BY attributes"""


def _first_of(key: str, when: str) -> str:
    """Return an SQL query of the first answer for each `key` in a period.

    `when` is the SQL condition of the period. Answers with attributes come before those without.
    """
    order = "CASE WHEN attributes IS NULL THEN 1 ELSE 0 END, event_timestamp, event_id"
    return (
        "SELECT unit, dt, version, attributes FROM (SELECT unit, dt, version, attributes, "
        f"row_number() OVER (PARTITION BY {key} ORDER BY {order}) AS isthmus_place FROM answers "
        f"WHERE {when}) AS isthmus_answers WHERE isthmus_place = 1"
    )


def _flag(joined: str) -> str:
    """Return an SQL expression: 1 where the left-joined table `joined` has a row, else 0."""
    return f"CASE WHEN {joined}.unit IS NULL THEN 0 ELSE 1 END"


def _met_flag(joined: str) -> str:
    """Return the SQL column `satisfied`: 1 where the left-joined table has the unit, else 0."""
    return f"{_flag(joined)} AS satisfied"


def _satisfied_units(spec: ProjectSpec, objective: Objective, unit: str) -> str:
    """Return an SQL query of the units with an outcome, once for each day.

    Columns: unit and day.
    """
    if path(objective.outcome, unit, spec.events) is None:
        return "SELECT unit, dt AS day FROM answers WHERE unit IS NULL"
    return (
        "SELECT unit, dt AS day FROM "
        f"({unit_events_sql(spec, objective.outcome, unit, until='$known')}) AS happened GROUP BY "
        "unit, dt"
    )
