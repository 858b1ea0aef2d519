"""Ranges of hyperparameters and their scales.

A share of a range, 0 to 1, is a value, and a value is a place. Source: SageMaker developer guide,
"Define hyperparameter ranges" and "Hyperparameter scaling".
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

import msgspec

_STEP = 0.1  # of the scale: how far a nearby value lies
_OTHER = 0.2  # how often a nearby category is another one
# from a value to its place on the scale, and back
_SCALES: dict[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
    "Linear": (float, float),
    "Logarithmic": (math.log, math.exp),
    "ReverseLogarithmic": (lambda value: -math.log1p(-value), lambda place: -math.expm1(-place)),
}


class RangeError(ValueError):
    """The ranges of a request are wrong. The message is for a ValidationException."""


class Numeric(msgspec.Struct, frozen=True, kw_only=True):
    """A range of numbers."""

    name: str
    low: float
    high: float  # included
    scaling: str
    integer: bool

    def value_at(self, share: float) -> str:
        """Return the hyperparameter value, as text, at a fraction (0 to 1) of the range.

        Each integer has the part of the range up to the next one.
        """
        begin, end = self._ends()
        value = _SCALES[self.scaling][1](begin + share * (end - begin))
        within = min(max(math.floor(value) if self.integer else value, self.low), self.high)
        return str(int(within)) if self.integer else repr(float(within))

    def place(self, value: str) -> tuple[float, ...]:
        """Return the position of a hyperparameter value in its range, from 0 to 1.

        It is one coordinate: a tuple of one number.
        """
        begin, end = self._ends()
        middle = float(value) + 0.5 if self.integer else float(value)
        return ((_SCALES[self.scaling][0](middle) - begin) / (end - begin) if end > begin else 0.5,)

    def near(self, value: str, random: Random) -> str:
        """Return a random value, as text, near the value of a hyperparameter in the range."""
        return self.value_at(min(max(random.gauss(self.place(value)[0], _STEP), 0.0), 1.0))

    def _ends(self) -> tuple[float, float]:
        """Return the ends of the range on its (linear or logarithmic) scale."""
        scale = _SCALES[self.scaling][0]
        return scale(self.low), scale(self.high + 1 if self.integer else self.high)


class Categorical(msgspec.Struct, frozen=True, kw_only=True):
    """A range of categories."""

    name: str
    values: tuple[str, ...]

    def value_at(self, share: float) -> str:
        """Return the category at a fraction (0 to 1) of the list of categories."""
        return self.values[min(int(share * len(self.values)), len(self.values) - 1)]

    def place(self, value: str) -> tuple[float, ...]:
        """Return a category as coordinates in which any two categories are at distance 1.

        There is one coordinate for each category.
        """
        return tuple(math.sqrt(0.5) if value == other else 0.0 for other in self.values)

    def near(self, value: str, random: Random) -> str:
        """Return a value near another one: mostly the same category, sometimes a random one."""
        return self.value_at(random.random()) if random.random() < _OTHER else value


Range = Numeric | Categorical


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """Hyperparameters that have been tried, or are being tried."""

    parameters: dict[str, str]
    score: float | None  # greater is better; None: not known, yet or ever
    pending: bool


def parse(declared: Mapping[str, Any], static: Mapping[str, str]) -> tuple[Range, ...]:
    """Parse a tuning job's ParameterRanges into hyperparameter ranges.

    `static` are its StaticHyperParameters, which may not have a range, too.

    Raises:
        RangeError: A range cannot be searched.
    """
    if declared.get("AutoParameters"):
        raise RangeError("The local stack has no AutoParameters: give each hyperparameter a range.")
    ranges: tuple[Range, ...] = (
        *(_numeric(raw, integer=True) for raw in declared.get("IntegerParameterRanges") or ()),
        *(_numeric(raw, integer=False) for raw in declared.get("ContinuousParameterRanges") or ()),
        *(
            Categorical(name=raw["Name"], values=tuple(raw["Values"]))
            for raw in declared.get("CategoricalParameterRanges") or ()
        ),
    )
    if not ranges:
        raise RangeError("ParameterRanges must have at least one hyperparameter.")
    names = [item.name for item in ranges]
    if twice := sorted({name for name in names if names.count(name) > 1 or name in static}):
        raise RangeError(f"A hyperparameter has one range, or is static: {', '.join(twice)}.")
    return ranges


def _numeric(raw: Mapping[str, Any], *, integer: bool) -> Numeric:
    """Parse one range of numbers in ParameterRanges, of integers if `integer`."""
    name, scaling = raw["Name"], raw.get("ScalingType", "Auto")
    try:
        low, high = ((int if integer else float)(raw[key]) for key in ("MinValue", "MaxValue"))
    except ValueError as error:
        raise RangeError(
            f"The range of the hyperparameter {name} is not of "
            f"{'integers' if integer else 'numbers'}: {error}."
        ) from error
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise RangeError(
            f"The range of the hyperparameter {name}: MinValue {low} must not be greater "
            f"than MaxValue {high}."
        )
    if scaling == "Logarithmic" and low <= 0:
        raise RangeError(
            f"The range of the hyperparameter {name}: Logarithmic scaling needs a MinValue "
            f"above 0, not {low}."
        )
    if scaling == "ReverseLogarithmic" and (integer or low < 0 or high >= 1):
        raise RangeError(
            f"The range of the hyperparameter {name}: ReverseLogarithmic scaling needs a "
            "continuous range within 0 <= x < 1."
        )
    return Numeric(
        name=name,
        low=low,
        high=high,
        scaling="Linear" if scaling == "Auto" else scaling,
        integer=integer,
    )


def sample(ranges: Sequence[Range], random: Random) -> dict[str, str]:
    """Draw a random value for each hyperparameter."""
    return {item.name: item.value_at(random.random()) for item in ranges}


def size_of_grid(ranges: Sequence[Range]) -> int:
    """Return how many combinations of categories a grid search has.

    Raises:
        RangeError: A range is not of categories.
    """
    return math.prod(len(values) for values in _axes(ranges))


def grid(ranges: Sequence[Range]) -> Iterator[dict[str, str]]:
    """Yield every combination of a grid search, the last range's values fastest."""
    names = [item.name for item in ranges]
    return (dict(zip(names, values, strict=True)) for values in itertools.product(*_axes(ranges)))


def _axes(ranges: Sequence[Range]) -> list[tuple[str, ...]]:
    """Return the values of each hyperparameter of a grid search.

    Raises:
        RangeError: A range is not of categories.
    """
    axes = [tuple(dict.fromkeys(item.values)) for item in ranges if isinstance(item, Categorical)]
    if len(axes) < len(ranges):
        raise RangeError("The strategy Grid takes CategoricalParameterRanges only.")
    return axes
