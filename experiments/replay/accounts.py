"""The sums that a replay needs, added up page by page, and the model of rewards for doubly robust.

Memory hardly grows. The model of rewards: the mean reward of shown items by position and by tenth
of the replayed version's own scores, so it holds for scores of any kind. It is learnt from one half
of the units and used for the other (cross-fitting, Chernozhukov et al. 2018): so what it says of a
row did not learn from it, and the estimate stays unbiased. As it is constant in each cell, sums by
cell are all that is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import mmh3
import msgspec
import numpy as np
from numpy.typing import NDArray

from ...pipelines.evaluation.regression import scale_of
from ...pipelines.evaluation.statistics import Floats
from ...pipelines.evaluation.units import BUCKETS as BUNCHES
from .estimates import HEAVY, LogSums
from .replayed_answer import WeightedPlace

TENTHS = 10
POSITIONS = 20  # all further ones are the last one
_FEW = 10.0  # rows that a cell counts beside its own, with the mean of its position


class Row(msgspec.Struct, frozen=True):
    """A place of an answer.

    `mass`: by tenth, how likely the version shows an item of it there; `tenth` of the one that was
    shown.
    """

    unit: str
    position: int
    weight: float
    reward: float
    tenth: int
    mass: Floats


@final
class Accounts:
    """Sums of a log by bunches of units.

    A unit adds to one of 4,096 bunches, by a hash: intervals draw bunches, which are as independent
    of each other as units.
    """

    def __init__(self, *, number: bool = False) -> None:
        """Begin with empty sums.

        Args:
            number: Whether rewards are amounts, not 0 or 1. Those other than 0 are kept then.
        """
        self._sums = {name: np.zeros(BUNCHES) for name in ("rows", "weights", "earned", "rewards")}
        self._off = np.zeros(
            (BUNCHES, POSITIONS, TENTHS)
        )  # the version's probability minus the weights of what was shown
        self._cells = np.zeros((2, 2, POSITIONS, TENTHS))  # rows and rewards, by half
        self._units = np.zeros(
            0, dtype=np.uint64
        )  # a hash of each: 8 bytes a unit are all that grows
        self._squares = self._hits = 0.0
        self._heavy = self._matched = self._rewarded = 0
        self._amounts: list[Floats] | None = [] if number else None

    def add(self, rows: Sequence[Row]) -> None:
        """Add a page of the log's rows to the totals, which are kept by groups of units."""
        if not rows:
            return
        hashes = np.array([mmh3.hash64(row.unit, signed=False)[0] for row in rows], dtype=np.uint64)
        bunch, position = (
            (hashes % BUNCHES).astype(np.int64),
            np.array([min(row.position, POSITIONS) - 1 for row in rows]),
        )
        weights, rewards = (
            np.array([getattr(row, name) for row in rows]) for name in ("weight", "reward")
        )
        tenth = np.array([row.tenth for row in rows])
        self._units = np.union1d(self._units, hashes)
        values = {
            "rows": np.ones(len(rows)),
            "weights": weights,
            "earned": weights * rewards,
            "rewards": rewards,
        }
        for name, column in values.items():
            self._sums[name] += np.bincount(bunch, weights=column, minlength=BUNCHES)
        np.add.at(self._off, (bunch, position), np.stack([row.mass for row in rows]))
        np.add.at(self._off, (bunch, position, tenth), -weights)
        for cells, column in zip(self._cells, (values["rows"], rewards), strict=True):
            np.add.at(cells, (bunch % 2, position, tenth), column)
        matched = weights > 0
        self._squares += float((weights**2).sum())
        self._heavy += int((weights > HEAVY).sum())
        self._matched += int(matched.sum())
        self._hits += float(rewards[matched].sum())
        self._rewarded += int(np.count_nonzero(rewards[matched]))
        if self._amounts is not None:
            self._amounts.append(rewards[rewards != 0])

    @property
    def units(self) -> int:
        """Return the number of units seen so far."""
        return len(self._units)

    def amounts(self) -> Floats:
        """Return the logged rewards of all rows, if the objective is a number; zeros come last."""
        amounts = np.concatenate([np.zeros(0), *(self._amounts or ())])
        return np.concatenate([amounts, np.zeros(int(self._sums["rows"].sum()) - len(amounts))])

    def sums(self) -> LogSums:
        """Return the sums for the off-policy estimates: those of each group of units with a row."""
        filled = self._sums["rows"] > 0
        other_half = 1 - np.arange(BUNCHES) % 2
        corrected = self._sums["earned"] + (self._off * self._expected_rewards()[other_half]).sum(
            axis=(1, 2)
        )
        of_bunches = {
            name: column[filled] for name, column in (*self._sums.items(), ("corrected", corrected))
        }
        return LogSums(
            **of_bunches,
            squares=self._squares,
            heavy=self._heavy,
            matched=self._matched,
            matched_rewards=self._hits,
            rewarded=self._rewarded,
            scale="plain" if self._amounts is None else scale_of(self.amounts()),
        )

    def _expected_rewards(self) -> Floats:
        """Return the mean reward of shown items by half of the units, position and score decile.

        Means of few items are shrunk towards the position's mean. The doubly robust estimate uses
        these means as its reward model.
        """
        rows, rewards = self._cells
        of_position = _ratio(rewards.sum(axis=2, keepdims=True), rows.sum(axis=2, keepdims=True))
        return _ratio(rewards + _FEW * of_position, rows + _FEW)


