"""The limits that an experiment may not harm. Pure.

A guardrail holds when the bound on the side of the harm, one-sided at 5 %, is within its margin;
all must hold, so none is corrected for the others (Schultzberg, Ankargren, Frånberg 2024). Harm
beyond the margin is watched at every look by `always`, and stops early.
"""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from ...project.specs.experiments import ExperimentGuardrail
from .inference import ALPHA, LookSchedule
from .ratio import ArmRate, Difference, are_comparable, difference, log_ratio
from .sums import FEW, FEWEST_OUTCOMES, FEWEST_UNITS, UnitSums
from .verdict import Judgement


class Guarded(msgspec.Struct, frozen=True, kw_only=True):
    """A guardrail in one treatment.

    `bound`: the relative difference is at most (may rise) or at least (may drop) this. None: too
    few.
    """

    guardrail: ExperimentGuardrail
    arm: str
    difference: Difference | None  # bounds of 95 %, each by itself
    bound: float | None
    judged: Judgement


class Arm(msgspec.Struct, frozen=True, kw_only=True):
    """An arm with its sums and its rate."""

    name: str
    sums: UnitSums
    point: ArmRate


def guard(
    guardrail: ExperimentGuardrail, control: Arm, treatment: Arm, horizon: LookSchedule
) -> Guarded:
    """Judge a guardrail in a treatment, against the control.

    It holds if harm is at most its margin, and is broken if harm beyond the margin is shown.
    `horizon` allows for repeated looks.
    """
    enough = are_comparable([(arm.sums, arm.point) for arm in (control, treatment)])
    compared = (
        difference(control.point, treatment.point, horizon.multiple(2 * ALPHA)) if enough else None
    )
    bound = _harmful_bound(guardrail, compared)
    return Guarded(
        guardrail=guardrail,
        arm=treatment.name,
        difference=compared,
        bound=bound,
        judged=_judgement(guardrail, control, treatment, bound, horizon),
    )


def _harmful_bound(guardrail: ExperimentGuardrail, compared: Difference | None) -> float | None:
    """Return the end of the relative interval that lies on the side of the harm, or None."""
    if compared is None:
        return None
    return compared.relative.high if guardrail.may == "rise" else compared.relative.low


def _judgement(
    guardrail: ExperimentGuardrail,
    control: Arm,
    treatment: Arm,
    bound: float | None,
    horizon: LookSchedule,
) -> Judgement:
    """Return whether the guardrail holds, is broken, or is inconclusive."""
    if _has_enough(guardrail, control.sums, treatment.sums) and _is_harmed(
        guardrail, control, treatment, horizon.watching.multiple()
    ):
        return "broken"
    sign = _harm_direction(guardrail.may)
    return "holds" if bound is not None and sign * bound <= _margin(guardrail) else "inconclusive"


def _is_harmed(
    guardrail: ExperimentGuardrail, control: Arm, treatment: Arm, multiple: float
) -> bool:
    """Return whether harm beyond a guardrail's margin is shown, `multiple` standard errors away.

    A rise is tested by the treatment's rate less the control's rate raised by the margin, which
    works for a control without any event, too. A drop is tested by the logarithm of the ratio of
    rates, as the error of a low rate would be too small.
    """
    sign = _harm_direction(guardrail.may)
    allowed = 1 + sign * _margin(guardrail)
    if sign < 0 and allowed > 0 and min(control.point.value, treatment.point.value) > 0:
        distance, spread = log_ratio(control.point, treatment.point)
        return math.log(allowed) - distance > multiple * math.sqrt(spread)
    beyond = sign * (treatment.point.value - allowed * control.point.value)
    error = math.sqrt(treatment.point.variance + allowed**2 * control.point.variance)
    return beyond > multiple * error


def _has_enough(guardrail: ExperimentGuardrail, control: UnitSums, treatment: UnitSums) -> bool:
    """Return whether there are enough units and outcomes to show that a guardrail is broken.

    A control rate below zero never suffices: a margin in percent of it has no meaning.
    """
    larger = treatment if guardrail.may == "rise" else control
    return (
        min(control.units, treatment.units) >= FEWEST_UNITS
        and min(control.equal_units("d"), treatment.equal_units("d")) >= FEW
        and larger.counted >= FEWEST_OUTCOMES
        and control.rate >= 0
    )


def _harm_direction(may: Literal["rise", "drop"]) -> int:
    """Return the direction of the harm: 1 if a rise harms, else -1."""
    return 1 if may == "rise" else -1


def _margin(guardrail: ExperimentGuardrail) -> float:
    """Return a guardrail's margin as a fraction, from its percentage."""
    return float(guardrail.margin) / 100
