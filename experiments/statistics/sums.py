"""Sums over the units of an arm. They add up: days to a total, arms to all. Pure.

Plain sums of squares lose everything where a mean is ten million times its deviation; shifted by
about the mean they lose nothing (Chan, Golub, LeVeque 1983). Whole numbers are exact without it, as
Python's have no end.
"""

from __future__ import annotations

import math
from typing import Literal

import msgspec

FEWEST_UNITS, FEWEST_OUTCOMES = 100, 10  # of an arm; below these no interval is worth its name
FEWEST_CARRIERS = (
    20  # equal units of an arm that carry an amount; below these arms are not compared
)
FEW = 30  # equal units: a total that rests on fewer is told
_ILL = 1e6  # a mean squared over its variance, from which on sums of floats are to be shifted
Column = Literal["y", "d", "x"]
Number = int | float
_COLUMNS: tuple[Column, ...] = ("y", "d", "x")
_ADDED = ("units", "y", "d", "x", "yy", "yd", "dd", "yx", "dx", "xx", "dropped")


class UnitSums(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Sums over units of y, d and x, and of their products.

    y is a unit's outcomes (a metric's numerator), d its exposures (the denominator, or 1), x its y
    of the time before, or 0. `yy` is the sum of y * y, and so on. `shift` (of y, d, x) was taken
    from each unit's value before it was squared and added.
    """

    units: int
    y: Number
    d: Number
    yy: Number
    yd: Number
    dd: Number
    x: Number = 0
    yx: Number = 0
    dx: Number = 0
    xx: Number = 0
    outcomes: int | None = (
        # how many y is made of; None: y counts them itself, or of floats as many as there are equal
        # units
        None
    )
    shift: tuple[float, float, float] = (0, 0, 0)
    # of `units` those with too large a denominator: they add nothing to the other sums
    dropped: int = 0

    def __add__(self, other: UnitSums) -> UnitSums:
        """Add sums of other units, or of a later day of the same ones.

        A day may add outcomes of units that came before it: no unit, but sums.

        Raises:
            ValueError: One is shifted otherwise.
        """
        if self.nothing or other.nothing:
            return other if self.nothing else self
        if self.shift != other.shift:
            raise ValueError(f"sums shifted by {self.shift} and by {other.shift} do not add up")
        added = {name: getattr(self, name) + getattr(other, name) for name in _ADDED}
        counted = (
            None
            if self.outcomes is None or other.outcomes is None
            else self.outcomes + other.outcomes
        )
        return UnitSums(**added, outcomes=counted, shift=self.shift)

    @property
    def nothing(self) -> bool:
        """Return whether every one of these sums is 0."""
        return not any(getattr(self, name) for name in _ADDED)

    def mean(self, column: Column) -> float:
        """Return the mean of y, d or x over units; NaN without a unit."""
        return self.total(column) / self.units if self.units else math.nan

    def total(self, column: Column) -> float:
        """Return the total of y, d or x over units, with the subtracted shift added back."""
        total: Number = getattr(self, column) + self.units * self.shift[_COLUMNS.index(column)]
        return total

    def covariance(self, first: Column, second: Column) -> float:
        """Return the covariance of two of y, d and x over units; NaN below two units.

        `first` does not come after `second` in y, d, x.
        """
        n = self.units
        if n < 2:
            return math.nan
        return float(
            (n * getattr(self, first + second) - getattr(self, first) * getattr(self, second))
            / (n * (n - 1))
        )

    @property
    def rate(self) -> float:
        """Return the ratio of outcomes y to the denominator d; NaN if d is 0."""
        d = self.total("d")
        return self.total("y") / d if d else math.nan

    @property
    def variance(self) -> float:
        """Return the variance of the ratio y / d (Deng, Knoblich, Lu 2018); NaN below two units."""
        return self.linear("y") / self.units if self.units else math.nan

    def linear(self, column: Literal["y", "x"]) -> float:
        """Return the variance of the linearised rate z, or the covariance of z with x.

        A unit's z is (y - rate d) / mean(d): its part in the ratio y / d (delta method).
        """
        d, rate = self.mean("d"), self.rate
        if column == "x":
            return (
                (self.covariance("y", "x") - rate * self.covariance("d", "x")) / d
                if d
                else math.nan
            )
        of_z = (
            self.covariance("y", "y")
            - 2 * rate * self.covariance("y", "d")
            + rate**2 * self.covariance("d", "d")
        )
        return max(of_z, 0.0) / d**2 if d else math.nan

    @property
    def by_row(self) -> bool:
        """Return whether each row is a unit of its own."""
        return self.units == self.d == self.dd and self.y == self.yy and not any(self.shift)

    @property
    def enough(self) -> bool:
        """Return whether there are enough units and outcomes for a confidence interval."""
        return (
            self.units >= FEWEST_UNITS and self.counted >= FEWEST_OUTCOMES and self.total("d") != 0
        )

    @property
    def comparable(self) -> bool:
        """Return whether there are enough data to compare the rate with another arm's.

        Where a few units make up most of the denominator, whether one of them has an outcome moves
        the rate by more than its variance says.
        """
        return self.enough and self.equal_units("d") >= FEW

    @property
    def counted(self) -> Number:
        """Return the number of outcomes; of amounts, how many units effectively carry the total."""
        if self.outcomes is not None:
            return self.outcomes
        return self.equal_units("y") if self.of_amounts else self.total("y")

    @property
    def of_amounts(self) -> bool:
        """Return whether y is a total of amounts, and not a count."""
        return isinstance(self.y, float)

    @property
    def shift_due(self) -> bool:
        """Return whether sums must be taken again of shifted values: a variance lacks digits."""
        return self._is_ill("y") or self._is_ill("x")

    def _is_ill(self, column: Literal["y", "x"]) -> bool:
        """Return whether a mean is so far from zero that its sum of squares loses digits."""
        number, of_floats = _COLUMNS.index(column), isinstance(getattr(self, column * 2), float)
        moved = self.mean(column) - self.shift[number]
        return of_floats and self.units > 1 and moved**2 > _ILL * self.covariance(column, column)

    def equal_units(self, column: Literal["y", "d"]) -> float:
        """Return the effective number of units of y or d: so many equal ones would vary as they do.

        That is (sum y)^2 / sum y^2 (Kish 1965). For outcomes that are 0 or 1 it is their number.
        """
        mean = self.mean(column)
        square = (
            mean**2 + max(self.covariance(column, column), 0.0) * (self.units - 1) / self.units
            if self.units > 1
            else mean**2
        )
        return self.units * mean**2 / square if square else 0.0


NOTHING = UnitSums(units=0, y=0, d=0, yy=0, yd=0, dd=0)
