"""Say how much each column counts in a model: a gain, a weight, or the range of weights."""

from __future__ import annotations

from typing import Literal

import msgspec

# gain: what the splits by a column took off the loss of the training rows, in all trees.
# weight: of a number, for one standard deviation of the training rows.
# range: from the lowest to the highest weight among a category's values.
Measure = Literal["gain", "weight", "range"]


class ColumnWeight(msgspec.Struct, frozen=True, kw_only=True):
    """How much a column counts in a model. Only a weight has a sign."""

    measure: Measure
    value: float
