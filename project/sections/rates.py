"""How totals and ratios are written: click, purchase.amount, sum view.seconds / view."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..reading.names import NAME, did_you_mean
from ..reading.quantities import Mistake
from ..reading.report import ProblemReport
from ..reading.shapes import LATER
from ..specs.description import Event
from ..specs.experiments import Total

TOTAL = rf"{NAME}(\.{NAME})?"
NUMERATOR = rf"{NAME}|sum +{NAME}\.{NAME}"
RATE = rf"({NUMERATOR}) */ *({NUMERATOR})"

EACH_STEP = (
    "write a metric for each step, among metrics: bought: {any: purchase}, "
    "click_to_purchase: {rate: purchase / click}"
)
MEAN = (
    "write the mean, sum: view.seconds or rate: sum view.seconds / view; at_most: bounds what "
    "a few units add to a sum"
)


def total(text: str) -> Total:
    """Parse a total: `click` (number of events) or `purchase.amount` (an attribute)."""
    if quantile := re.match(r"(p[0-9]{1,2}|median|quantile|percentile)\b(?= *\(| +\S)", text):
        raise Mistake(f"{quantile[1]} is {LATER}", MEAN)
    if not re.fullmatch(TOTAL, text):
        raise Mistake(
            f"{text!r} names nothing to add up",
            "write an event, or an attribute of one: click, purchase.amount",
        )
    event, _, attribute = text.partition(".")
    return Total(event=event, attribute=attribute or None)


def rate(text: str) -> tuple[Total, Total]:
    """Parse a ratio of two totals: `click / view` or `sum view.seconds / view`."""
    if "->" in text or text.count("/") > 1:
        raise Mistake(f"{text!r} has several steps: a funnel is {LATER}", EACH_STEP)
    if counted := re.search(rf"\bsum +({NAME})(?= *(/|$))", text):
        event = counted[1]
        raise Mistake(
            f"sum {event} names no attribute to add up",
            f"write {event} to count its events, or sum {event}.seconds to add up an attribute",
        )
    if not re.fullmatch(RATE, text):
        raise Mistake(
            f"{text!r} is not a ratio of two totals",
            "write click / view, or sum view.seconds / view",
        )
    above, below = (total(re.sub("^sum +", "", part.strip())) for part in text.split("/"))
    return above, below


def check_attribute(
    summed: Total, events: Mapping[str, Event], key: str, report: ProblemReport
) -> None:
    """Report a sum over an attribute that is undeclared or not numeric."""
    if summed.attribute is None or summed.event not in events:
        return
    attributes = {attribute.name: attribute for attribute in events[summed.event].attributes}
    attribute = attributes.get(summed.attribute)
    if attribute is None:
        remedy = did_you_mean(summed.attribute, attributes, has=f"{summed.event} has")
        report.add(key, f"{summed.attribute} is not an attribute of {summed.event}", remedy)
    elif attribute.type not in ("int", "float"):
        report.add(
            key,
            f"{attribute.name} is of type {attribute.type}, which cannot be added up",
            "use an attribute of type int or float",
        )
