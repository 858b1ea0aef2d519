"""The chance that a treatment beats the control, given what was counted and a stated prior. Pure.

The logarithm of treatment / control is taken as normal around 0 before anything is counted, and
what is counted as normal around the truth. Where true effects come as the prior says, nine in ten
of all results that say 90 % are better, also if one looks every day and stops when one likes (Deng,
Lu, Chen, "Continuous monitoring of A/B tests without pain", 2016). Where they do not, it says no
such thing: the verdict goes by the interval alone.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import msgspec

from .ratio import ArmRate, log_ratio
from .verdict import Goal

PRIOR_SD = 0.1  # of the logarithm of the ratio: two true effects in three are within -10 .. +11 %


class ChanceToBeat(msgspec.Struct, frozen=True, kw_only=True):
    """The probability that a treatment is truly better than the control, under a normal prior."""

    probability: float
    prior_sd: float = PRIOR_SD  # of the logarithm of treatment / control, around 0


def chance_to_beat(control: ArmRate, treatment: ArmRate, goal: Goal) -> ChanceToBeat | None:
    """Return the posterior probability that the treatment is better than the control.

    `goal` is whether the metric is to rise or to fall. None if a rate is not positive, or nothing
    varies.
    """
    if not (control.value > 0 and treatment.value > 0):
        return None
    distance, spread = log_ratio(control, treatment)
    if not spread > 0:
        return None
    better = distance if goal == "maximise" else -distance
    score = better * PRIOR_SD / math.sqrt(spread * (PRIOR_SD**2 + spread))
    return ChanceToBeat(probability=NormalDist().cdf(score))
