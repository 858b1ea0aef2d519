"""Describe the columns of a trained model: how often each is known, and how much it counts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any

import msgspec

from ...errors import Invalid, IsthmusError
from ...project.specs.description import Model
from ..builtin.column_weights import ColumnWeight
from ..transforms.columns import floats
from ..transforms.compute import apply
from ..transforms.transformed import inner
from .predictor import load

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa


class ModelColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A feature or a transform of a model, as its training rows had it."""

    name: str  # view.feature, an attribute, or a transform's name
    rows: int
    nulls: int
    known: int  # rows whose value is neither null nor, of a float, NaN or infinite
    weight: ColumnWeight | None = None  # None: not known, or only transforms read the column

    @property
    def null_share(self) -> float:
        """Return the share of the training rows whose value is null."""
        return self.nulls / self.rows if self.rows else 0.0

    @property
    def coverage(self) -> float:
        """Return the share of the training rows whose value is known."""
        return self.known / self.rows if self.rows else 0.0


def saved_columns(
    folder: Path, model: Model, data: pa.Table, log: Callable[[str], None]
) -> tuple[ModelColumn, ...]:
    """Return the columns of a saved model; without weights if its predictor cannot say them.

    Args:
        folder: The model's folder.
        model: The configuration.
        data: The training set.
        log: Takes a line on why no weight is known.
    """
    try:
        return model_columns(model, data, load(folder).predictor)
    except IsthmusError as error:
        log(f"warning: how much each column counts is not known: {error}")
        return model_columns(model, data, None)


def model_columns(model: Model, data: pa.Table, predictor: Any | None) -> tuple[ModelColumn, ...]:
    """Return a record for each column of a model: its features, then its transforms' results.

    Args:
        model: The configuration.
        data: The training set.
        predictor: The trained predictor, with its transforms or without; None: no weight is known.

    Raises:
        Invalid: The predictor's own `column_weights` does not return a number for each column.
    """
    weights = column_weights(predictor, model)
    table = apply(data, model.transforms)
    names = {str(feature): feature.name for feature in model.features}
    names |= {transform.name: transform.name for transform in model.transforms}
    return tuple(
        _model_column(name, table[column], weights.get(column)) for name, column in names.items()
    )


def column_weights(predictor: Any | None, model: Model) -> dict[str, ColumnWeight]:
    """Return how much each column counts in a predictor, by the column's name.

    Built-in trainers' predictors say it. One of a project's own may have a method
    `column_weights() -> dict[str, float]`; without it nothing is known.

    Raises:
        Invalid: The project's own method raised, or returned something else.
    """
    method: Callable[[], Any] | None = getattr(inner(predictor), "column_weights", None)
    if not callable(method):
        return {}
    remedy = "return a dict with a finite number for each column that counts"
    where = f"{type(inner(predictor)).__name__}.column_weights ({model.trainer})"
    try:
        returned = method()
    except Exception as error:  # the user's code may raise anything
        raise Invalid(f"{where} raised {type(error).__name__}: {error}", remedy=remedy) from error
    if not isinstance(returned, Mapping):
        raise Invalid(f"{where} returned a {type(returned).__name__}", remedy=remedy)
    return {str(name): _weight(value, f"{where}: {name}") for name, value in returned.items()}


def _weight(value: object, where: str) -> ColumnWeight:
    """Return a column's weight from what a predictor says of it; raise Invalid if it is none."""
    if isinstance(value, ColumnWeight):
        return value
    if not isinstance(value, Real) or not math.isfinite(value):
        raise Invalid(f"{where} is {value!r}, which is no finite number")
    return ColumnWeight(measure="weight", value=float(value))


def _model_column(
    name: str, values: pa.ChunkedArray[Any], weight: ColumnWeight | None
) -> ModelColumn:
    """Return the record of one column: its type, null share and weight, from the training rows."""
    import numpy as np
    import pyarrow as pa

    known_rows = len(values) - values.null_count
    if pa.types.is_floating(values.type):
        known_rows = int(np.isfinite(floats(values.combine_chunks())).sum())
    return ModelColumn(
        name=name, rows=len(values), nulls=values.null_count, known=known_rows, weight=weight
    )
