"""The keys of a stream view: `stream:` and `features:` of an entry in `feature_views:`."""

from __future__ import annotations

from datetime import timedelta

from ..reading import quantities
from ..reading.common_shapes import DURATION, NAME_SHAPE
from ..reading.names import NAME, column_problem
from ..reading.quantities import Mistake
from ..reading.shapes import MapOf, Record, RecordKey, Text


def _duration_or_zero(text: str) -> timedelta:
    """Parse a duration that may be `0s`."""
    return timedelta(0) if text in {"0", "0s"} else quantities.duration(text)


def _attribute(text: str) -> tuple[str, str]:
    """Parse `event.attribute` as the two names."""
    event, dot, attribute = text.partition(".")
    if not (dot and event and attribute) or "." in attribute:
        raise Mistake(f"{text!r} is not an event's attribute", "write it like stay.seconds")
    return event, attribute


_DURATION_OR_ZERO = Text(
    what="a duration", pattern=f"{quantities.DURATION}|0s", parse=_duration_or_zero, example="5m"
)
_ATTRIBUTE = Text(
    what="an event's attribute",
    pattern=rf"{NAME}\.{NAME}",
    parse=_attribute,
    example="stay.seconds",
)

STREAM = Record(
    noun="a stream view",
    keys={
        "every": RecordKey(
            shape=DURATION,
            required=True,
            example="1m",
            description="The length of a tile, at whose end an entity gets a row. It divides a "
            "minute, an hour or a day: 10s, 1m, 15m, 1h.",
        ),
        "lateness": RecordKey(
            shape=_DURATION_OR_ZERO,
            description="Events up to so old correct what is served online. Default 5m.",
        ),
        "delay": RecordKey(
            shape=_DURATION_OR_ZERO,
            description="A row may be used for training from its tile's end and this on. "
            "Default 1m.",
        ),
    },
)
STREAM_FEATURES = MapOf(
    names=column_problem,
    pattern=NAME,
    least=1,
    of=Record(
        noun="a feature of a stream view",
        keys={
            "count": RecordKey(shape=NAME_SHAPE, description="An event: how many there were."),
            **{
                word: RecordKey(
                    shape=_ATTRIBUTE, description=f"An event's attribute: {word} of its values."
                )
                for word in ("sum", "mean", "min", "max")
            },
            "window": RecordKey(
                shape=DURATION,
                required=True,
                example="10m",
                description="How far back events count: a whole number of tiles.",
            ),
        },
    ),
)
