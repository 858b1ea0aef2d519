"""Proposals for the next training job, by three strategies."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from random import Random

from .ranges import Range, Trial, grid, sample

STRATEGIES = ("Random", "Grid", "Bayesian")


def propose(
    strategy: str, ranges: Sequence[Range], *, seed: object, number: int, trials: Sequence[Trial]
) -> dict[str, str]:
    """Return the hyperparameters of a tuning job's trial `number` (from 0), by its strategy.

    `trials` are those so far. Those of Random and Grid depend on the seed and the number alone.
    """
    if strategy == "Grid":
        return next(itertools.islice(grid(ranges), number, None))
    random = Random(f"{seed}/{number}")  # noqa: S311  a search, not a secret
    if strategy == "Random":
        return sample(ranges, random)
    from . import bayesian  # NumPy, for those who need it

    return bayesian.propose(ranges, random, trials)
