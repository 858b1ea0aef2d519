"""The value of a policy, from a log of another one; and some policies without context.

The log has its propensities. The estimates are in estimates.py; `isthmus models replay`
(version.py) comes to them from what a gateway has logged.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from ...errors import Invalid, Refused
from ...pipelines.evaluation.statistics import sums
from ...reports.columns import plural
from .estimates import HEAVY, LogSums, Replay, by_row, by_unit

SAMPLES, SEED = (
    10_000,
    12345,
)  # with these EXAMPLE.md's 0.0015 .. 0.0093 comes out; other seeds end at 0.0092 to 0.0099
_CHUNK = 4096  # draws at a time
_TINY = 1e-9  # of a probability: what sums of floats leave


def replay(
    positions: Any,
    items: Any,
    propensities: Any,
    rewards: Any,
    policy_probabilities: Any,
    *,
    units: Any = None,
    expected: tuple[Any, Any] | None = None,
    pool: Any = None,
    samples: int = SAMPLES,
    seed: int = SEED,
) -> Replay:
    """Estimate the reward per row that a policy would have earned, from another policy's log.

    This is off-policy evaluation by inverse propensities. The 95 % intervals are bootstrapped over
    `units`, or without these over rows, which is too narrow if people come back. With fewer than
    ten there are no intervals.

    Args:
        positions: The position of each row, from 1.
        items: The item of each row, as a number from 0.
        propensities: How likely the log's policy showed the item there.
        rewards: The reward of each row.
        policy_probabilities: `[item, position - 1]`: how likely the policy shows the item there
            (the same for every row: a policy without context), or one number a row.
        units: One value a row: whose it is.
        expected: A model's rewards, one number a row each: of the item that was shown, and the mean
            under the policy; the doubly robust estimate is unbiased whatever they are, if they did
            not learn from the row itself.
        pool: `[item, position - 1]`: whether the log's policy might show the item there; of a
            policy without context.
        samples: The number of bootstrap samples.
        seed: The seed of the bootstrap.

    Raises:
        Invalid: No row, arrays of different lengths, a propensity that is not in (0, 1], a reward
            that is not finite, an item or a position that the policy has not.
        Refused: A part of the policy lies outside the `pool`.
    """
    positions, items = np.asarray(positions), np.asarray(items)
    columns = [
        np.asarray(column, dtype=float) for column in (propensities, rewards, *(expected or ()))
    ]
    probabilities = np.asarray(policy_probabilities, dtype=float)
    if (
        len(
            {
                len(positions),
                len(items),
                *map(len, columns),
                len(columns[0] if units is None else units),
            }
        )
        != 1
    ):
        raise Invalid(
            "replay: positions, items, propensities, rewards, units and expected must have "
            "one entry a row"
        )
    if not len(positions):
        raise Invalid("replay: the log has no row")
    _check_propensities(columns[0])
    _check_rows(positions, items, columns[1], probabilities.shape)
    if pool is not None and probabilities.ndim == 1:
        raise Invalid(
            "replay: a pool is by item and position, and the policy's probabilities are not",
            remedy="give them alike",
        )
    if pool is not None:
        require_support(outside_share(positions, probabilities, np.asarray(pool, dtype=bool)))
    likely = probabilities if probabilities.ndim == 1 else probabilities[items, positions - 1]
    rows = _row_sums(likely / columns[0], *columns[1:])
    if units is None:
        return by_row(rows, samples=samples, seed=seed)
    names, whose = np.unique(np.asarray(units), return_inverse=True)
    return by_unit(_of_units(rows, whose, len(names)), len(names), samples=samples, seed=seed)


def outside_share(
    positions: Any, probabilities: NDArray[np.float64], pool: NDArray[np.bool_]
) -> float:
    """Return how likely a policy shows items that the log's policy never shows.

    `pool` says which items that might show where. The policy must not depend on context. The result
    is a mean over the log's rows.
    """
    by_position = np.where(pool, 0.0, probabilities).sum(axis=0)
    return float(by_position[positions - 1].mean()) if len(positions) else 0.0


def require_support(outside: float, *, what: str = "the policy", remedy: str | None = None) -> None:
    """Raise Refused if a policy shows items that the log's policy never shows.

    `outside` is how likely it does, `what` names the policy in the error.
    """
    if outside > _TINY:
        raise Refused(
            f"replay: {100 * outside:.3g} % of {what}'s probability lies where the log's "
            "policy never goes: no row tells of it",
            remedy=remedy
            or "replay a policy over the log's own pool, or log one that explores all of it",
        )


def _check_propensities(propensities: NDArray[np.float64]) -> None:
    """Raise Invalid if a propensity is not above 0 and at most 1."""
    wrong = ~((propensities > 0) & (propensities <= 1))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise Invalid(
            f"replay: propensity {propensities[row]} in row {row} "
            f"({plural(int(wrong.sum()), 'row')}): it must be above 0 and at most 1",
            remedy="a log without the logging policy's propensities cannot be replayed",
        )


def _check_rows(
    positions: Any, items: Any, rewards: NDArray[np.float64], shape: tuple[int, ...]
) -> None:
    """Raise Invalid if a log's rewards, items or positions are out of range or not finite.

    `shape` is that of the policy's probabilities. Position 0 would silently index the last one, and
    a NaN reward would make every sum NaN.
    """
    if not np.isfinite(rewards).all():
        raise Invalid(
            "replay: a reward is no finite number",
            remedy="0 where nothing happened; leave out rows whose outcome is not known",
        )
    if len(shape) == 2 and not (
        _within(items, 0, shape[0] - 1) and _within(positions, 1, shape[1])
    ):
        raise Invalid(
            f"replay: the policy has items 0 .. {shape[0] - 1} at positions 1 .. {shape[1]}, "
            "and the log has others"
        )


def _within(values: Any, least: int, most: int) -> bool:
    """Return whether all values of an array lie between two bounds."""
    return bool(values.min() >= least and values.max() <= most)


def _row_sums(
    weights: NDArray[np.float64], rewards: NDArray[np.float64], *expected: NDArray[np.float64]
) -> LogSums:
    """Return the sums for the off-policy estimates, an entry for each row.

    `weights` are the importance weights; `expected` are the rewards by a model: of the shown item,
    and under the policy.
    """
    matched = weights > 0
    return LogSums(
        rows=np.ones(len(weights)),
        weights=weights,
        earned=weights * rewards,
        rewards=rewards,
        corrected=expected[1] + weights * (rewards - expected[0]) if expected else None,
        squares=float((weights**2).sum()),
        heavy=int((weights > HEAVY).sum()),
        matched=int(matched.sum()),
        matched_rewards=float(rewards[matched].sum()),
        rewarded=int(np.count_nonzero(rewards[matched])),
    )


def _of_units(rows: LogSums, whose: NDArray[np.int64], number: int) -> LogSums:
    """Add up the sums of rows to one entry for each unit.

    `whose` is the number of each row's unit, and `number` how many units there are.
    """
    names = [
        name
        for name in ("rows", "weights", "earned", "rewards", "corrected")
        if getattr(rows, name) is not None
    ]
    return msgspec.structs.replace(
        rows, **{name: sums(whose, getattr(rows, name), number) for name in names}
    )


def thompson_probabilities(
    alpha: Any, beta: Any, slots: int, *, draws: int = 100_000, seed: int = SEED
) -> NDArray[np.float64]:
    """Return how likely Bernoulli Thompson sampling shows each item at each position.

    The result is an array items x slots, by Monte Carlo. The draws are those of obp 0.5.7's
    `BernoulliTS.compute_batch_action_dist`: the items with the highest draws are shown, best first.
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
    """Return the probabilities of the policy that always shows the highest scores, best first.

    The result is an array items x slots of 0 and 1. If scores are equal the first item comes first.
    """
    scores = np.asarray(scores, dtype=float)
    probabilities = np.zeros((len(scores), slots))
    for slot, item in enumerate(np.argsort(-scores, kind="stable")[:slots]):
        probabilities[item, slot] = 1.0
    return probabilities
