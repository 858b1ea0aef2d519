"""Measure what each feature is worth: how far the figures fall when its values are shuffled.

They are shuffled among the rows of a test period. The model stays as it was fitted and every row
keeps its other features (Breiman, Machine Learning 45, 2001). So features that say the same thing
hide each other, and a feature that the model does not use is worth nothing whatever it knows. Whole
units are sampled, as intervals draw units; the one shuffle's own chance is in the interval, since a
unit's rows get values of others.

A feature that is one value for a whole list (who asks, and where) is exchanged between lists and
not rows: a list with values of many people would lose an order that such a feature never made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ...errors import Invalid
from ...project.models.gate_figures import CUTOFF, is_loss
from . import metrics, units
from .metrics import clusters
from .statistics import Estimate
from .units import UnitTotals

CELLS = 100_000  # rows that are predicted again, over all features and periods ...
FEWEST = 2_000  # ... and at least so many rows, however many features
_NEARLY = 0.95  # of the lists
# of the first that there is features are in order
FIGURES = (f"ndcg@{CUTOFF}", "auc", "spearman", "log_loss", "rmse")


class ShuffledSample(msgspec.Struct, frozen=True, kw_only=True):
    """A period's sample: places of its rows, and their predictions with one feature shuffled.

    A prediction is None where the predictor refused such rows.
    """

    places: list[int]
    predictions: dict[str, NDArray[np.float64] | None]


class FeatureWorth(msgspec.Struct, frozen=True, kw_only=True):
    """The loss without a feature's values (`falls`), above 0 when the feature helps.

    It is by `ndcg@10`, `auc` and `log_loss` (a rise of it); of a number by `ndcg@10`, `spearman`
    and `rmse` (a rise).
    """

    feature: str  # its name in the training set
    rows: int
    falls: dict[str, Estimate]


def sample_size(features: int, periods: int) -> int:
    """Return how many rows of each test period are sampled for permutation importance."""
    return -(-max(CELLS // max(features, 1), FEWEST) // max(periods, 1))


def shuffle(
    rows: pa.Table,
    features: Sequence[str],
    predict: Callable[[pa.Table], NDArray[np.float64]],
    *,
    unit: str | None,
    within: str | None,
    number: int,
    seed: int,
) -> ShuffledSample:
    """Predict sampled rows again, once for each feature with its values shuffled.

    Permutation importance is computed from these. `unit` and `within` are the columns of a row's
    unit and ranked list; at least `number` rows are sampled, by `seed`.
    """
    chance = np.random.default_rng(seed)
    places = _places(rows, unit, number, chance)
    sample = rows.take(places)
    lists = (
        None
        if within is None
        else _codes(sample, [name for name in (unit, within) if name is not None])
    )
    sample = sample.select(list(features))
    predictions: dict[str, NDArray[np.float64] | None] = {}
    for name in features:
        column = sample.column_names.index(name)
        of_lists = lists is not None and _same_within(_value_codes(sample[name]), lists)
        order = (
            _exchange(lists, chance)
            if of_lists and lists is not None
            else chance.permutation(len(places))
        )
        mixed = sample.set_column(column, name, sample[name].take(order))
        try:
            predictions[name] = predict(mixed)
        except Invalid:
            # a predictor may refuse values that never come together: then nothing is known of this
            # feature
            predictions[name] = None
    return ShuffledSample(places=places.tolist(), predictions=predictions)


def _places(
    rows: pa.Table, unit: str | None, number: int, chance: np.random.Generator
) -> NDArray[np.int64]:
    """Return the row numbers of randomly drawn units, at least `number` rows in all.

    A row without a unit is a unit of its own.
    """
    if rows.num_rows <= number:
        return np.arange(rows.num_rows)
    codes = _codes(rows, [] if unit is None else [unit])
    sizes = np.bincount(codes)
    order = chance.permutation(len(sizes))
    drawn = order[: int(np.searchsorted(np.cumsum(sizes[order]), number)) + 1]
    return np.flatnonzero(np.isin(codes, drawn))


def _codes(rows: pa.Table, names: Sequence[str]) -> NDArray[np.int64]:
    """Return an integer code from 0 for each row's combination of values in these columns.

    A row with a missing value gets a code of its own, as does each row if there are no columns.
    """
    alone = np.arange(rows.num_rows)
    codes = np.zeros(rows.num_rows, dtype=np.int64) if names else alone
    for name in names:
        value = metrics.codes(rows, name)
        value = alone if value is None else value
        codes = np.unique(codes * (int(value.max(initial=0)) + 1) + value, return_inverse=True)[
            1
        ].astype(np.int64)
    return codes


def _value_codes(column: Any) -> NDArray[np.int64]:
    """Return integer codes of a feature's values, null being one of them."""
    codes = column.combine_chunks().dictionary_encode(null_encoding="encode").indices
    return np.asarray(codes.to_numpy(zero_copy_only=False), dtype=np.int64)


def _same_within(values: NDArray[np.int64], lists: NDArray[np.int64]) -> bool:
    """Return whether a feature has only one value in nearly every ranked list."""
    pairs = np.unique(np.column_stack([lists, values]), axis=0)[:, 0]
    different, rows = np.bincount(pairs), np.bincount(lists)
    several = rows > 1
    return bool(several.any() and (different[several] == 1).mean() >= _NEARLY)


def _exchange(lists: NDArray[np.int64], chance: np.random.Generator) -> NDArray[np.int64]:
    """Return row numbers that give each list the values of another, randomly drawn list.

    They shuffle a feature that is equal within a list between the lists. A shorter list's values
    are used again from its start.
    """
    order = np.argsort(lists, kind="stable")
    sizes = np.bincount(lists)
    starts = np.cumsum(sizes) - sizes
    inside = np.arange(len(lists)) - starts[lists[order]]
    giver = chance.permutation(len(sizes))[lists[order]]
    taken = np.empty(len(lists), dtype=np.int64)
    taken[order] = order[starts[giver] + inside % sizes[giver]]
    return taken


def measure(predicted: pa.Table, shuffled: dict[str, NDArray[Any]]) -> tuple[FeatureWorth, ...]:
    """Return the permutation importance of each feature, the highest first.

    It compares the sampled rows' forward predictions (forward_evaluation.SCHEMA) with the
    predictions for rows in which one feature is shuffled.
    """
    among = clusters(predicted)
    base = metrics.totals(predicted, predicted["prediction"].to_numpy(), (CUTOFF,), among)
    whole: dict[str, UnitTotals] = {}
    without: dict[str, UnitTotals] = {}
    for feature, scores in shuffled.items():
        other = metrics.totals(predicted, scores, (CUTOFF,), among)
        for name in FIGURES:
            if name in base and name in other:
                sides = (other, base) if is_loss(name) else (base, other)
                whole[f"{name} {feature}"], without[f"{name} {feature}"] = (
                    side[name] for side in sides
                )
    falls = units.differences(whole, without)
    worths = [
        FeatureWorth(
            feature=feature,
            rows=predicted.num_rows,
            falls={
                name: falls[f"{name} {feature}"] for name in FIGURES if f"{name} {feature}" in falls
            },
        )
        for feature in shuffled
    ]
    return tuple(sorted(worths, key=lambda worth: -_deciding(worth)))


def _deciding(worth: FeatureWorth) -> float:
    """Return a feature's importance for sorting: the drop of ndcg, AUC or spearman without it."""
    fall = next((worth.falls[name] for name in FIGURES if name in worth.falls), None)
    return fall.value if fall else 0.0
