"""Measure how far an entity's true rates lie apart, and whether a feature explains more than that.

Two rows of one item with the same outcome may agree by chance or because the item is liked. Rows of
different units agree beyond chance only by the item's true rate, so the products of their residuals
add up to the spread of the true rates, without the chance of any row in it. Knowing these rates is
the best that any honest feature of the item can do. A feature that leaves less than nothing of that
spread holds the outcomes of these very rows: a mean over the whole log, joined from a table.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from .statistics import Floats, sums

Codes = NDArray[np.int64]
_FEWEST = 20  # entities with rows of two units
_WIDEST = 4.0  # standard deviations at which a feature's values are cut for the fit
_EXCLUDED = 3.0  # standard errors below no spread at all
_Z = 1.959963984540054


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """The variance of an entity's true rates over rows, and its standard error."""

    rate: float  # of all rows
    variance: float
    error: float
    entities: int  # with rows of two units

    def best_auc(self, *, errors: float = 0.0) -> float:
        """Return the AUC that a model would have that knew every entity's true rate.

        `errors`: how many standard errors are added to the variance. The rates are taken as
        Beta-distributed: with the mean difference D of two of them the AUC is 1/2 + D / (4 r (1 -
        r)), and D is known in closed form.
        """
        bound = self.rate * (1 - self.rate)
        variance = min(self.variance + errors * self.error, 0.999999 * bound)
        if bound <= 0 or variance <= 0:
            return 0.5
        size = bound / variance - 1
        first, second = self.rate * size, (1 - self.rate) * size
        difference = (4 / size) * math.exp(
            _log_beta(size, size) - _log_beta(first, first) - _log_beta(second, second)
        )
        return min(1.0, 0.5 + difference / (4 * bound))

    def highest_auc(self) -> float:
        """Return the best AUC at the upper end of the 95 % interval of the true rates' variance."""
        return self.best_auc(errors=_Z)


