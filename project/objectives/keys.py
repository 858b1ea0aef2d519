"""The keys of the section `objectives:`."""

from __future__ import annotations

from ..reading import quantities
from ..reading.common_shapes import COLUMN, DURATION, column
from ..reading.names import NAME
from ..reading.shapes import Key, OneOf, Record, Text
from ..specs.description import ROW


def _unit(text: str) -> str:
    """Parse an objective's unit: a column's name, or the word that makes each row a unit."""
    return text if text == ROW else column(text)


_UNIT = Text(what="a column's name", pattern=NAME, parse=_unit)
OBJECTIVE = Record(
    noun="an objective",
    keys={
        "rate": Key(
            shape=Text(
                what="a rate",
                pattern=quantities.RATE,
                parse=quantities.rate,
                example="click / impression",
            ),
            required=True,
            example="click / impression",
            description="The outcome's event / the exposure's event.",
        ),
        "within": Key(
            shape=DURATION,
            required=True,
            example="30m",
            description="How long after the exposure an outcome counts.",
        ),
        "goal": Key(
            shape=OneOf(
                words=("maximise", "minimise"),
                near={"maximize": "maximise", "minimize": "minimise"},
            )
        ),
        "unit": Key(
            shape=_UNIT,
            example="user_id",
            description="The exposure's attribute whose rows are not independent of each other, a "
            "person: intervals draw units, not rows. `event_id`: each row is a unit. Default: the "
            "unit of the endpoints that serve the objective, where the exposure has it.",
        ),
        "ranked_within": Key(
            shape=COLUMN,
            example="request_id",
            description="The exposure's attribute whose rows, of one unit, were ranked against "
            "each other. Default: the unit.",
        ),
    },
)
