"""The query of a monitor of items, in the neutral subset.

Sums by unit of what each group was shown and of what was clicked, and how exposures are spread over
items:

    rated: one row an exposure, once: its item's group when it was shown, and the outcome; null
        where it is not known.
    parts: the same, added up by unit, day, version, group and item.
    scoped: the same once for the window, its days, its versions, and the first window.
    spread: by unit, the places of what it was shown among the items, from the one shown least, and
        how surprising each was.

What leaves the warehouse are sums over units, of products too: enough for the variance of every
ratio at the unit (items.py).
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ...events.tables.relations import view_name, winning_order
from ...feature_store.joins.point_in_time import JoinView, interval, join_sql
from ...project.monitors.monitors import outcome_by
from ...project.specs.description import Endpoint, ProjectSpec

MOST_GROUPS = 20  # those that are shown most; the rest is one more
OTHERS, UNKNOWN = "(others)", "(unknown)"
_SPINE = (
    "event_id",
    "event_timestamp",
    "dt",
    "unit",
    "version",
    "entity_key",
    "position",
    "score",
    "explored",
)
_NOW, _FIRST = "dt >= $since", "dt >= $first AND dt < $first_end"
_SUMMED = ("shown", "seen", "organic", "clicks", "expected")
_SCOPE = "scope, label"
_PRODUCTS = {  # of a group's (g) and all of a unit's (u); of all, both are the unit's
    "shown_shown": "g.shown * g.shown",
    "shown_all": "g.shown * u.shown",
    "seen_seen": "g.seen * g.seen",
    "seen_all": "g.seen * u.seen",
    "organic_organic": "g.organic * g.organic",
    "organic_all": "g.organic * u.organic",
    "shown_organic": "g.shown * g.organic",
    "shown_organic_all": "g.shown * u.organic",
    "organic_shown_all": "g.organic * u.shown",
}
# from `scoped`: scope, label, unit, entity_key, shown
SPREAD = f"""of_item AS (SELECT {_SCOPE}, entity_key, sum(shown) AS shown FROM scoped GROUP BY
  {_SCOPE}, entity_key),
ranked AS (SELECT {_SCOPE}, entity_key, shown, row_number() OVER (PARTITION BY {_SCOPE} ORDER BY
  shown, entity_key) AS place,
  count(*) OVER (PARTITION BY {_SCOPE}) AS items, sum(shown) OVER (PARTITION BY {_SCOPE}) AS total
    FROM of_item),
spread AS (SELECT scoped.scope, scoped.label, unit, max(items) AS items, sum(scoped.shown) AS shown,
  sum(scoped.shown * place) AS places, sum(scoped.shown * ln(total / ranked.shown)) AS surprise
  FROM scoped JOIN ranked ON ranked.scope = scoped.scope AND ranked.label = scoped.label AND
    ranked.entity_key = scoped.entity_key
  GROUP BY scoped.scope, scoped.label, unit)"""
SPREAD_SUMS = {
    "shown": "shown",
    "places": "places",
    "surprise": "surprise",
    "shown_shown": "shown * shown",
    "places_places": "places * places",
    "shown_places": "shown * places",
    "surprise_surprise": "surprise * surprise",
    "shown_surprise": "shown * surprise",
}
SUMS = tuple(dict.fromkeys((*_SUMMED, *_PRODUCTS, *SPREAD_SUMS, "never")))


class Grouping(msgspec.Struct, frozen=True, kw_only=True):
    """The grouping of items: by a feature of `view`, or (None) each by itself."""

    view: JoinView | None = None

    @property
    def group(self) -> str:
        """Return the SQL expression of the group to which an item belongs."""
        return (
            "entity_key" if self.view is None else f"CAST({self.view.features[0].name} AS VARCHAR)"
        )


def items_sql(spec: ProjectSpec, endpoint: Endpoint, groups: Grouping) -> str:
    """Return the SQL query of a monitor of items.

    Columns: kind, scope, label, grp, n, and SUMS (float64; those that a kind has not are 0). kind:
    `group` and `all` by scope (n: units), `spread` by scope (n: items shown), `catalogue` by group
    (n: items there are). Parameters: $endpoint, $entity, $until (not included), the dates $since,
    $first, $first_end (not included); where outcomes are known ($known), and those that
    `join_params` names.
    """
    spine = f"SELECT {', '.join(_SPINE)} FROM copies WHERE isthmus_copy = 1"
    grouped = spine if groups.view is None else join_sql(spine, _SPINE, [groups.view])
    return f"""WITH copies AS (SELECT {", ".join(_SPINE)},
  row_number() OVER (PARTITION BY dt, event_id ORDER BY {winning_order()}) AS isthmus_copy FROM
    exposures
  WHERE endpoint = $endpoint AND entity = $entity AND event_timestamp < $until AND ({_NOW} OR
    ({_FIRST}))),
