"""Count how many events came on each date."""

from __future__ import annotations

from datetime import date, timedelta

import msgspec

from ...core.runtime.project import Project
from ...errors import NotFound
from ..tables.relations import raw_name


class DayVolume(msgspec.Struct, frozen=True, kw_only=True):
    date: date
    events: int  # exactly once, whatever the number of copies


def volume(project: Project, event: str, *, days: int) -> tuple[DayVolume, ...]:
    """Return the number of stored events by date, for those of the last `days` dates with any.

    Raises:
        NotFound: `apply` has not made the table yet.
    """
    table = raw_name(event)
    if project.target.warehouse.observe(table) is None:
        raise NotFound(f"{project.target.name} has no table of {event} yet", remedy="isthmus apply")
    since = project.now().date() - timedelta(days=days - 1)
    rows = project.target.warehouse.query(
        volume_sql(table), {"since": since.isoformat()}
    ).to_pylist()
    return tuple(
        DayVolume(date=date.fromisoformat(row["dt"]), events=row["events"]) for row in rows
    )


def volume_sql(table: str) -> str:
    """Return SQL that counts a table's events by date, in columns dt and events.

    It is in the neutral subset; its parameter is $since. An id is unique within its date.
    """
    return (
        f"SELECT dt, count(DISTINCT event_id) AS events FROM {table} WHERE dt >= $since GROUP BY "
        "dt ORDER BY dt"
    )