def edges(scores: NDArray[np.float64]) -> Floats:
    """Return the deciles of the scores, which divide them into tenths."""
    inner: Floats = np.quantile(scores, np.arange(1, TENTHS) / TENTHS)
    return inner


def rows_of(
    unit: str, places: Sequence[WeightedPlace], tenths: NDArray[np.int64], explore: float
) -> list[Row]:
    """Return a row for the off-policy estimates for each place of a logged ranking.

    Args:
        unit: The unit that got the ranking.
        places: The ranking's places with their importance weights.
        tenths: In which tenth of all scores each candidate's score lies.
        explore: The probability that exploration draws the item of a place.
    """
    by_draw = {
        id(place.lane): _draw_probability(place, tenths, explore)
        for place in places
        if place.lane is not None
    }
    return [
        Row(
            unit,
            place.position,
            place.weight,
            place.reward,
            int(tenths[place.item]),
            _mass(place, by_draw, tenths, explore),
        )
        for place in places
    ]


def _draw_probability(place: WeightedPlace, tenths: NDArray[np.int64], explore: float) -> Floats:
    """Return how likely exploration puts an item of each score decile at a place.

    `explore` is how likely exploration draws at all. It is the same at every place of a lane
    (places that the same candidates compete for).
    """
    lane = place.lane
    if lane is None or not explore:
        return np.zeros(TENTHS)
    plain = [candidate for candidate in lane.arranged if candidate not in lane.quotas]
    drawn = np.bincount(tenths[plain], minlength=TENTHS).astype(float)
    for group, quota in lane.groups:
        drawn += np.bincount(tenths[list(group)], minlength=TENTHS) * (quota / len(group))
    return drawn * (explore / lane.members)


def _mass(
    place: WeightedPlace, by_draw: dict[int, Floats], tenths: NDArray[np.int64], explore: float
) -> Floats:
    """Return how likely the replayed version puts an item of each score decile at a place.

    Without exploration that is the ranked item's decile. `by_draw` has what a random order adds, by
    the identity of a lane (places that the same candidates compete for).
    """
    mass = np.zeros(TENTHS)
    if place.lane is None:
        mass[tenths[place.item]] = 1.0
        return mass
    mass[tenths[place.lane.arranged[place.number]]] = 1 - explore
    return mass + by_draw[id(place.lane)]


def _ratio(above: Floats, below: Floats) -> Floats:
    """Divide two arrays, with 0 where the divisor is 0."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
