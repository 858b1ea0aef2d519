"""The queries of what a run's arms were shown and what they found, in the neutral subset.

For its endpoint's monitors: its units from their first assignment on.
"""

from __future__ import annotations

from ...project.specs.description import Endpoint, ProjectSpec
from ..measure.run_units import RUN_UNITS
from ..measure.unit_events import unit_events_sql
from .items_sql import SPREAD, SPREAD_SUMS

_ONE_ARM = "arm = other"  # who was in two counts in none


def spread_sql() -> str:
    """Return the SQL query of how each arm's exposures are spread over items.

    Columns: arm, n (items shown), and SPREAD_SUMS (float64); arm '' has the number of items that
    any arm showed. Parameters: $run, $endpoint, $entity, $since (a date), $until (not included).
    """
    sums = ", ".join(
        f"CAST(sum({value}) AS DOUBLE) AS {name}" for name, value in SPREAD_SUMS.items()
    )
    zeros = ", ".join(f"CAST(0 AS DOUBLE) AS {name}" for name in SPREAD_SUMS)
    return f"""WITH units AS ({RUN_UNITS}),
exposed AS (SELECT min(unit) AS unit, min(entity_key) AS entity_key, min(event_timestamp) AS
  shown_at FROM exposures
  WHERE endpoint = $endpoint AND entity = $entity AND dt >= $since AND event_timestamp < $until
    GROUP BY dt, event_id),
scoped AS (SELECT 'arm' AS scope, arm AS label, units.unit, entity_key, count(*) AS shown
  FROM units JOIN exposed ON exposed.unit = units.unit WHERE {_ONE_ARM} AND shown_at >= first_at
    GROUP BY arm, units.unit, entity_key),
{SPREAD}
SELECT label AS arm, max(items) AS n, {sums} FROM spread GROUP BY label
UNION ALL SELECT '' AS arm, count(*) AS n, {zeros} FROM (SELECT entity_key FROM scoped GROUP BY
  entity_key) AS isthmus_shown"""


def satisfied_sql(spec: ProjectSpec, endpoint: Endpoint) -> str:
    """Return the SQL query that counts units with and without an outcome, by arm and attributes.

    Columns: arm, attributes, satisfied (0 or 1), units. Parameters: $run, $endpoint, $since and
    $earliest (dates), $until and of outcomes $known (not included).

    Raises:
        ValueError: No outcome comes to a unit.
    """
    outcomes = unit_events_sql(
        spec, spec.objectives[endpoint.objective].outcome, endpoint.unit, until="$known"
    )
    return f"""WITH units AS ({RUN_UNITS}),
said AS (SELECT unit, attributes FROM (SELECT units.unit, attributes,
  row_number() OVER (PARTITION BY units.unit ORDER BY event_timestamp, event_id) AS isthmus_place
  FROM units JOIN (SELECT unit, attributes, event_timestamp, event_id FROM rankings
    WHERE endpoint = $endpoint AND dt >= $since AND event_timestamp < $until AND attributes IS NOT
      NULL) AS isthmus_answers
  ON isthmus_answers.unit = units.unit WHERE {_ONE_ARM} AND event_timestamp >= first_at) AS
    isthmus_placed WHERE isthmus_place = 1),
hit AS (SELECT units.unit FROM units JOIN ({outcomes}) AS happened ON happened.unit = units.unit
  WHERE happened_at >= first_at GROUP BY units.unit)
SELECT arm, attributes, CASE WHEN hit.unit IS NULL THEN 0 ELSE 1 END AS satisfied, count(*) AS units
FROM units JOIN said ON said.unit = units.unit LEFT JOIN hit ON hit.unit = units.unit WHERE
  {_ONE_ARM}
GROUP BY arm, attributes, CASE WHEN hit.unit IS NULL THEN 0 ELSE 1 END"""
