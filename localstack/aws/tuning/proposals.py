"""What the next training job tries: the three strategies."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from random import Random

import msgspec

from .ranges import Range, grid

STRATEGIES = ("Random", "Grid", "Bayesian")


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What has been tried, or is being tried."""

    parameters: dict[str, str]
    score: float | None  # greater is better; None: not known, yet or ever
    pending: bool


def propose(strategy: str, ranges: Sequence[Range], *, seed: object, number: int, trials: Sequence[Trial]) -> dict[str, str]:
    """The hyperparameters of trial `number` (from 0). Of Random and Grid they depend on the seed and the number alone."""
    if strategy == "Grid":
        return next(itertools.islice(grid(ranges), number, None))
    random = Random(f"{seed}/{number}")  # noqa: S311  a search, not a secret
    if strategy == "Random":
        return drawn(ranges, random)
    from . import bayesian  # NumPy, for those who need it

    return bayesian.propose(ranges, random, trials)


def drawn(ranges: Sequence[Range], random: Random) -> dict[str, str]:
    return {item.name: item.at(random.random()) for item in ranges}
