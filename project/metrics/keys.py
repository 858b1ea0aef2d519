"""The keys of the section `metrics:`."""

from __future__ import annotations

import re

from ..reading.common_shapes import DAYS
from ..reading.names import NAME
from ..reading.quantities import Mistake
from ..reading.shapes import Number, OneOf, Record, RecordKey, Text
from ..sections.rates import EACH_STEP, MEAN, RATE, TOTAL, rate, total
from ..specs.experiments import Total

_COME_BACK = (
    "write whether a unit did it at all, any: visit, within: 7d, or how often, sum: visit; "
    "SQL over the events says which units came back"
)
LATER_KEYS = {
    **dict.fromkeys(("retention", "retained", "retains", "cohort", "returns"), _COME_BACK),
    **dict.fromkeys(("funnel", "steps", "conversion"), EACH_STEP),
    **dict.fromkeys(("quantile", "percentile", "median", "p50", "p90", "p95", "p99"), MEAN),
    **dict.fromkeys(
        ("after", "between", "from_day"),
        "a window begins with a unit's first exposure: write within: 7d",
    ),
}


def _any(text: str) -> Total:
    """Parse the event's name of an `any` metric: whether a unit had such an event."""
    if not re.fullmatch(NAME, text):
        raise Mistake(
            f"{text!r} is not an event",
            f"any asks whether there was one: write any: {text.partition('.')[0] or 'purchase'}",
        )
    return Total(event=text)


METRIC = Record(
    noun="a metric",
    later=LATER_KEYS,
    keys={
        "sum": RecordKey(
            shape=Text(what="a total", pattern=TOTAL, parse=total, example="purchase.amount"),
            example="purchase.amount",
            description="The mean of a unit's total: of an event's number, or of an attribute's "
            "values.",
        ),
        "any": RecordKey(
            shape=Text(what="an event", pattern=NAME, parse=_any, example="purchase"),
            example="purchase",
            description="The share of units with at least one.",
        ),
        "rate": RecordKey(
            shape=Text(what="a ratio", pattern=RATE, parse=rate, example="sum view.seconds / view"),
            example="click / view",
            description="The ratio of two totals: click / view, sum view.seconds / view.",
        ),
        "within": RecordKey(
            shape=DAYS,
            description="UTC days from a unit's first exposure on; 1d is what is left of that "
            "day. Default: to the last look.",
        ),
        "before": RecordKey(
            shape=DAYS,
            description="The same total in so many days before the first exposure, which reduces "
            "the variance.",
        ),
        "at_most": RecordKey(
            shape=Number(), example="50000", description="A unit's sum counts up to this."
        ),
        "goal": RecordKey(
            shape=OneOf(
                words=("maximise", "minimise"),
                near={"maximize": "maximise", "minimize": "minimise"},
            )
        ),
    },
)
