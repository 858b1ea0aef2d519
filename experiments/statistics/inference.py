"""How many standard errors an interval is wide, by how often one looks. Pure.

fixed: one look at a log that is closed. planned: looks that spend the 5 % of a plan (spending.py).
always: holds at every look at once, however often one looks (Waudby-Smith, Arbour, Sinha, Kennedy,
Ramdas 2021, eq. 9).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist
from typing import Literal

import msgspec

from .spending import bounds

Inference = Literal["fixed", "planned", "always"]
IntervalKind = Literal["fixed", "always"]
ALPHA = 0.05
# units of all arms at which the always-valid interval is tightest; it holds at any number
TUNED_FOR = 10_000
NEW = (
    0.001  # of the plan (without one, of the units before): a look that adds less is the one before
)


class LookSchedule(msgspec.Struct, frozen=True, kw_only=True):
    """The looks at an experiment: how many there may be, and what was looked at.

    `units`: of all arms, complete. `looks`: those of each recorded look, this one last.

    `information`: of each look one over the variance of what is compared. The 5 % are spent by
    units; how alike two looks are goes by this, which grows faster than units where these go on
    acting. Empty: it grows as the units do.
    """

    inference: Inference
    units: int
    planned: int | None = (
        None  # units of all arms; needed for `planned`, and what `always` is tuned for
    )
    looks: tuple[int, ...] = ()
    information: tuple[float, ...] = ()

    def multiple(self, alpha: float = ALPHA) -> float:
        """Return how many standard errors an interval extends to either side.

        For one side pass twice the `alpha`. Infinite where an earlier look has ended the plan.

        Raises:
            ValueError: The looks are planned, and there is no plan or no look.
        """
        if self.inference == "fixed":
            return NormalDist().inv_cdf(1 - alpha / 2)
        if self.inference == "always":
            return always_multiple(self.units, alpha=alpha, tuned_for=self.planned or TUNED_FOR)
        if not self.planned or not self.looks:
            raise ValueError("planned looks need a plan and the units of each look")
        if (
            closing_look(self.looks[:-1], self.planned) is not None
            and self.looks[-1] > self.looks[-2]
        ):
            return math.inf
        counted = counting_looks(self.looks, self.planned)
        times = tuple(self.looks[look] / self.planned for look in counted)
        return _last_bound(
            times,
            alpha,
            tuple(_rising([self.information[look] for look in counted]))
            if self.information
            else (),
        )

    @property
    def watching(self) -> LookSchedule:
        """Return a schedule whose intervals hold at any look, so that a metric may end a run.

        They are always-valid intervals.
        """
        return LookSchedule(inference="always", units=self.units, planned=self.planned)


ONCE = LookSchedule(inference="fixed", units=0)


def always_multiple(units: int, *, alpha: float = ALPHA, tuned_for: int = TUNED_FOR) -> float:
    """Return the half width of an always-valid confidence interval, in standard errors.

    It depends on the number of units: it is infinite without one, and tightest at `tuned_for`.
    """
    if not units:
        return math.inf
    r = (-2 * math.log(alpha) + math.log(1 - 2 * math.log(alpha))) / tuned_for
    grown = units * r + 1
    return math.sqrt(2 * grown / (units * r) * math.log(math.sqrt(grown) / alpha))


def closing_look(looks: Sequence[int], planned: int) -> int | None:
    """Return the index of the first look that had all planned units, or None.

    The result of that look is final: later data decide nothing.
    """
    return next((look for look, units in enumerate(looks) if units >= planned), None)


def counting_looks(looks: Sequence[int], planned: int) -> list[int]:
    """Return the indexes of the looks that spend alpha, in order.

    A look counts if it adds enough units to the last one that counted. None counts after the look
    that has all planned units.

    Args:
        looks: The number of units at each look.
        planned: The number of units of the plan.
    """
    counted: list[int] = []
    for look, units in enumerate(looks):
        if units - (looks[counted[-1]] if counted else 0) >= NEW * planned:
            counted.append(look)
        if units >= planned:
            break
    return counted


def _rising(information: Sequence[float]) -> list[float]:
    """Return the looks' statistical information, raised where needed so that it increases."""
    rising: list[float] = []
    for figure in information:
        rising.append(max(figure, rising[-1] * (1 + NEW)) if rising else figure)
    return rising


@lru_cache(maxsize=256)
def _last_bound(times: tuple[float, ...], alpha: float, information: tuple[float, ...]) -> float:
    """Return the bound of |z| at the last look of a group sequential test.

    `times` are the fractions of the plan at the looks, and `alpha` the false alarm rate of all.
    """
    return bounds(times, alpha=alpha, information=information)[-1] if times else math.inf
