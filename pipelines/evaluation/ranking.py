"""Measure how well rows are ordered that were ranked against each other.

The figures are NDCG@k, MRR, recall@k, precision@k, AUC within the group, and what comes first; of
outcomes that are numbers NDCG@k and the value at k; and the average precision of rows that need no
groups. Rows with equal scores stand in random order, and a metric is its mean over these orders: as
scikit-learn's `ndcg_score` has it. With distinct scores the figures are those of ir-measures
(trec_eval).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from .statistics import Floats, sums

Codes = NDArray[np.int64]


class Groups(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of each group, as arrays of one length; NaN where a group holds no outcome.

    A group that holds nothing else ranks nothing.
    """

    rows: Codes
    hits: Codes
    # ndcg@k, recall@k, precision@k, mrr: means over the orders of equal scores
    metrics: dict[str, Floats]
    # pairs of an outcome and a row without one in which the first has the higher score, a tie
    # counting half
    won: Floats
    pairs: Floats

    @property
    def tell(self) -> NDArray[np.bool_]:
        """Return for each group whether it has both outcomes, so that its order can be judged."""
        both: NDArray[np.bool_] = self.pairs > 0
        return both


class ValueGroups(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of each group of rows with values, as arrays of one length."""

    differ: NDArray[np.bool_]  # the group holds two values at least: its order can be judged
    several: NDArray[np.bool_]  # it holds two rows at least
    metrics: dict[str, Floats]  # ndcg@k (NaN without a gain), value@k


class _Runs(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of one group with one score, groups in order and the best score first."""

    group: Codes
    first: Codes  # rows of the group before the run
    size: Codes
    gains: NDArray[Any]  # the sum of the rows' gains: of outcomes of 0 or 1 their number


def measure(
    scores: Any, outcomes: Any, groups: Codes, number: int, cutoffs: Sequence[int] = (10,)
) -> Groups:
    """Return every ranking metric (ndcg@k, recall@k, precision@k, mrr, AUC) of every group of rows.

    `groups` are codes from 0 to `number` - 1; outcomes are 0 or 1, the gain of a row. As in
    trec_eval, precision@k divides by k also where a group has fewer rows.
    """
    is_hit = (np.asarray(outcomes) == 1).astype(np.int64)
    runs = _runs(np.asarray(scores, dtype=float), is_hit, groups)
    rows, hits = (
        sums(runs.group, side, number).astype(np.int64) for side in (runs.size, runs.gains)
    )
    metrics: dict[str, Floats] = {}
    gain = _cumulated_discounts(rows)
    with np.errstate(divide="ignore", invalid="ignore"):
        for k in cutoffs:
            places = np.minimum(np.arange(len(gain)), k)
            metrics[f"ndcg@{k}"] = (
                _discounted_gains(runs, gain[places], number) / gain[places][hits]
            )
            first = _discounted_gains(
                runs, places.astype(float), number
            )  # outcomes among the first k
            metrics[f"recall@{k}"] = first / hits
            metrics[f"precision@{k}"] = np.where(hits > 0, first / k, np.nan)
    metrics["mrr"] = _reciprocal_rank(runs, number)
    misses = runs.size - runs.gains
    after = sums(runs.group, misses, number)[runs.group] - _within(runs.group, misses) - misses
    won = sums(runs.group, runs.gains * (after + misses / 2), number)
    return Groups(
        rows=rows, hits=hits, metrics=metrics, won=won, pairs=(hits * (rows - hits)).astype(float)
    )


def measure_values(
    scores: Any, values: Any, groups: Codes, number: int, cutoffs: Sequence[int] = (10,)
) -> ValueGroups:
    """Return ndcg@k and value@k of every group of rows whose outcomes are numbers.

    A row's gain is its value, so that ndcg@k is of values of at least 0 only; the ideal order is
    that of the values (Jaervelin and Kekaelaeinen, ACM TOIS 2002). value@k is the mean value of the
    first k rows, or of all where a group has fewer; value@1 is always there. `groups` are codes
    from 0 to `number` - 1.
    """
    scores, values = np.asarray(scores, dtype=float), np.asarray(values, dtype=float)
    runs, ideal = (_runs(order, values, groups) for order in (scores, values))
    rows = sums(runs.group, runs.size, number)
    levels = np.bincount(ideal.group, minlength=number)
    discounts = _cumulated_discounts(rows)
    metrics: dict[str, Floats] = {}
    with np.errstate(divide="ignore", invalid="ignore"):
        for k in sorted({1, *cutoffs}):
            places = np.minimum(np.arange(len(discounts)), k)
            if k in cutoffs and (values >= 0).all():
                most = _discounted_gains(ideal, discounts[places], number)
                gained = _discounted_gains(runs, discounts[places], number)
                metrics[f"ndcg@{k}"] = gained / np.where(most > 0, most, np.nan)
            first = _discounted_gains(runs, places.astype(float), number)
            metrics[f"value@{k}"] = first / np.minimum(rows, k)
    return ValueGroups(differ=levels > 1, several=rows > 1, metrics=metrics)


def _cumulated_discounts(rows: NDArray[Any]) -> Floats:
    """Return for each place from 0 on the sum of DCG's discounts of the places before it.

    `rows` are the sizes of the groups, which bound the places.
    """
    last = int(rows.max(initial=0))
    discounts: Floats = np.concatenate(([0.0], np.cumsum(1 / np.log2(np.arange(2, last + 2)))))
    return discounts


def _runs(scores: Floats, gains: NDArray[Any], groups: Codes) -> _Runs:
    """Sort rows by group and score; return the runs of rows with equal scores.

    `gains` are what each row is worth.
    """
    order = np.lexsort((-scores, groups))
    scores, group = scores[order], groups[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (group[1:] != group[:-1]) | (scores[1:] != scores[:-1])
    start = np.flatnonzero(new)
    size = np.diff(np.append(start, len(order)))
    summed = np.add.reduceat(gains[order], start) if len(start) else size
    return _Runs(group=group[start], first=_within(group[start], size), size=size, gains=summed)


def _within(group: Codes, values: NDArray[Any]) -> NDArray[Any]:
    """Return for each row the sum of the values of the earlier rows in its group.

    `group` has each row's group; rows are sorted by it.
    """
    sums_before = np.cumsum(values) - values
    opens = np.ones(len(group), dtype=bool)
    opens[1:] = group[1:] != group[:-1]
    opening = np.maximum.accumulate(np.where(opens, np.arange(len(group)), 0))
    inside: NDArray[Any] = sums_before - sums_before[opening]
    return inside


def _discounted_gains(runs: _Runs, cumulated: Floats, number: int) -> Floats:
    """Return for each group the sum of its rows' discounted gains, as in DCG.

    Rows of equal score count with the mean discount of their places. `runs` are the runs of equal
    scores, `number` is the number of groups, and `cumulated` has for each place the sum of the
    discounts before it.
    """
    worth = runs.gains / runs.size * (cumulated[runs.first + runs.size] - cumulated[runs.first])
    return sums(runs.group, worth, number)


def _reciprocal_rank(runs: _Runs, number: int) -> Floats:
    """Return for each group 1 / the rank of its first positive row, its mean over ties.

    `runs` are the runs of equal scores, `number` is the number of groups. With m outcomes among t
    equal scores the first is at place j with C(t - j, m - 1) / C(t, m).
    """
    some = np.flatnonzero(runs.gains)
    some = some[
        np.unique(runs.group[some], return_index=True)[1]
    ]  # the first run of each group that holds an outcome
    first, size, hits = (side[some].astype(float) for side in (runs.first, runs.size, runs.gains))
    reciprocal = np.full(number, np.nan)
    value, open_still, place = (
        np.zeros(len(some)),
        np.ones(len(some)),
        0,
    )  # `open_still`: the chance that none came before
    active = np.arange(len(some))
    while len(active):
        chance = hits[active] / (size[active] - place)
        value[active] += open_still[active] * chance / (first[active] + place + 1)
        open_still[active] *= 1 - chance
        place += 1
        active = active[size[active] - place >= hits[active]]
    reciprocal[runs.group[some]] = value
    return reciprocal


def pair_shares(scores: Any, outcomes: Any, groups: Codes) -> tuple[Floats, Floats]:
    """Return (won, pairs) of each row: its part in the AUC within its group.

    A pair is two rows with different outcomes; half of it counts for either row.
    """
    scores, hit = np.asarray(scores, dtype=float), np.asarray(outcomes) == 1
    order = np.lexsort((scores, groups))
    ordered, group, hit = scores[order], groups[order], hit[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (group[1:] != group[:-1]) | (ordered[1:] != ordered[:-1])
    run = np.cumsum(new) - 1
    run_group = group[new]
    run_hits, run_rows = np.bincount(run, weights=hit), np.bincount(run)
    run_misses = run_rows - run_hits
    hits, misses = np.bincount(group, weights=hit), np.bincount(group, weights=~hit)
    below = _within(run_group, run_misses)
    above = hits[run_group] - _within(run_group, run_hits) - run_hits
    won, pairs = np.empty(len(order)), np.empty(len(order))
    won[order] = np.where(hit, (below + run_misses / 2)[run], (above + run_hits / 2)[run]) / 2
    pairs[order] = np.where(hit, misses[group], hits[group]) / 2
    return won, pairs


def precision_shares(scores: Any, outcomes: Any) -> tuple[Floats, Floats]:
    """Return (numerator, denominator) of each row: its part in the average precision.

    Average precision is the mean, over the rows with the outcome, of the share of outcomes among
    the rows that score no less (scikit-learn's `average_precision_score`; the area under the
    precision-recall curve as steps). Rows with equal scores come at once. It is no ratio of sums
    over rows, as a row also changes the precision at every lower score. The parts here sum to it,
    and their weighted ratio moves as it does when rows count more or less often, to first order
    (its influence function).
    """
    scores, hit = np.asarray(scores, dtype=float), np.asarray(outcomes) == 1
    order = np.argsort(-scores, kind="stable")
    ordered, hit = scores[order], hit[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = ordered[1:] != ordered[:-1]
    run = np.cumsum(new) - 1
    run_hits = np.bincount(run, weights=hit)
    above = np.cumsum(np.bincount(run)).astype(float)  # rows that score no less
    precision = np.cumsum(run_hits) / above
    gain, loss = (
        np.cumsum((run_hits * part / above)[::-1])[::-1]
        for part in (np.ones(len(above)), precision)
    )
    numerator, denominator = np.empty(len(order)), np.empty(len(order))
    numerator[order] = hit * (precision + gain)[run] - loss[run]
    denominator[order] = hit
    return numerator, denominator


class TopSpread(msgspec.Struct, frozen=True, kw_only=True):
    """The spread of first places over items, in groups of two rows and more.

    Equal scores share the place.
    """

    items: int  # that were there to choose from
    shown: int  # that come first somewhere
    gini: float  # of their shares of first places: 0 all alike, near 1 always the same


def top(scores: Any, groups: Codes, items: Codes, number: int) -> TopSpread:
    """Return how first places in the groups are spread over items (coverage and Gini).

    `items` are codes of each row's item from 0 to `number` - 1.
    """
    scores = np.asarray(scores, dtype=float)
    rows = np.bincount(groups)
    best = np.full(len(rows), -np.inf)
    np.maximum.at(best, groups, scores)
    ranked = rows[groups] > 1
    first = ranked & (scores == best[groups])
    share = 1 / np.bincount(groups[first], minlength=len(rows))[groups[first]]
    is_ranked = np.bincount(items[ranked], minlength=number) > 0
    places = np.sort(sums(items[first], share, number)[is_ranked])
    return TopSpread(items=int(is_ranked.sum()), shown=int((places > 0).sum()), gini=gini(places))


def gini(sorted_shares: Floats) -> float:
    """Return the Gini coefficient of shares in rising order (Gini 1912).

    It is 0 when all are equal, and 1 - 1/n when one of n has everything.
    """
    total, number = float(sorted_shares.sum()), len(sorted_shares)
    if not total:
        return 0.0
    return float((2 * np.arange(1, number + 1) - number - 1) @ sorted_shares) / (number * total)
