"""Name the warehouse tables of objectives, static tables and feature views: columns and SQL.

They are made here only.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...events.port import Column
from ...events.tables.column_types import OF_ATTRIBUTE
from ...events.tables.relations import event_columns, view_name
from ...project.specs.description import FeatureView, Objective, ProjectSpec
from ..port import TableSpec


def objective_columns(spec: ProjectSpec, objective: Objective) -> tuple[Column, ...]:
    """Return the columns of an objective's relation: exposure, outcome, time when known."""
    return (
        *event_columns(spec.events[objective.exposure]),
        Column(name="outcome", type="int64", required=True),
        Column(name="created_timestamp", type="timestamp", required=True),
    )


def objective_view(spec: ProjectSpec, objective: Objective) -> TableSpec:
    """Return the spec of an objective's SQL view: its exposures with their outcome (label).

    It has the exposure's columns, `outcome` (1 when an outcome event came within the time allowed)
    and when that time is over. If an id was shown on two dates and an outcome event fits both
    exposures, it belongs to the later one.
    """
    within = f"INTERVAL {int(objective.within.total_seconds())} SECOND"
    exposure, outcome = view_name(objective.exposure), view_name(objective.outcome)
    reference = f"{objective.exposure}_id"
    columns = ", ".join(
        f"isthmus_shown.{c.name}" for c in event_columns(spec.events[objective.exposure])
    )
    sql = (
        f"SELECT {columns}, CASE WHEN isthmus_hit.event_id IS NULL THEN 0 ELSE 1 END AS outcome, "
        f"isthmus_shown.event_timestamp + {within} AS created_timestamp, isthmus_shown.dt FROM "
        f"{exposure} AS isthmus_shown LEFT JOIN (SELECT event_id, dt FROM (SELECT "
        "isthmus_exposure.event_id, isthmus_exposure.dt, row_number() OVER (PARTITION BY "
        "isthmus_outcome.dt, isthmus_outcome.event_id ORDER BY isthmus_exposure.event_timestamp "
        f"DESC) AS isthmus_place FROM {exposure} AS isthmus_exposure JOIN {outcome} AS "
        f"isthmus_outcome ON isthmus_outcome.{reference} = isthmus_exposure.event_id AND "
        "isthmus_outcome.event_timestamp >= isthmus_exposure.event_timestamp AND "
        f"isthmus_outcome.event_timestamp <= isthmus_exposure.event_timestamp + {within}) AS "
        "isthmus_nearest WHERE isthmus_place = 1 GROUP BY event_id, dt) AS isthmus_hit ON "
        "isthmus_hit.event_id = isthmus_shown.event_id AND isthmus_hit.dt = isthmus_shown.dt"
    )
    return TableSpec(name=objective.name, columns=(), time_column="event_timestamp", view_sql=sql)


def static_raw_name(table: str) -> str:
    """Return the name of the warehouse table that holds a static table's rows."""
    return f"{table}_raw"


def static_table(name: str, columns: Sequence[Column]) -> tuple[TableSpec, TableSpec]:
    """Return the specs of a static table: the table of all loads, the view of the newest."""
    names = ", ".join(c.name for c in columns)
    raw = static_raw_name(name)
    return (
        TableSpec(
            name=raw,
            columns=(*columns, Column(name="loaded_timestamp", type="timestamp", required=True)),
            time_column="loaded_timestamp",
        ),
        TableSpec(
            name=name,
            columns=(),
            time_column="loaded_timestamp",
            view_sql=f"SELECT {names} FROM {raw} WHERE loaded_timestamp = (SELECT "
            f"max(loaded_timestamp) FROM {raw})",
        ),
    )


def history_table(spec: ProjectSpec, view: FeatureView, features: Sequence[Column]) -> TableSpec:
    """Return the spec of the warehouse table that holds a feature view's history.

    It is the only source of point-in-time joins. `entity_key` is the entity's key as one string.
    """
    entity = spec.entities[view.entity]
    return TableSpec(
        name=view.name,
        columns=(
            Column(name="entity_key", type="string", required=True),
            Column(name=entity.key, type=OF_ATTRIBUTE[entity.type], required=True),
            Column(name="event_timestamp", type="timestamp", required=True),
            Column(name="created_timestamp", type="timestamp", required=True),
            *features,
        ),
        time_column="event_timestamp",
    )
