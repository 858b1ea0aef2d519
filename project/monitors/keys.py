"""The keys of the section `monitors:`."""

from __future__ import annotations

from ..reading import quantities
from ..reading.common_shapes import DAYS, NAME_SHAPE
from ..reading.names import NAME
from ..reading.shapes import ListOf, Number, Record, RecordKey, Text

_READ = rf"{NAME}(\.{NAME})?"
_ALARM = Record(
    noun="an alarm",
    keys={
        "shown_to_organic": RecordKey(
            shape=Number(),
            example="2",
            description="Items: a group's share of what is shown over its share of explored "
            "clicks, at most.",
        ),
        "calibration": RecordKey(
            shape=ListOf(of=Number(), least=2, most=2),
            example="[0.67, 1.5]",
            description="Items: clicks over the sum of scores.",
        ),
        "gini_rise": RecordKey(
            shape=Number(),
            example="0.05",
            description="Items: the Gini coefficient over that of the first window, at most.",
        ),
        "satisfied_ratio": RecordKey(
            shape=Number(),
            example="0.8",
            description="Units: the satisfied share of the lowest group over that of the highest, "
            "at least.",
        ),
        "mix_drift": RecordKey(
            shape=Text(
                what="a percentage",
                pattern=quantities.PERCENT,
                parse=quantities.percent,
                example="5%",
            ),
            example="5%",
            description="Units: how far a group's share of the active units may be from that of "
            "the first window, in points.",
        ),
    },
)
MONITOR = Record(
    noun="a monitor",
    keys={
        "endpoint": RecordKey(shape=NAME_SHAPE, required=True, example="ranker"),
        "items": RecordKey(
            shape=Text(
                what="a feature of items", pattern=_READ, example="item_profile.item_category"
            ),
            example="item_profile.item_category",
            description="Groups items: a feature as view.feature, by its value when the item was "
            "shown, or an entity's key.",
        ),
        "units": RecordKey(
            shape=NAME_SHAPE,
            example="gender",
            description="Groups units: an attribute of the request.",
        ),
        "window": RecordKey(
            shape=DAYS,
            example="7d",
            description="How many days are looked at together. Default 7d.",
        ),
        "alarm": RecordKey(
            shape=_ALARM,
            description="Limits. It is an alarm when the whole 95 % interval of a figure lies "
            "beyond one.",
        ),
    },
)
