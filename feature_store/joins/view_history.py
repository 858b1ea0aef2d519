"""Write the SQL of a view's history: what the view computes, and what the history still lacks.

Pure, in the neutral subset.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec

from ...events.port import Column
from ...events.tables.column_types import sql_type
from ...project.specs.description import Entity, FeatureView
from .point_in_time import canonical_order


class ViewSource(msgspec.Struct, frozen=True, kw_only=True):
    """A feature view with what was read from its SQL.

    That is its features, and whether its rows say when they became known.
    """

    view: FeatureView
    entity: Entity
    features: tuple[Column, ...]
    has_created: bool

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the names of the columns of the view's history table, in order."""
        return (
            "entity_key",
            self.entity.key,
            "event_timestamp",
            "created_timestamp",
            *(feature.name for feature in self.features),
        )


def entity_key(*parts: int | str) -> str:
    r"""Return an entity's key in the online store: its parts, joined by `|`.

    In each part `\` and `|` are escaped.
    """
    if len(parts) == 1 and isinstance(parts[0], int):
        return str(parts[0])
    return "|".join([str(part).replace("\\", "\\\\").replace("|", "\\|") for part in parts])


def entity_key_sql(entity: Entity) -> str:
    """Return SQL that computes an entity's key in the online store as text."""
    if entity.type == "int":
        return f"CAST({entity.key} AS VARCHAR)"
    return f"replace(replace({entity.key}, '\\', '\\\\'), '|', '\\|')"


def computed_sql(source: ViewSource) -> str:
    """Return SQL that computes a view's history rows from its inputs, up to `$until`.

    Its columns are the history's, one row per (key, event, created). A row is known at
    `created_timestamp`, but never before its own time. Of two rows with one key and both times the
    one wins whose features come last in the canonical order. A row without key or time is left out.
    """
    created = "event_timestamp"
    if source.has_created:
        created = (
            "CASE WHEN created_timestamp > event_timestamp THEN created_timestamp ELSE "
            "event_timestamp END"
        )
    names = "".join(f", {feature.name}" for feature in source.features)
    features = "".join(
        f", CAST({feature.name} AS {sql_type(feature.type)}) AS {feature.name}"
        for feature in source.features
    )
    newest = (
        ", ".join(
            f"{term} DESC" for feature in source.features for term in canonical_order(feature)
        )
        or "event_timestamp"
    )
    key = source.entity.key
    created_column = f", {_moment('created_timestamp')}" if source.has_created else ""
    raw = f"SELECT {key}, {_moment('event_timestamp')}{created_column}{features}"
    written = without_semicolon(source.view.sql)
    return (
        f"SELECT {', '.join(source.columns)} FROM (\nSELECT {entity_key_sql(source.entity)} AS "
        f"entity_key, {key}, event_timestamp, created_timestamp{names}, row_number() OVER "
        f"(PARTITION BY {key}, event_timestamp, created_timestamp ORDER BY {newest}) AS "
        f"isthmus_copy FROM (\nSELECT {key}, event_timestamp, {created} AS "
        f"created_timestamp{names} FROM (\n{raw} FROM (\n{written}\n) AS "
        f"isthmus_written) AS isthmus_typed\nWHERE {key} IS NOT NULL AND event_timestamp IS NOT "
        "NULL) AS isthmus_known\nWHERE event_timestamp <= $until AND created_timestamp <= "
        "$until) AS isthmus_copies WHERE isthmus_copy = 1"
    )


def first_sql(source: ViewSource) -> str:
    """Return SQL for the first batch of rows of a view's history, up to `$until`.

    Every row has its own created_timestamp.
    """
    return computed_sql(source)


def next_sql(source: ViewSource) -> str:
    """Return SQL for the rows to append to a view's history, between `$since` and `$until`.

    Every row has a created_timestamp in ($since, $until]. Rows created since then come as they are.
    Of older ones only the newest per (key, event) can still matter: where the history lacks it or
    holds other values (an event came late), it is a correction, known only now: created_timestamp =
    `$until`. Floats that differ by one part in 10^9 are the same: engines add in different orders
    (PORTS.md, rule 5).

    It reads published rows only, so that repeating a batch that was cut short gives the same rows.
    """
    names = "".join(f", {feature.name}" for feature in source.features)
    fresh, latest = "isthmus_fresh", "isthmus_latest"
    own, others = (
        ", ".join(f"{fresh}.{name}" for name in source.columns[:3]),
        "".join(f", {fresh}.{f.name}" for f in source.features),
    )
    differs = "".join(
        f" OR {changed(feature, f'{fresh}.{feature.name}', f'{latest}.{feature.name}')}"
        for feature in source.features
    )
    newest = (
        "row_number() OVER (PARTITION BY entity_key, event_timestamp ORDER BY created_timestamp "
        "DESC) AS isthmus_age"
    )
    published = (
        f"SELECT entity_key, event_timestamp{names}, {newest} FROM {source.view.name} WHERE "
        "created_timestamp <= $since"
    )
    created = (
        f"CASE WHEN {fresh}.created_timestamp > $since THEN {fresh}.created_timestamp ELSE "
        "$until END AS created_timestamp"
    )
    return (
        f"WITH isthmus_computed AS (\n{computed_sql(source)}\n),\n"
        f"isthmus_published AS (\n{published}\n)\n"
        f"SELECT {own}, {created}{others}\n"
        f"FROM (SELECT {', '.join(source.columns)}, {newest} FROM isthmus_computed) AS {fresh}\n"
        f"LEFT JOIN (SELECT * FROM isthmus_published WHERE isthmus_age = 1) AS {latest} "
        f"ON {latest}.entity_key = {fresh}.entity_key AND {latest}.event_timestamp = "
        f"{fresh}.event_timestamp\n"
        f"WHERE {fresh}.created_timestamp > $since OR ({fresh}.isthmus_age = 1 AND "
        f"({latest}.entity_key IS NULL{differs}))"
    )


def latest_sql(source: ViewSource) -> str:
    """Return SQL for each entity's newest row at `$until`, recomputed from the events.

    That is what the online store should serve.
    """
    return (
        f"SELECT {', '.join(source.columns)} FROM (SELECT {', '.join(source.columns)}, "
        "row_number() OVER (PARTITION BY entity_key ORDER BY event_timestamp DESC, "
        "created_timestamp DESC) AS isthmus_age FROM (\n"
        f"{computed_sql(source)}) AS isthmus_computed) AS isthmus_aged WHERE isthmus_age = 1"
    )


@lru_cache(maxsize=256)
def without_semicolon(sql: str) -> str:
    """Return a SQL statement without its semicolon, so that it can stand in parentheses.

    The tokenizer tells the semicolon that ends it from one within a text.
    """
    from sqlglot import TokenType, tokenize

    end = len(sql)
    for token in reversed(tokenize(sql, read="duckdb")):
        if token.token_type != TokenType.SEMICOLON:
            break
        end = token.start
    return sql[:end].rstrip()


def _moment(column: str) -> str:
    """Return SQL that casts a column to a timestamp and keeps its name."""
    return f"CAST({column} AS TIMESTAMP) AS {column}"


def changed(feature: Column, mine: str, theirs: str) -> str:
    """Return a SQL condition that two columns hold different values of a feature.

    Floats that differ only by rounding count as equal.
    """
    differs = f"{mine} IS DISTINCT FROM {theirs}"
    if feature.type != "float64":
        return differs
    return (
        f"({differs} AND NOT coalesce(abs({mine} - {theirs}) <= 1e-9 * (abs({mine}) + "
        f"abs({theirs})), FALSE))"
    )
