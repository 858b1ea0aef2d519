"""The share that each group had in the training set of a version, beside what it is served.

It is told and never an alarm. In worlds without any bias the quotient swings from 0.57 to 1.5
(EXPERIMENTS.md, section 8), as good items happen to be of one group.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from ...core.runtime.project import Project
from ...feature_store.joins.point_in_time import JoinView, join_params, join_sql
from ...feature_store.joins.view_history import entity_key_sql
from ...pipelines.run_pages.records import Run, TrainingSetData
from ...pipelines.run_pages.runs import of_version
from ...project.endpoints.rules import entity_of
from ...project.specs.description import Entity
from ...project.specs.monitors import Monitor
from .items_sql import UNKNOWN, Grouping
from .snapshot import GroupFigure

Shares = dict[str, dict[str, float]]  # by version and group


def trained_sql(objective: str, entity: Entity, groups: Grouping) -> str:
    """Return the SQL query that counts a training set's rows by group of items.

    Columns: grp, exposures. Parameters: $start_time, $end_time, $as_of, $start_date, $end_date, and
    what `join_params` names.
    """
    spine = (
        f"SELECT {entity.key}, {entity_key_sql(entity)} AS entity_key, event_timestamp FROM "
        f"{objective} WHERE event_timestamp >= $start_time AND event_timestamp < $end_time AND "
        "created_timestamp <= $as_of AND dt >= $start_date AND dt <= $end_date"
    )
    rows = spine if groups.view is None else join_sql(spine, ("entity_key",), [groups.view])
    grp = f"coalesce({groups.group}, '{UNKNOWN}')"
    return (
        f"SELECT {grp} AS grp, count(*) AS exposures FROM ({rows}) AS isthmus_trained GROUP BY "
        f"{grp}"
    )


def shares(
    project: Project,
    monitor: Monitor,
    groups: Grouping,
    versions: Iterable[str],
    asked_before: Shares,
) -> Shares:
    """Return each item group's share of the training sets of these model versions.

    Args:
        project: The project.
        monitor: The monitor of items.
        groups: How items are grouped.
        versions: The model versions, such as `ranker@3`.
        asked_before: Shares that are known from an earlier look, by version; they are not queried.
    """
    entity = entity_of(monitor.items, project.spec)
    by_version: Shares = {}
    for version in versions:
        run = None if version in asked_before else of_version(project.target.blobs, version)
        if version in asked_before:
            by_version[version] = asked_before[version]
        elif (
            entity is not None
            and run is not None
            and run.data is not None
            and _has_key(project, run, entity)
        ):
            by_version[version] = _shares_by_group(
                project, trained_sql(run.objective, entity, groups), run.data, groups.view
            )
    return by_version


def _has_key(project: Project, run: Run, entity: Entity) -> bool:
    """Return whether a run's training events have the item's key, so they can be grouped."""
    objective = project.spec.objectives.get(run.objective)
    event = project.spec.events.get(objective.exposure) if objective else None
    return event is not None and any(
        attribute.entity == entity.name for attribute in event.attributes
    )


def _shares_by_group(
    project: Project, sql: str, data: TrainingSetData, view: JoinView | None
) -> dict[str, float]:
    """Query each item group's share of the rows of a training set.

    `data` says which rows are in it; `view` has the feature that groups them, None for items
    themselves.
    """
    moments = {"start_time": data.start, "end_time": data.end, "as_of": data.as_of}
    dates = {"start_date": f"{data.start:%Y-%m-%d}", "end_date": f"{data.end:%Y-%m-%d}"}
    rows = project.target.warehouse.query(
        sql, moments | dates | join_params([view] if view else [])
    ).to_pylist()
    total = sum(int(row["exposures"]) for row in rows)
    return {row["grp"]: int(row["exposures"]) / total for row in rows}


def rows(
    served: Iterable[GroupFigure], trained: Mapping[str, Mapping[str, float]]
) -> Iterator[GroupFigure]:
    """Yield each group's share of exposures over its share of the training set, by version.

    `served` are the snapshot's rows of exposures, `trained` the shares by version and group. A
    ratio above 1 means that the group is shown more often than its share in training.
    """
    for row in served:
        share = trained.get(row.of, {}).get(row.group)
        if row.figure == "shown" and row.scope == "version" and share:
            yield msgspec.structs.replace(
                row, figure="served_to_trained", value=row.value / share, low=None, high=None
            )
