"""The keys of the section `objectives:`."""

from __future__ import annotations

from ..reading.common_shapes import COLUMN, DURATION, column
from ..reading.names import NAME
from ..reading.quantities import Mistake
from ..reading.shapes import LATER, Number, OneOf, Record, RecordKey, Text
from ..sections.rates import NUMERATOR, rate
from ..specs.description import ROW
from ..specs.experiments import Total


def _unit(text: str) -> str:
    """Parse an objective's unit: a column's name, or the word that makes each row a unit."""
    return text if text == ROW else column(text)


def _rate(text: str) -> tuple[Total, Total]:
    """Parse an objective's rate as (outcome, exposure); the exposures can only be counted."""
    outcome, exposure = rate(text)
    if exposure.attribute is not None:
        raise Mistake(
            f"a sum below the line is {LATER}: a row's label is of one exposure",
            f"write {text.partition('/')[0].strip()} / {exposure.event}",
        )
    return outcome, exposure


_UNIT = Text(what="a column's name", pattern=NAME, parse=_unit)
OBJECTIVE = Record(
    noun="an objective",
    keys={
        "rate": RecordKey(
            shape=Text(
                what="a rate",
                pattern=rf"({NUMERATOR}) */ *{NAME}",
                parse=_rate,
                example="click / impression",
            ),
            required=True,
            example="click / impression",
            description="The outcome's event / the exposure's event: a row's label is whether "
            "there was an outcome. With sum stay.seconds / impression it is the sum of the "
            "attribute over the row's outcomes, 0 without one. With click / exposures the rows are "
            "what the gateways showed, and click refers to them by exposure_id.",
        ),
        "within": RecordKey(
            shape=DURATION,
            required=True,
            example="30m",
            description="How long after the exposure an outcome counts.",
        ),
        "at_most": RecordKey(
            shape=Number(),
            example="600",
            description="Of a sum: a row's label counts up to this.",
        ),
        "goal": RecordKey(
            shape=OneOf(
                words=("maximise", "minimise"),
                near={"maximize": "maximise", "minimize": "minimise"},
            )
        ),
        "unit": RecordKey(
            shape=_UNIT,
            example="user_id",
            description="The exposure's attribute whose rows are not independent of each other, a "
            "person: intervals draw units, not rows. `event_id`: each row is a unit. Default: the "
            "unit of the endpoints that serve the objective, where the exposure has it.",
        ),
        "ranked_within": RecordKey(
            shape=COLUMN,
            example="request_id",
            description="The exposure's attribute whose rows, of one unit, were ranked against "
            "each other. Default: the unit.",
        ),
    },
)
