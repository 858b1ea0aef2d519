"""Streams that a gateway logs: exposures, the answers they came from, and assignments to arms.

JSON stands in columns of text. `exposures` has no column exposure_id: its `event_id` is what an
event's `exposure_id` refers to.
"""

from __future__ import annotations

from collections.abc import Mapping

from ....events.port import Column, ColumnType, StreamSpec
from ....events.tables.exposures import COPY, EXPOSURES_STREAM
from ....project.specs.streams import Stream


def _stream(name: Stream, *columns: Column) -> StreamSpec:
    """Return a log stream's specification: the columns of all streams, then these."""
    return StreamSpec(
        name=name,
        columns=(
            Column(name="event_id", type="string", required=True),
            Column(name="event_timestamp", type="timestamp", required=True),  # the project's clock
            *columns,
        ),
        key="unit",
    )


def _required_columns(type_: ColumnType, *names: str) -> tuple[Column, ...]:
    """Return non-nullable columns of one type, one for each name."""
    return tuple(Column(name=name, type=type_, required=True) for name in names)


_SETTING = (
    Column(name="assignments", type="string"),  # JSON {run: arm}
    Column(name="parameters", type="string"),  # JSON
    Column(name="config", type="int64"),  # the live document's version
)

EXPOSURES = EXPOSURES_STREAM

# One row for each answer: what another model would have been asked. A number of `sequence` that is
# missing is a lost answer.
RANKINGS = _stream(
    "rankings",  # event_id is the request's id
    *_required_columns("string", "endpoint", "gateway"),
    *_required_columns("int64", "sequence"),  # of this gateway's process
    *_required_columns("string", "unit", "variant", "version", "entity"),
    *_required_columns(
        "string", "candidates"
    ),  # JSON list, as they were sent; then those that only a pin brings
    *_required_columns(
        "string", "model_order"
    ),  # JSON list of their places from 0, best first by the model alone
    *_required_columns("bool", "explored"),
    *_required_columns("float64", "explore"),  # 0 .. 1
    *_SETTING,
    *_required_columns("float64", "milliseconds"),
    *COPY,
    Column(
        name="eligible", type="string"
    ),  # JSON list of places among the candidates that could be shown; null: all
    Column(name="rules", type="string"),  # JSON list of what rules did
    Column(
        name="rules_digest", type="string"
    ),  # of the rules as they are written; null: there are none
    Column(
        name="attributes", type="string"
    ),  # JSON of what the request said of those that monitors group by; null: nothing
    Column(name="slots", type="int64"),  # that were asked for
    Column(
        name="request", type="string"
    ),  # JSON {name: value}: the other keys and attributes of the request
    Column(
        name="rival_order", type="string"
    ),  # as model_order, of the second variant of an interleaved run; null: one answered alone
    Column(
        name="arranged", type="string"
    ),  # JSON of draft.Arranged: what rules made of both; null: no rules, or no draft
)

# What exposures and rankings gained later; a table of before takes its rows without, until `apply`
# adds them
LATER = frozenset(
    {
        "attributes",
        "slots",
        "request",
        "credit",
        "rival_order",
        "arranged",
        "features",
        "scored_by",
    }
)

# A unit that was assigned to an arm, once a day and process at least; `segment` is '', or one row
# more for each, as 'platform=ios'.
ASSIGNMENTS = _stream(
    "assignments",
    *_required_columns("string", "run", "endpoint", "layer", "unit", "arm", "reason"),
    *_required_columns("int64", "config"),
    *_required_columns("string", "segment"),
    *COPY,
)

# A copy of an answered request that went to the shadow variant, and how both answers compare.
# Nobody was shown it.
SHADOWS = _stream(
    "shadows",  # event_id is the request's id
    *_required_columns("string", "endpoint", "unit", "variant", "version", "shadow"),
    Column(
        name="shadow_version", type="string"
    ),  # null, as all that follows on it, where the copy failed
    *_required_columns("float64", "milliseconds"),  # of the call that was answered
    Column(name="shadow_milliseconds", type="float64"),
    Column(name="failure", type="string"),
    Column(
        name="score_difference", type="float64"
    ),  # the mean of the shadow's scores less that of the answer's
    Column(
        name="agreement", type="float64"
    ),  # 0 .. 1, of the items that stand first by both models
    *COPY,
)

STREAMS: Mapping[Stream, StreamSpec] = {  # in order of delivery
    "exposures": EXPOSURES,
    "rankings": RANKINGS,
    "assignments": ASSIGNMENTS,
    "shadows": SHADOWS,
}
