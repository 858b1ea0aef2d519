"""Name the warehouse tables of objectives, static tables and feature views: columns and SQL.

They are made here only.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...events.port import Column
from ...events.tables.column_types import OF_ATTRIBUTE
from ...events.tables.relations import event_columns, view_name
from ...project.specs.content import Extract, extracted_name, vector_columns
from ...project.specs.description import Event, FeatureView, Objective, ProjectSpec
from ...project.specs.exposures import EVENT, is_served, reference_to
from ..port import TableSpec

_ZERO = "CAST(0 AS DOUBLE)"


def objective_columns(spec: ProjectSpec, objective: Objective) -> tuple[Column, ...]:
    """Return the columns of an objective's relation: those of the exposure, and its outcome.

    One more says when the outcome was known.
    """
    return (
        *event_columns(_exposure(spec, objective)),
        Column(name="outcome", type="float64" if objective.is_number else "int64", required=True),
        Column(name="created_timestamp", type="timestamp", required=True),
    )


def _exposure(spec: ProjectSpec, objective: Objective) -> Event:
    """Return the exposure event of an objective: a declared one, or the gateway's."""
    return EVENT if is_served(objective) else spec.events[objective.exposure]


def objective_view(spec: ProjectSpec, objective: Objective) -> TableSpec:
    """Return the spec of an objective's SQL view: its exposures with their outcome (label).

    It has the exposure's columns, `outcome` and when the time allowed for outcome events is over.
    The outcome is 1 if an outcome event came within it, else 0. That of a number is the sum of
    those events' attribute, up to `at_most`; a null adds nothing. If an id was shown on two dates
    and an outcome event fits both exposures, it belongs to the later one.
    """
    within = f"INTERVAL {int(objective.within.total_seconds())} SECOND"
    exposure, outcome = view_name(objective.exposure), view_name(objective.outcome)
    reference = reference_to(objective.exposure)
    columns = ", ".join(
        f"isthmus_shown.{c.name}" for c in event_columns(_exposure(spec, objective))
    )
    label, value, total = "CASE WHEN isthmus_hit.event_id IS NULL THEN 0 ELSE 1 END", "", ""
    if objective.sums is not None:
        label = _bounded_sum(objective.at_most)
        value = f"isthmus_outcome.{objective.sums} AS isthmus_value, "
        total = f", sum(coalesce(CAST(isthmus_value AS DOUBLE), {_ZERO})) AS isthmus_sum"
    sql = (
        f"SELECT {columns}, {label} AS outcome, isthmus_shown.event_timestamp + {within} AS "
        f"created_timestamp, isthmus_shown.dt FROM {exposure} AS isthmus_shown LEFT JOIN (SELECT "
        f"event_id, dt{total} FROM (SELECT isthmus_exposure.event_id, isthmus_exposure.dt, {value}"
        "row_number() OVER (PARTITION BY "
        "isthmus_outcome.dt, isthmus_outcome.event_id ORDER BY isthmus_exposure.event_timestamp "
        f"DESC) AS isthmus_place FROM {exposure} AS isthmus_exposure JOIN {outcome} AS "
        f"isthmus_outcome ON isthmus_outcome.{reference} = isthmus_exposure.event_id AND "
        "isthmus_outcome.event_timestamp >= isthmus_exposure.event_timestamp AND "
        f"isthmus_outcome.event_timestamp <= isthmus_exposure.event_timestamp + {within}) AS "
        "isthmus_nearest WHERE isthmus_place = 1 GROUP BY event_id, dt) AS isthmus_hit ON "
        "isthmus_hit.event_id = isthmus_shown.event_id AND isthmus_hit.dt = isthmus_shown.dt"
    )
    return TableSpec(name=objective.name, columns=(), time_column="event_timestamp", view_sql=sql)


def _bounded_sum(at_most: float | None) -> str:
    """Return the SQL of a number's label: the sum of a row's outcomes, at most `at_most`.

    It is 0 for a row without an outcome.
    """
    bound = "" if at_most is None else f"CAST({at_most!r} AS DOUBLE)"
    capped = f"WHEN isthmus_hit.isthmus_sum > {bound} THEN {bound} " if bound else ""
    return (
        f"CASE WHEN isthmus_hit.event_id IS NULL THEN {_ZERO} {capped}ELSE isthmus_hit.isthmus_sum "
        "END"
    )


def static_raw_name(table: str) -> str:
    """Return the name of the warehouse table that holds a static table's rows."""
    return f"{table}_raw"


def static_table(name: str, columns: Sequence[Column]) -> tuple[TableSpec, TableSpec]:
    """Return the specs of a static table's table and view in the warehouse.

    The table has all loads of the file, the view the newest load.
    """
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


def vector_features(view: str, extract: Extract) -> tuple[Column, ...]:
    """Return the columns of a view's vectors."""
    return tuple(
        Column(name=name, type="float64") for name in vector_columns(view, extract.dimensions)
    )


def extracted_columns(spec: ProjectSpec, view: FeatureView, extract: Extract) -> tuple[Column, ...]:
    """Return the columns of the table of a view's extracted vectors: a row for each event.

    An event whose content was corrected has a further row, created when it was extracted again.
    `content_digest` tells equal contents, `extractor_digest` is that of the version that made the
    vector, and `problem` says why there is none.
    """
    entity = spec.entities[view.entity]
    return (
        Column(name="event_id", type="string", required=True),
        Column(name=entity.key, type=OF_ATTRIBUTE[entity.type], required=True),
        Column(name="event_timestamp", type="timestamp", required=True),
        Column(name="created_timestamp", type="timestamp", required=True),
        *vector_features(view.name, extract),
        Column(name="content_digest", type="string", required=True),
        Column(name="extractor_digest", type="string", required=True),
        Column(name="problem", type="string"),
    )


def extracted_table(spec: ProjectSpec, view: FeatureView, extract: Extract) -> TableSpec:
    """Return the spec of the table of a view's extracted vectors."""
    return TableSpec(
        name=extracted_name(view.name),
        columns=extracted_columns(spec, view, extract),
        time_column="event_timestamp",
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
