"""The units that a run's queries count, in the neutral subset.

By their first assignment, their segments, or all that an endpoint served. Columns: unit, arm, other
(not `arm` where a unit was in both), segment, first_at, first_day (its midnight). Parameters: $run
(or $endpoint), $since, a date, $until (not included).
"""

from __future__ import annotations

from collections.abc import Sequence

from ...project.specs.experiments import MODEL_VERSION

_FIRST = "min(event_timestamp) AS first_at, date_trunc('day', min(event_timestamp)) AS first_day"
_SPLIT = "dt >= $since AND run = $run AND reason = 'split' AND event_timestamp < $until"
RUN_UNITS = (
    f"SELECT unit, min(arm) AS arm, max(arm) AS other, '' AS segment, {_FIRST} FROM assignments "
    f"WHERE {_SPLIT} AND segment = '' GROUP BY unit"
)
ENDPOINT_UNITS = (
    f"SELECT unit, 'all' AS arm, 'all' AS other, '' AS segment, {_FIRST} FROM exposures "
    "WHERE dt >= $since AND endpoint = $endpoint AND event_timestamp < $until GROUP BY unit"
)
_BY_VERSION = (
    "SELECT isthmus_unit.unit, min(arm) AS arm, min(other) AS other, version, "
    "min(isthmus_answer.event_timestamp) AS answered_at "
    f"FROM rankings AS isthmus_answer JOIN ({RUN_UNITS}) AS isthmus_unit ON "
    "isthmus_unit.unit = isthmus_answer.unit "
    "WHERE dt >= $since AND endpoint = $endpoint AND isthmus_answer.event_timestamp < $until "
    "AND isthmus_answer.event_timestamp >= first_at GROUP BY isthmus_unit.unit, version"
)
_ANSWERED = (
    "SELECT unit, arm, other, version, row_number() OVER (PARTITION BY unit ORDER BY "
    "answered_at, version) AS isthmus_place "
    f"FROM ({_BY_VERSION}) AS isthmus_by_version"
)


def segment_units(names: Sequence[str]) -> str:
    """Return an SQL query with a row for each unit and segment, such as `platform=ios`.

    `names` are attributes. A unit is in one segment of each: the first value that its requests had,
    or for MODEL_VERSION the model version that answered it first. That one needs the parameter
    $endpoint.
    """
    attributes = [name for name in names if name != MODEL_VERSION]
    values = [_first_values(attributes)] if attributes else []
    if MODEL_VERSION in names:
        version = (
            f"SELECT unit, '{MODEL_VERSION}=' || version AS segment, isthmus_place FROM "
            f"({_ANSWERED}) AS isthmus_answered"
        )
        values.append(version)
    return (
        "SELECT isthmus_all.unit, arm, other, isthmus_value.segment, first_at, first_day "
        f"FROM ({RUN_UNITS}) AS isthmus_all JOIN ({' UNION ALL '.join(values)}) AS isthmus_value "
        "ON isthmus_value.unit = isthmus_all.unit WHERE isthmus_place = 1"
    )


def versions_sql() -> str:
    """Return the SQL query that counts each arm's units by the version that answered them first.

    Columns: arm, version, units. Parameters: $run, $endpoint, $since, $until.
    """
    return (
        f"SELECT arm, version, count(*) AS units FROM ({_ANSWERED}) AS isthmus_answered "
        "WHERE isthmus_place = 1 AND arm = other GROUP BY arm, version"
    )


def _first_values(attributes: Sequence[str]) -> str:
    """Return an SQL query that numbers a unit's values of each attribute by time, from 1.

    Columns: unit, segment, isthmus_place.
    """
    attribute = " ".join(
        f"WHEN starts_with(segment, '{name}=') THEN '{name}'" for name in attributes
    )
    return (
        f"SELECT unit, segment, row_number() OVER (PARTITION BY unit, CASE {attribute} ELSE "
        "'' END ORDER BY event_timestamp, segment) "
        f"AS isthmus_place FROM assignments WHERE {_SPLIT} AND segment <> ''"
    )
