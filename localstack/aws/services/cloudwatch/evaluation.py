"""An alarm's state from its datapoints: M of N, and the meaning of a missing one. Pure.

Source: CloudWatch user guide, "Evaluating an alarm" and "Configuring how CloudWatch alarms treat
missing data".
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import msgspec

State = Literal["OK", "ALARM", "INSUFFICIENT_DATA"]
Missing = Literal["missing", "ignore", "breaching", "notBreaching"]
MISSING: tuple[str, ...] = get_args(Missing)

COMPARE: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": operator.gt,
    "GreaterThanOrEqualToThreshold": operator.ge,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}


class Verdict(msgspec.Struct, frozen=True):
    """An alarm's new state, and the reason for it."""

    state: State
    reason: str


def evaluate(
    points: Sequence[float | None],
    *,
    threshold: float,
    comparison: str,
    decisive: int,
    needed: int,
    missing: Missing,
    previous: State,
) -> Verdict:
    """Return the state of an M-out-of-N alarm for its recent datapoints.

    With N real datapoints in the range the newest N decide; with fewer, those that there are, and
    the missing ones as `missing` says.

    Args:
        points: The evaluation range, oldest first, None where nothing is; it is longer than N, so
            that late data is found.
        threshold: The alarm's threshold.
        comparison: Its ComparisonOperator.
        decisive: N: how many datapoints decide.
        needed: M: how many of them must breach.
        missing: How missing datapoints count.
        previous: The state before.
    """
    compare = COMPARE[comparison]
    # the newest first; age counts from 1
    real = [(age, value) for age, value in enumerate(reversed(points), 1) if value is not None][
        :decisive
    ]
    breaching = [age for age, value in real if compare(value, threshold)]
    filled = decisive - len(real)
    reason = _reason(
        [value for _, value in real],
        len(breaching),
        comparison=comparison,
        threshold=threshold,
        needed=needed,
        decisive=decisive,
        filled=filled,
    )
    if len(breaching) >= needed:
        return Verdict("ALARM", reason)
    state: State = "OK"
    if missing == "breaching" and len(breaching) + filled >= needed:
        state = "ALARM"
    elif missing == "ignore" and len(breaching) + filled >= needed:
        state = previous
    elif missing == "missing" and not real:
        state = "INSUFFICIENT_DATA"
    elif (
        missing == "missing" and filled and len(breaching) == len(real) and breaching[-1] >= needed
    ):
        state = "ALARM"  # all that is known breaches, and has for as long as it takes
    return Verdict(state, reason)


def _reason(
    values: list[float],
    breaching: int,
    *,
    comparison: str,
    threshold: float,
    needed: int,
    decisive: int,
    filled: int,
) -> str:
    """Return the StateReason text that CloudWatch gives for an alarm's state.

    Args:
        values: The datapoints that decided.
        breaching: How many of them breach.
        comparison: The alarm's ComparisonOperator.
        threshold: Its threshold.
        needed: How many datapoints must breach.
        decisive: How many decide.
        filled: How many of these are missing ones.
    """
    if not values:
        return "Insufficient Data: no datapoints were received."
    words = {"GreaterThan": "greater than", "LessThan": "less than"}
    name = comparison.removesuffix("Threshold").removesuffix("OrEqualTo")
    relation = words[name] + (" or equal to" if "OrEqualTo" in comparison else "")
    shown = ", ".join(f"{value:g}" for value in values)
    missing = f" and {filled} missing" if filled else ""
    verb = "was" if breaching == 1 else "were"
    return (
        f"Threshold Crossed: {breaching} out of the last {decisive} datapoints [{shown}]{missing} "
        f"{verb} {relation} the threshold ({threshold:g}) (minimum {needed} "
        f"datapoint{'s' if needed > 1 else ''} for the transition OK -> ALARM)."
    )