grouped AS (SELECT {", ".join(_SPINE)}, coalesce({groups.group}, '{UNKNOWN}') AS grp FROM
  ({grouped}) AS isthmus_grouped),
largest AS (SELECT grp, row_number() OVER (ORDER BY exposures DESC, grp) AS place
  FROM (SELECT grp, count(*) AS exposures FROM grouped GROUP BY grp) AS isthmus_counted),
rated AS ({_scored_rows(spec, endpoint)}),
parts AS (SELECT unit, dt, version, grp, entity_key, count(*) AS shown, sum(ln(2) / ln(1 +
  position)) AS seen,
  sum(CASE WHEN explored AND outcome = 1 THEN 1 ELSE 0 END) AS organic, sum(coalesce(outcome, 0))
    AS clicks,
  sum(CASE WHEN outcome IS NULL THEN CAST(0 AS DOUBLE) ELSE score END) AS expected
  FROM rated GROUP BY unit, dt, version, grp, entity_key),
scoped AS ({_scopes()}),
of_group AS (SELECT {_SCOPE}, unit, grp, {_all("sum({0}) AS {0}")} FROM scoped GROUP BY {_SCOPE},
  unit, grp),
of_unit AS (SELECT {_SCOPE}, unit, {_all("sum({0}) AS {0}")} FROM of_group GROUP BY {_SCOPE}, unit),
{SPREAD}
{_select("group", "g.scope, g.label, g.grp", "count(*)", _SUMS_OF_GROUP | _PRODUCTS)}
  FROM of_group AS g JOIN of_unit AS u ON u.scope = g.scope AND u.label = g.label AND u.unit =
    g.unit GROUP BY g.scope, g.label, g.grp
UNION ALL {_select("all", "g.scope, g.label, '' AS grp", "count(*)", _SUMS_OF_GROUP | _OF_ALL)}
  FROM of_unit AS g GROUP BY g.scope, g.label
UNION ALL {_select("spread", f"{_SCOPE}, '' AS grp", "max(items)", SPREAD_SUMS)} FROM spread GROUP
  BY {_SCOPE}
UNION ALL {_select("catalogue", _CATALOGUE_KEYS, "count(*)", {"never": _NEVER})}
  FROM ({_catalogue(groups)}) AS there LEFT JOIN (SELECT entity_key FROM of_item WHERE scope =
    'window') AS isthmus_shown
  ON isthmus_shown.entity_key = there.entity_key GROUP BY grp"""


_SUMS_OF_GROUP = {name: f"g.{name}" for name in _SUMMED}
_CATALOGUE_KEYS = "'window' AS scope, '' AS label, grp"
_OF_ALL = {name: product.replace("u.", "g.") for name, product in _PRODUCTS.items()}
_NEVER = "CASE WHEN isthmus_shown.entity_key IS NULL THEN 1 ELSE 0 END"


def _all(text: str) -> str:
    """Return SQL text with `{}` replaced by each sum's name in turn, joined by commas."""
    return ", ".join(text.format(name) for name in _SUMMED)


