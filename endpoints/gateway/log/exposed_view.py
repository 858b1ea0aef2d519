"""The view `<event>_exposed`: an event of the catalogue joined to its exposure. Pure."""

from __future__ import annotations

from ....events.tables.relations import event_columns, exposed_name, view_name, winning_order
from ....feature_store.port import TableSpec
from ....project.specs.description import Event
from ....project.specs.reach import EXPOSURE_ID
from .streams import EXPOSURES

OF_EXPOSURE = ("unit", "variant", "version", "assignments", "parameters", "position", "propensity")


def exposed_view(event: Event) -> TableSpec:
    """Return the view that joins each event of a kind to the exposure that it refers to.

    The exposure's columns are null where there is none, or none yet. Each event is one row, also
    where an exposure's id stands on two dates: the earlier one counts. An attribute that has the
    name of an exposure's column is left out: the gateway's record of what was shown counts, not the
    client's.
    """
    own = [column.name for column in event_columns(event) if column.name not in OF_EXPOSURE]
    names = ", ".join(OF_EXPOSURE)
    columns = ", ".join(
        [
            *(f"isthmus_event.{name}" for name in own),
            *(f"isthmus_exposure.{name}" for name in OF_EXPOSURE),
        ]
    )
    return TableSpec(
        name=exposed_name(event.name),
        columns=(),
        time_column="event_timestamp",
        view_sql=(
            f"SELECT {columns}, isthmus_event.dt FROM {view_name(event.name)} AS "
            "isthmus_event LEFT JOIN ("
            f"SELECT event_id, {names} FROM (SELECT event_id, {names}, "
            "row_number() OVER (PARTITION BY event_id ORDER BY event_timestamp, "
            f"{winning_order()}) AS isthmus_copy "
            f"FROM {EXPOSURES.name}) AS isthmus_copies WHERE isthmus_copy = 1) AS isthmus_exposure "
            f"ON isthmus_exposure.event_id = isthmus_event.{EXPOSURE_ID}"
        ),
    )