class Alike(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of an objective, by the entity that a feature describes, made ready for both."""

    residual: Floats  # of the outcome to its day's rate
    entity: Codes  # of each row, from 0
    block: Codes  # rows of one block may have their chance in common
    rate: float


class _Cells(msgspec.Struct, frozen=True, kw_only=True):
    """Sums by entity; `products` adds up residuals' products of rows in different blocks."""

    usable: NDArray[np.bool_]
    weight: Floats  # number of these products, over the entity's rows
    products: Floats  # ... and their sum, over the same
    gain: Floats  # weight of one row
    residual: Floats
    of_pair: Codes  # the entity of each pair of an entity and a block ...
    block: Codes  # ... its block
    pair_residual: Floats


def comparable_rows(truth: Any, days: Any, entity: Codes, block: Codes) -> Alike:
    """Return each row's residual, entity and block, the input of `spread` and `excess`.

    A residual is the outcome minus its day's rate. `truth` are the outcomes. Rows of one block may
    depend on each other.
    """
    outcome = np.asarray(truth, dtype=float)
    day = np.unique(days, return_inverse=True)[1].astype(np.int64)
    number = int(day.max(initial=-1)) + 1
    rate = sums(day, outcome, number) / sums(day, 1.0, number)
    return Alike(
        residual=outcome - rate[day],
        entity=entity,
        block=block,
        rate=float(outcome.mean()) if len(outcome) else 0.0,
    )


def spread(rows: Alike) -> Spread | None:
    """Return how far the entities' true outcome rates vary; None with too few entities.

    It is the variance between entities, less what chance adds within them. `rows` are residuals of
    outcomes by entity.
    """
    cells = _cells(rows)
    if int(cells.usable.sum()) < _FEWEST:
        return None
    total = float(cells.weight[cells.usable].sum())
    variance = float(cells.products[cells.usable].sum()) / total
    parts = (cells.products - variance * cells.weight)[cells.usable] / total
    return Spread(
        rate=rows.rate,
        variance=variance,
        error=math.sqrt(float((parts**2).sum())),
        entities=int(cells.usable.sum()),
    )


def excess(rows: Alike, values: Floats | Codes, *, visible: bool = False) -> float:
    """Return by how many standard errors a feature explains more of a label than it honestly can.

    Entities (items, users) differ in their true rates, the expected label of a row. A feature that
    explains more than how far these deviate from their mean holds the label itself. With residuals
    r, weights w and a feature's fit f on entities k (a cubic of numbers, a mean of each text),
    honest values keep

    sum w_k f_k^2 <= sum w_k d_k^2   (Cauchy and Schwarz)

    for the true deviations d. Both sides are estimated from products of rows in different blocks,
    so that no row's own chance counts. The standard error is that over entities.

    Args:
        rows: The objective's rows.
        values: The feature, one value an entity: floats, or integer codes of texts.
        visible: Whether the true rates must be seen to differ: a unit that has an outcome once and
            no more hides how far units differ.

    Returns:
        The excess; minus infinity where too few entities can be told, or where rows of one entity
        exclude each other's outcome (what is sold once), so that true rates cannot be told.
    """
    cells = _cells(rows)
    usable = cells.usable
    number = int(usable.sum())
    if number < _FEWEST:
        return -math.inf
    products = cells.products[usable]
    error = math.sqrt(float(((products - products.mean()) ** 2).sum()))
    if error <= 0 or float(products.sum()) / error < (0 if visible else -_EXCLUDED):
        return -math.inf
    if np.issubdtype(values.dtype, np.integer):
        text = np.zeros(len(usable), dtype=np.int64)
        text[rows.entity] = values
        fit, explained = _means(cells, text)
    else:
        numbers = np.zeros(len(usable))
        numbers[rows.entity] = values
        fit, explained = _cubic(cells, numbers)
    influence = (2 * fit * cells.gain * cells.residual - fit**2 * cells.weight - cells.products)[
        usable
    ]
    error = math.sqrt(float(((influence - influence.mean()) ** 2).sum()) * number / (number - 1))
    return (explained - float(products.sum())) / error if error > 0 else -math.inf


def _cells(rows: Alike) -> _Cells:
    """Return sums of residuals and weights by entity and block."""
    number = int(rows.entity.max(initial=-1)) + 1
    blocks = int(rows.block.max(initial=-1)) + 1
    pairs, place = np.unique(rows.entity * max(blocks, 1) + rows.block, return_inverse=True)
    of_pair, block = pairs // max(blocks, 1), pairs % max(blocks, 1)
    size, pair_size = sums(rows.entity, 1.0, number), sums(place, 1.0, len(pairs))
    residual = sums(rows.entity, rows.residual, number)
    pair_residual = sums(place, rows.residual, len(pairs))
    per_row = 1 / np.maximum(size, 1)
    weight = (size**2 - sums(of_pair, pair_size**2, number)) * per_row
    return _Cells(
        usable=weight > 0,
        weight=weight,
        products=(residual**2 - sums(of_pair, pair_residual**2, number)) * per_row,
        gain=weight * per_row,
        residual=residual,
        of_pair=of_pair,
        block=block,
        pair_residual=pair_residual,
    )


def _means(cells: _Cells, text: Codes) -> tuple[Floats, float]:
    """Return the residual by entity that a feature's texts explain, and the variance explained.

    The fit is the mean of each text.

    `text` is each cell's text as a code.
    """
    number, blocks = int(text.max(initial=-1)) + 1, int(cells.block.max(initial=-1)) + 1
    weight = sums(text, cells.weight, number)
    with_weight = np.maximum(weight, np.finfo(float).tiny)
    total = np.where(weight > 0, sums(text, cells.gain * cells.residual, number), 0.0)
    pairs, place = np.unique(text[cells.of_pair] * blocks + cells.block, return_inverse=True)
    parts = sums(place, cells.gain[cells.of_pair] * cells.pair_residual, len(pairs))
    own = np.where(weight > 0, sums(pairs // blocks, parts**2, number), 0.0)
    explained = float(((total**2 - own) / with_weight)[weight > 0].sum())
    return (total / with_weight)[text], explained


def _cubic(cells: _Cells, values: Floats) -> tuple[Floats, float]:
    """Return the residual by entity that a cubic in a feature explains, and its variance.

    `values` are the feature's.
    """
    usable, weight = cells.usable, cells.weight
    centre = np.average(values[usable], weights=weight[usable])
    scale = math.sqrt(float(np.average((values[usable] - centre) ** 2, weights=weight[usable])))
    if not scale > 0:
        return np.zeros(len(values)), 0.0
    standard = np.clip((values - centre) / scale, -_WIDEST, _WIDEST)
    powers = np.stack([standard**power for power in range(4)], axis=1)
    # an orthonormal basis under the weights; a value of two levels has no square of its own
    _, size, right = np.linalg.svd(
        powers[usable] * np.sqrt(weight[usable])[:, None], full_matrices=False
    )
    usable_size = size > 1e-7 * size[0]
    basis = powers @ (right[usable_size].T / size[usable_size])
    total = (basis * (cells.gain * cells.residual)[:, None]).sum(axis=0)
    blocks = int(cells.block.max(initial=-1)) + 1
    parts = basis[cells.of_pair] * (cells.gain[cells.of_pair] * cells.pair_residual)[:, None]
    own = sum(
        float((sums(cells.block, parts[:, power], blocks) ** 2).sum())
        for power in range(basis.shape[1])
    )
    return basis @ total, float((total**2).sum()) - own


def _log_beta(first: float, second: float) -> float:
    """Return the logarithm of the beta function."""
    return math.lgamma(first) + math.lgamma(second) - math.lgamma(first + second)
