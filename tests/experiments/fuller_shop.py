"""EXPERIMENTS.md's fuller shop as far as a run's query reads it: every kind of metric, and every
way from an event to its unit.
"""

from datetime import timedelta

from isthmus.project.specs.description import Attribute, Event, Objective, ProjectSpec
from isthmus.project.specs.experiments import Metric, Total

DAY = timedelta(days=1)


def attribute(name: str, kind: str = "string", **fields) -> Attribute:
    return Attribute(name=name, type=kind, **fields)


SHOP = ProjectSpec(
    name="shop",
    events={
        "impression": Event(name="impression", attributes=(attribute("exposure_id"),)),
        "click": Event(name="click", attributes=(attribute("impression_id", event="impression"),)),
        "purchase": Event(
            name="purchase",
            attributes=(
                attribute("visitor_id", "int"),
                attribute("amount", "float", required=False),
            ),
        ),
    },
    objectives={
        "ctr": Objective(
            name="ctr", outcome="click", exposure="impression", within=timedelta(minutes=30)
        )
    },
)
METRICS = (
    Metric(
        name="ctr",
        kind="rate",
        numerator=Total(event="click"),
        denominator=Total(event="impression"),
        objective="ctr",
    ),
    Metric(
        name="clicks", kind="sum", numerator=Total(event="click"), within=3 * DAY, before=2 * DAY
    ),
    Metric(
        name="bought", kind="any", numerator=Total(event="purchase"), within=2 * DAY, before=3 * DAY
    ),
    Metric(
        name="revenue",
        kind="sum",
        numerator=Total(event="purchase", attribute="amount"),
        at_most=30,
    ),
    Metric(
        name="basket",
        kind="rate",
        numerator=Total(event="purchase", attribute="amount"),
        denominator=Total(event="purchase"),
        before=DAY,
    ),
)
