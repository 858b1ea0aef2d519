"""What a policy would have earned, from a log of another one: inverse-propensity scoring, and how many rows that was worth.

A row (x, a, r, p) of the log counts r * pi(a | x) / p (Horvitz and Thompson 1952). Only rows that the new policy might have shown tell
anything of it: `effective_rows` = (sum w)^2 / sum w^2 (Kish 1965) says how many.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..errors import Invalid
from ..pipelines.units import estimates, totals

SAMPLES, SEED = 10_000, 12345  # with these EXAMPLE.md's 0.0015 .. 0.0093 comes out; other seeds end at 0.0092 to 0.0099
_CHUNK = 4096  # draws at a time


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """`value` None: the matched rows hold no reward or no row matches, and there is no estimate."""

    value: float | None
    low: float | None
    high: float | None
    self_normalised: float | None  # weights divided by their sum: biased a little, steadier
    rows: int
    effective_rows: float
    matched: int  # rows whose action the policy might have shown
    matched_rewards: float
    units: int | None = None  # that the interval draws; None: rows

    def __str__(self) -> str:
        if self.value is None:
            hits = f"{self.matched_rewards:g} click{'s' * (self.matched_rewards != 1)}"
            return f"matches {self.matched:,} of {self.rows:,} rows, {hits}: no estimate"
        worth = f"worth {_hundreds(self.effective_rows):,} of {self.rows:,} rows" + (f", {self.units:,} units drawn" if self.units else "")
        interval = "no interval of so few units" if self.low is None else f"{self.low:.4f} .. {self.high:.4f}"
        return f"{self.value:.5f}   {interval}   ({worth})"


def _hundreds(rows: float) -> int:
    """Three figures are all that such a number can bear."""
    return int(float(f"{rows:.3g}"))


def replay(
    positions: Any,
    items: Any,
    propensities: Any,
    rewards: Any,
    policy_probabilities: Any,
    *,
    units: Any = None,
    samples: int = SAMPLES,
    seed: int = SEED,
) -> Replay:
    """Estimate a policy's value per row from a log.

    `positions` count from 1 and `items` from 0; `policy_probabilities[item, position - 1]` is how likely the policy shows the item there
    (the same for every row: a policy without context), or one number a row. The interval (95 %) is the bootstrap's: over `units` (one
    value a row: whose it is) where they are known, else over rows, which is too narrow if people come back. Fewer than ten units: none.
    Invalid: a propensity that is not in (0, 1], or arrays of different lengths.
    """
    positions, items = np.asarray(positions), np.asarray(items)
    propensities, rewards = np.asarray(propensities, dtype=float), np.asarray(rewards, dtype=float)
    probabilities = np.asarray(policy_probabilities, dtype=float)
    if len({len(positions), len(items), len(propensities), len(rewards), len(rewards if units is None else units)}) != 1:
        raise Invalid("replay: positions, items, propensities, rewards and units must have one entry a row")
    outside = ~((propensities > 0) & (propensities <= 1))
    if outside.any():
        row = int(np.flatnonzero(outside)[0])
        raise Invalid(
            f"replay: propensity {propensities[row]} in row {row} ({int(outside.sum())} rows): it must be above 0 and at most 1",
            remedy="a log without the logging policy's propensities cannot be replayed",
        )
    likely = probabilities if probabilities.ndim == 1 else probabilities[items, positions - 1]
    whose = None if units is None else np.unique(np.asarray(units), return_inverse=True)[1].astype(np.int64)
    return _estimate(likely / propensities, rewards, whose, samples=samples, seed=seed)


def _estimate(
    weights: NDArray[np.float64], rewards: NDArray[np.float64], whose: NDArray[np.int64] | None, *, samples: int, seed: int
) -> Replay:
    rows, total = len(weights), float(weights.sum())
    matched = weights > 0
    hits = float(rewards[matched].sum())
    earned = weights * rewards
    value = low = high = normalised = None
    if rows and hits > 0:
        low, high = _by_row(earned, samples, seed) if whose is None else _by_unit(earned, whose, samples, seed)
        value, normalised = float(earned.mean()), float(earned.sum()) / total
    return Replay(
        value=value,
        low=low,
        high=high,
        self_normalised=normalised,
        rows=rows,
        effective_rows=total**2 / float((weights**2).sum()) if total else 0.0,
        matched=int(matched.sum()),
        matched_rewards=hits,
        units=None if whose is None else int(whose.max(initial=-1)) + 1,
    )


def _by_row(earned: NDArray[np.float64], samples: int, seed: int) -> tuple[float, float]:
    random = np.random.RandomState(seed)
    means = [float(earned[random.randint(0, len(earned), len(earned))].mean()) for _ in range(samples)]
    low, high = map(float, np.percentile(means, [2.5, 97.5]))
    return low, high


def _by_unit(earned: NDArray[np.float64], whose: NDArray[np.int64], samples: int, seed: int) -> tuple[float | None, float | None]:
    mean = totals(earned, 1.0, whose, int(whose.max()) + 1)
    drawn = estimates({"value": mean}, samples=samples, seed=seed).get("value")
    return (drawn.low, drawn.high) if drawn else (None, None)


def thompson_probabilities(alpha: Any, beta: Any, slots: int, *, draws: int = 100_000, seed: int = SEED) -> NDArray[np.float64]:
    """How likely Bernoulli Thompson sampling shows each item at each position: an array items x slots, by Monte Carlo.

    Draw for draw as obp 0.5.7's `BernoulliTS.compute_batch_action_dist` does it: the items of the highest draws, best first.
    """
    alpha, beta = np.asarray(alpha, dtype=float), np.asarray(beta, dtype=float)
    random = np.random.RandomState(seed)  # obp's generator: the published figure depends on it
    counts = np.zeros((len(alpha), slots))
    for start in range(0, draws, _CHUNK):
        size = min(_CHUNK, draws - start)
        theta = random.beta(alpha, beta, size=(size, len(alpha)))
        shown = theta.argsort(axis=1)[:, ::-1][:, :slots]
        for slot in range(slots):
            counts[:, slot] += np.bincount(shown[:, slot], minlength=len(alpha))
    probabilities: NDArray[np.float64] = counts / draws
    return probabilities


def fixed_ranking(scores: Any, slots: int) -> NDArray[np.float64]:
    """The policy that always shows the items of the highest scores, best first (ties: the first item)."""
    scores = np.asarray(scores, dtype=float)
    probabilities = np.zeros((len(scores), slots))
    for slot, item in enumerate(np.argsort(-scores, kind="stable")[:slots]):
        probabilities[item, slot] = 1.0
    return probabilities
