"""The exposure: one row for each item that was shown, with the probability of showing it there. What the next evaluation weighs by."""

from __future__ import annotations

from ...events.port import Column, StreamSpec
from ...events.relations import CORRECTION, STORED_TIMESTAMP

_TEXT = ("endpoint", "unit", "variant", "version", "entity", "entity_key")

EXPOSURES = StreamSpec(
    name="exposures",
    columns=(
        Column(name="event_id", type="string", required=True),  # <request id>-<position>
        Column(name="event_timestamp", type="timestamp", required=True),  # the project's clock
        *(Column(name=name, type="string", required=True) for name in _TEXT),
        Column(name="position", type="int64", required=True),  # from 1
        Column(name="score", type="float64", required=True),
        Column(name="propensity", type="float64", required=True),
        Column(name="explored", type="bool", required=True),
        Column(name="payload_digest", type="string", required=True),  # added by emit_stream: copies of one exposure are told by it
        CORRECTION,
        STORED_TIMESTAMP,
    ),
    key="unit",
)
