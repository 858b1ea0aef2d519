"""Compute every metric of forward predictions as sums by unit, as a bootstrap of units needs.

The predictions are of forward_evaluation.SCHEMA.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from . import ranking, regression, statistics, units
from .ranking import Codes, Groups, TopSpread, ValueGroups
from .units import UnitTotals


class UnitClusters(msgspec.Struct, frozen=True, kw_only=True):
    """The unit of each row, and the group in which it was ranked (of one unit), as codes from 0.

    Without a unit the groups are the units, and without either each row is one. A row that does not
    say its unit or its group is one alone.
    """

    unit: Codes
    units: int
    dependent: bool  # the log names a unit, or at least what was ranked together
    group: Codes | None
    groups: int = 0


def clusters(predictions: pa.Table) -> UnitClusters:
    """Return which rows belong to one unit and to one ranked list, as integer codes."""
    unit, group = (codes(predictions, name) for name in ("unit", "ranked_within"))
    if unit is None and group is None:
        rows = np.arange(predictions.num_rows)
        return UnitClusters(unit=rows, units=len(rows), dependent=False, group=None)
    if unit is not None and group is not None:
        group = np.unique(unit * (int(group.max(initial=0)) + 1) + group, return_inverse=True)[
            1
        ].astype(np.int64)
    unit = group if unit is None else unit
    group = unit if group is None else group
    if unit is None or group is None:  # never: for the type checker
        raise AssertionError
    return UnitClusters(
        unit=unit,
        units=int(unit.max(initial=-1)) + 1,
        dependent=True,
        group=group,
        groups=int(group.max(initial=-1)) + 1,
    )


def codes(predictions: pa.Table, name: str) -> Codes | None:
    """Return a column's values as integer codes from 0; each null has a code of its own.

    None if there is no value at all, or no such column (an older run).
    """
    if name not in predictions.column_names or predictions[name].null_count == predictions.num_rows:
        return None
    encoded: Any = pa.concat_arrays(predictions[name].chunks).dictionary_encode()
    values = np.array(encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int64)
    rank = np.argsort(
        pc.array_sort_indices(encoded.dictionary).to_numpy()
    )  # by value: the same draw whatever order the rows are in
    nulls = values < 0
    values[~nulls] = rank[values[~nulls]]
    values[nulls] = len(encoded.dictionary) + np.arange(int(nulls.sum()))
    return values


def day_of(predictions: pa.Table) -> NDArray[Any]:
    """Return the UTC day of each row of the predictions, within which `auc` compares rows."""
    return np.asarray(predictions["event_timestamp"].to_numpy(), dtype="datetime64[D]")


def is_number(predictions: pa.Table) -> bool:
    """Return whether the outcomes are numbers, instead of 0 or 1."""
    return bool(pa.types.is_floating(predictions.schema.field("outcome").type))


def chances(scores: Any) -> bool:
    """Return whether predictions may be probabilities: all lie from 0 to 1."""
    scores = np.asarray(scores, dtype=float)
    return bool(((scores >= 0) & (scores <= 1)).all())


def totals(
    predictions: pa.Table, scores: Any, cutoffs: Sequence[int], among: UnitClusters
) -> dict[str, UnitTotals]:
    """Return every metric of the predictions as a numerator and a denominator for each unit.

    A bootstrap over units resamples these. `among` says which rows belong to a unit and a ranked
    list. `auc` is within days and `pr_auc` over all rows; `log_loss` and `calibration` are of
    chances only; lists add ndcg@k, recall@k, precision@k, `mrr` and `group_auc`. Outcomes that are
    numbers have those of regression.py; lists add ndcg@k and value@k.
    """
    outcomes, scores = predictions["outcome"].to_numpy(), np.asarray(scores, dtype=float)
    if is_number(predictions):
        of_values = regression.totals(outcomes, scores, among.unit, among.units)
        if among.group is not None:
            ranked = ranking.measure_values(scores, outcomes, among.group, among.groups, cutoffs)
            of_values |= value_totals(ranked, among, regression.scale_of(outcomes))
        return of_values
    days = np.unique(day_of(predictions), return_inverse=True)[1].astype(np.int64)

    def by_unit(numerator: Any, denominator: Any, degree: int = 1) -> UnitTotals:
        return units.totals(numerator, denominator, among.unit, among.units, degree=degree)

    by_metric = {"auc": by_unit(*ranking.pair_shares(scores, outcomes, days), degree=2)}
    by_metric["pr_auc"] = units.totals(
        *ranking.precision_shares(scores, outcomes), among.unit, among.units, scale="logit"
    )
    if chances(scores):
        by_metric |= {
            "log_loss": by_unit(statistics.log_loss(scores, outcomes), 1.0),
            "calibration": by_unit(outcomes, scores),
        }
    return by_metric | (
        ranking_totals(ranking.measure(scores, outcomes, among.group, among.groups, cutoffs), among)
        if among.group is not None
        else {}
    )


def ranking_totals(groups: Groups, among: UnitClusters) -> dict[str, UnitTotals]:
    """Return the ranking metrics (ndcg, recall, precision, mrr) as sums by unit.

    They are means over the lists with both outcomes, or over pairs of such a list's rows. `groups`
    has the metrics of each list, `among` each list's unit.
    """
    owner, tell = _unit_of_group(among), groups.tell

    def by_unit(numerator: Any, denominator: Any) -> UnitTotals:
        return units.totals(numerator, denominator, owner, among.units)

    figures = {
        name: by_unit(np.where(tell, values, 0.0), tell) for name, values in groups.metrics.items()
    }
    return figures | {"group_auc": by_unit(groups.won, groups.pairs)}


def value_totals(
    groups: ValueGroups, among: UnitClusters, scale: units.Scale
) -> dict[str, UnitTotals]:
    """Return the ranking metrics of outcomes that are numbers as sums by unit.

    `groups` has the metrics of each list. ndcg@k is a mean over the lists whose values differ;
    value@k, whose scale is `scale`, over lists of two rows and more.
    """
    owner = _unit_of_group(among)
    figures = {}
    for name, values in groups.metrics.items():
        of_values = name.startswith("value@")
        judged = groups.several if of_values else groups.differ
        figures[name] = units.totals(
            np.where(judged, values, 0.0),
            judged,
            owner,
            among.units,
            scale=scale if of_values else "plain",
        )
    return figures


def _unit_of_group(among: UnitClusters) -> Codes:
    """Return the unit of each ranked list, as an integer code."""
    owner = np.zeros(among.groups, dtype=np.int64)
    owner[among.group] = among.unit
    return owner


def groups_that_tell(predictions: pa.Table, among: UnitClusters) -> int:
    """Return the number of ranked groups that hold two different outcomes.

    Only in these can an order be judged.
    """
    if among.group is None:
        return 0
    outcomes = predictions["outcome"].to_numpy().astype(float)
    lowest, highest = np.full(among.groups, np.inf), np.full(among.groups, -np.inf)
    np.minimum.at(lowest, among.group, outcomes)
    np.maximum.at(highest, among.group, outcomes)
    return int((lowest < highest).sum())


def top_of(predictions: pa.Table, scores: Any, among: UnitClusters) -> TopSpread | None:
    """Return how first places of the ranking are spread over items.

    None without lists or items. `among` says which rows belong to a list.
    """
    items = codes(predictions, "item")
    return (
        None
        if items is None or among.group is None
        else ranking.top(scores, among.group, items, int(items.max()) + 1)
    )
