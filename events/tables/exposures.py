"""Name the tables of the gateway's exposures: the stream, and the view that readers use."""

from __future__ import annotations

from ...feature_store.port import TableSpec
from ...project.specs.exposures import EVENT, EXPOSURES
from ..port import Column, StreamSpec
from .relations import CORRECTION, STORED_TIMESTAMP, column, exactly_once_view, raw_name

# Of every stream that a gateway logs: copies of one row are told by the digest.
COPY = (
    Column(name="payload_digest", type="string", required=True),
    CORRECTION,
    STORED_TIMESTAMP,
)

# One row for each item that was shown, with the probability of showing it there: what the next
# evaluation weighs by. What it gained after its first version is null in older rows.
EXPOSURES_STREAM = StreamSpec(
    name=EXPOSURES,
    columns=(
        Column(name="event_id", type="string", required=True),  # <request id>-<position>
        Column(name="event_timestamp", type="timestamp", required=True),  # the project's clock
        *[column(attribute) for attribute in EVENT.attributes if attribute.required],
        *COPY,
        *[column(attribute) for attribute in EVENT.attributes if not attribute.required],
    ),
    key="unit",
)


def copies_name(event: str) -> str:
    """Return the name of the table that holds every stored copy of an event, or of exposures."""
    return EXPOSURES if event == EXPOSURES else raw_name(event)


def exposures_view() -> TableSpec:
    """Return the view of exposures without duplicates: one row for each date and id.

    It is over the stream's own table, and otherwise as every event's view.
    """
    return exactly_once_view(EVENT, EXPOSURES)
