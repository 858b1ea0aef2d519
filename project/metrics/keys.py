"""The keys of the section `metrics:`."""

from __future__ import annotations

import re

from ..reading.common_shapes import DAYS
from ..reading.names import NAME
from ..reading.quantities import Mistake
from ..reading.shapes import LATER, Key, Number, OneOf, Record, Text
from ..specs.experiments import Total

_COUNTED = rf"{NAME}(\.{NAME})?"
_TOTAL = rf"{NAME}|sum +{NAME}\.{NAME}"
_RATE = rf"({_TOTAL}) */ *({_TOTAL})"


_EACH_STEP = (
    "write a metric for each step, among metrics: bought: {any: purchase}, "
    "click_to_purchase: {rate: purchase / click}"
)
_COME_BACK = (
    "write whether a unit did it at all, any: visit, within: 7d, or how often, sum: visit; "
    "SQL over the events says which units came back"
)
_MEAN = (
    "write the mean, sum: view.seconds or rate: sum view.seconds / view; at_most: bounds what "
    "a few units add to a sum"
)
LATER_KEYS = {
    **dict.fromkeys(("retention", "retained", "retains", "cohort", "returns"), _COME_BACK),
    **dict.fromkeys(("funnel", "steps", "conversion"), _EACH_STEP),
    **dict.fromkeys(("quantile", "percentile", "median", "p50", "p90", "p95", "p99"), _MEAN),
    **dict.fromkeys(
        ("after", "between", "from_day"),
        "a window begins with a unit's first exposure: write within: 7d",
    ),
}


def _counted(text: str) -> Total:
    """Parse a metric's total: `click` (number of events) or `purchase.amount` (an attribute)."""
    if quantile := re.match(r"(p[0-9]{1,2}|median|quantile|percentile)\b(?= *\(| +\S)", text):
        raise Mistake(f"{quantile[1]} is {LATER}", _MEAN)
    if not re.fullmatch(_COUNTED, text):
        raise Mistake(
            f"{text!r} names nothing to add up",
            "write an event, or an attribute of one: click, purchase.amount",
        )
    event, _, attribute = text.partition(".")
    return Total(event=event, attribute=attribute or None)


def _any(text: str) -> Total:
    """Parse the event's name of an `any` metric: whether a unit had such an event."""
    if not re.fullmatch(NAME, text):
        raise Mistake(
            f"{text!r} is not an event",
            f"any asks whether there was one: write any: {text.partition('.')[0] or 'purchase'}",
        )
    return Total(event=text)


def _rate(text: str) -> tuple[Total, Total]:
    """Parse a ratio metric, `click / view`, into its two totals."""
    if "->" in text or text.count("/") > 1:
        raise Mistake(f"{text!r} has several steps: a funnel is {LATER}", _EACH_STEP)
    if not re.fullmatch(_RATE, text):
        raise Mistake(
            f"{text!r} is not a ratio of two totals",
            "write click / view, or sum view.seconds / view",
        )
    above, below = (_counted(re.sub("^sum +", "", part.strip())) for part in text.split("/"))
    return above, below


METRIC = Record(
    noun="a metric",
    later=LATER_KEYS,
    keys={
        "sum": Key(
            shape=Text(what="a total", pattern=_COUNTED, parse=_counted, example="purchase.amount"),
            example="purchase.amount",
            description="The mean of a unit's total: of an event's number, or of an attribute's "
            "values.",
        ),
        "any": Key(
            shape=Text(what="an event", pattern=NAME, parse=_any, example="purchase"),
            example="purchase",
            description="The share of units with at least one.",
        ),
        "rate": Key(
            shape=Text(
                what="a ratio", pattern=_RATE, parse=_rate, example="sum view.seconds / view"
            ),
            example="click / view",
            description="The ratio of two totals: click / view, sum view.seconds / view.",
        ),
        "within": Key(
            shape=DAYS,
            description="UTC days from a unit's first exposure on; 1d is what is left of that "
            "day. Default: to the last look.",
        ),
        "before": Key(
            shape=DAYS,
            description="The same total in so many days before the first exposure, which reduces "
            "the variance.",
        ),
        "at_most": Key(
            shape=Number(), example="50000", description="A unit's sum counts up to this."
        ),
        "goal": Key(
            shape=OneOf(
                words=("maximise", "minimise"),
                near={"maximize": "maximise", "minimize": "minimise"},
            )
        ),
    },
)