def _select(kind: str, keys: str, number: str, sums: Mapping[str, str]) -> str:
    """Return the SELECT clause for one kind of result rows; sums that the kind lacks are 0.

    Args:
        kind: The value of the column `kind`.
        keys: The SQL of the columns that identify a row.
        number: The SQL of the column `n`.
        sums: SQL expressions to add up, by the sum's name.
    """
    columns = ", ".join(
        f"CAST({f'sum({sums[name]})' if name in sums else '0'} AS DOUBLE) AS {name}"
        for name in SUMS
    )
    return f"SELECT '{kind}' AS kind, {keys}, {number} AS n, {columns}"


def _scopes() -> str:
    """Return an SQL query that repeats the rows for each scope: window, day and model version."""
    scopes = (
        ("'window'", "''", _NOW),
        ("'day'", "dt", _NOW),
        ("'version'", "version", _NOW),
        ("'first'", "''", _FIRST),
    )
    return " UNION ALL ".join(
        f"SELECT {scope} AS scope, {label} AS label, unit, grp, entity_key, {_all('{0}')} "
        f"FROM parts WHERE {when}"
        for scope, label, when in scopes
    )


def _scored_rows(spec: ProjectSpec, endpoint: Endpoint) -> str:
    """Return an SQL query of each exposure with its group, its score and its outcome."""
    outcome, hits = _outcome(spec, endpoint)
    return (
        "SELECT unit, dt, version, entity_key, position, score, explored, CASE WHEN place <= "
        f"{MOST_GROUPS} THEN grouped.grp ELSE '{OTHERS}' END AS grp, {outcome} AS outcome FROM "
        f"grouped JOIN largest ON largest.grp = grouped.grp{hits}"
    )


def _outcome(spec: ProjectSpec, endpoint: Endpoint) -> tuple[str, str]:
    """Return the SQL expression of an exposure's outcome (0, 1 or null), and the join for it."""
    event, objective = outcome_by(endpoint, spec), spec.objectives[endpoint.objective]
    if event is None:
        return "CAST(NULL AS BIGINT)", ""
    if (
        event.name == objective.exposure
    ):  # it may never have been on a screen: then it has no outcome
        hits = (
            f"SELECT exposure_id, max(outcome) AS outcome FROM {objective.name} WHERE {_NOW} AND "
            "created_timestamp <= $known"
        )
        value = "hit.outcome"
    else:
        closes = f"grouped.event_timestamp + {interval(objective.within)}"
        hits = (
            f"SELECT exposure_id, min(event_timestamp) AS clicked FROM {view_name(event.name)} "
            f"WHERE {_NOW}"
        )
        inside = f"hit.clicked >= grouped.event_timestamp AND hit.clicked <= {closes}"
        value = (
            f"CASE WHEN {closes} > $known THEN CAST(NULL AS BIGINT) WHEN {inside} THEN 1 ELSE 0 END"
        )
    return (
        value,
        f" LEFT JOIN ({hits} GROUP BY exposure_id) AS hit ON hit.exposure_id = grouped.event_id",
    )


def _catalogue(groups: Grouping) -> str:
    """Return an SQL query of every item of the catalogue, with its present group.

    Columns: entity_key, grp. Without a feature view it has the items that the log names.
    """
    if groups.view is None:
        return "SELECT entity_key, '' AS grp FROM parts GROUP BY entity_key"
    published = "" if groups.view.known_until is None else " AND created_timestamp <= $known_0"
    name = groups.view.features[0].name
    return (
        f"SELECT entity_key, coalesce({groups.group}, '{UNKNOWN}') AS grp FROM (SELECT "
        f"entity_key, {name}, row_number() OVER (PARTITION BY entity_key ORDER BY "
        f"event_timestamp DESC, created_timestamp DESC) AS place FROM {groups.view.history} "
        f"WHERE event_timestamp < $until{published}) AS isthmus_newest WHERE place = 1"
    )
