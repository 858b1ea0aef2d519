"""Tell what is stored of an objective's events: the cache sees what is new.

A run also says how many were corrected since the previous one.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from ...errors import Invalid, NotFound
from ...events.tables.exposures import copies_name
from ...project.specs.description import Model
from ..run_pages import records
from ..runs import names as run_names

if TYPE_CHECKING:
    from ...core.runtime.project import Project


class StoredEvents(msgspec.Struct, frozen=True, kw_only=True):
    """The copies in the raw tables of the exposure and the outcome, of the days of a window."""

    copies: int = 0
    newest: datetime | None = None  # when the last of them was stored
    corrections: int = 0  # of them stored since a moment


def stored_events(
    project: Project, model: Model, start: datetime, end: datetime, *, since: datetime | None
) -> StoredEvents:
    """Return how many events of a training window are stored, and how many were corrected.

    Both are 0 where there are no tables yet. With `since` None no correction is counted.
    """
    objective = project.spec.objectives[model.objective]
    copies = " UNION ALL ".join(
        f"SELECT correction, stored_timestamp FROM {copies_name(event)} WHERE dt >= $first AND "
        "dt <= $last"
        for event in dict.fromkeys((objective.exposure, objective.outcome))
    )
    sql = (
        "SELECT count(*) AS isthmus_rows, max(stored_timestamp) AS isthmus_newest, "
        "coalesce(sum(CASE WHEN correction > 0 AND stored_timestamp > $since THEN 1 ELSE 0 "
        f"END), 0) AS isthmus_corrections FROM ({copies}) AS isthmus_copies"
    )
    params = {
        "first": f"{start:%Y-%m-%d}",
        "last": f"{end + objective.within:%Y-%m-%d}",
        "since": since or project.log_time(),
    }
    try:
        (row,) = project.target.warehouse.query(sql, params).to_pylist()
    except (NotFound, Invalid):
        # not applied yet, or from before there were corrections: the next `apply` adds their
        # columns
        return StoredEvents()
    return StoredEvents(
        copies=row["isthmus_rows"],
        newest=row["isthmus_newest"],
        corrections=int(row["isthmus_corrections"]),
    )


def previous_run(project: Project, model: Model) -> records.Run | None:
    """Return the newest training run of a configuration that succeeded, or None."""
    blobs = project.target.blobs
    newest_first = (records.peek(blobs, name) for name in reversed(run_names.names(blobs)))
    return next(
        (
            run
            for run in newest_first
            if run is not None and run.configuration == model.name and run.status == "done"
        ),
        None,
    )
