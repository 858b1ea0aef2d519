"""Score rows by the weights of a linear model, with NumPy alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...events.port import ColumnType
from ..transforms.columns import floats, table_of, warm_up
from .column_weights import ColumnWeight
from .encoding import Encoding, texts, value_places

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


class LinearWeights(ABC):
    """The weights of a linear model over encoded columns; kept as JSON.

    `types` has each column's type. `numbers` has of each number its mean and scale, its weight, and
    the weight of its being missing. `categories` has of each category the weight of each value of
    the training rows, and of null. What training rows never lacked weighs 0 where it is missing,
    and so does a value that they did not have.
    """

    def __init__(
        self,
        intercept: float,
        types: Mapping[str, ColumnType],
        numbers: Mapping[str, Mapping[str, float]],
        categories: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self.intercept = intercept
        self.types = types
        self.numbers = numbers
        self.categories = categories
        self._values = {name: list(about["values"]) for name, about in categories.items()}
        self._weights = {
            name: [*about["values"].values(), about["null"], 0.0]  # places: -1 is the last
            for name, about in categories.items()
        }
        warm_up()

    @abstractmethod
    def predict_table(self, table: pa.Table) -> NDArray[np.float64]:
        """Return a prediction for each row of a table."""

    def predict(self, rows: list[dict[str, Any]]) -> list[float]:
        """Return a prediction for each row.

        Raises:
            WrongRows: a row lacks a column, or has a value of another type.
        """
        predictions: list[float] = self.predict_table(table_of(rows, self.types)).tolist()
        return predictions

    def column_weights(self) -> dict[str, ColumnWeight]:
        """Return how much each column counts: a number's weight, or the range of a category's.

        The range is that of its values' weights. Null of a category counts as a value where
        training rows had it.
        """
        weights = {
            name: ColumnWeight(measure="weight", value=about["weight"])
            for name, about in self.numbers.items()
        }
        for name, about in self.categories.items():
            values = [*about["values"].values(), *([about["null"]] if about["null"] else [])]
            distance = max(values) - min(values) if values else 0.0
            weights[name] = ColumnWeight(measure="range", value=distance)
        return weights

    def score(self, table: pa.Table) -> NDArray[np.float64]:
        """Return for each row the weighted sum of its columns, before any link function."""
        import numpy as np

        total = np.full(table.num_rows, self.intercept)
        for name in sorted(self.numbers):  # in one order: sums are rounded
            about = self.numbers[name]
            values = floats(table[name].combine_chunks())
            weighted = about["weight"] * ((values - about["mean"]) / about["scale"])
            total += np.where(np.isfinite(values), weighted, about["null"])
        for name in sorted(self._values):
            places = value_places(texts(table[name]), self._values[name])
            total += np.asarray(self._weights[name])[places]
        return total


def weights_of(
    encoding: Encoding, coefficients: Sequence[float], intercept: float
) -> dict[str, Any]:
    """Return the keyword arguments that build LinearWeights from fitted coefficients.

    Args:
        encoding: How columns were turned into the matrix that was fitted.
        coefficients: One for each column of it.
        intercept: The model's intercept.
    """
    weight = iter(map(float, coefficients))
    numbers = {
        number.name: {"mean": number.mean, "scale": number.scale, "weight": next(weight)}
        for number in encoding.numbers
    }
    categories = {
        category.name: {
            "values": {value: next(weight) for value in category.values},
            "null": next(weight) if category.has_null else 0.0,
        }
        for category in encoding.categories
    }
    for number in encoding.numbers:
        numbers[number.name]["null"] = next(weight) if number.has_null else 0.0
    return {
        "intercept": float(intercept),
        "types": dict(encoding.types),
        "numbers": numbers,
        "categories": categories,
    }
