"""`trainer: isthmus.boosting`: gradient-boosted trees of LightGBM, kept in LightGBM's own file.

Trees read a number as it is, and what is missing by itself. They are grown on one thread, so that
the same rows give the same model. Serving needs LightGBM (the extra `boosting`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ...errors import Invalid
from ...events.port import ColumnType
from ..transforms.columns import floats, table_of, warm_up
from .column_weights import ColumnWeight
from .encoding import learn, texts, value_places

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from lightgbm import Booster
    from numpy.typing import NDArray

_MOST_COMPETITORS = 10_000  # LightGBM's limit of one list's rows


class Columns(msgspec.Struct, frozen=True, kw_only=True):
    """The document `columns.json` of a model: the columns of the trees, numbers first.

    `types` has the type of each; `categories` has the values of the training rows.
    """

    types: dict[str, ColumnType]
    numbers: tuple[str, ...]
    categories: dict[str, tuple[str, ...]]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns that the trees read, in order."""
        return (*self.numbers, *self.categories)


class Boosting:
    """Trees of LightGBM: a probability, a number, or with lambdarank a score of rank."""

    def __init__(self, columns: Columns, booster: Booster) -> None:
        self._columns = columns
        self._booster = booster
        warm_up()

    def predict(self, rows: list[dict[str, Any]]) -> list[float]:
        """Return a prediction for each row.

        Raises:
            WrongRows: a row lacks a column, or has a value of another type.
        """
        predictions: list[float] = self.predict_table(table_of(rows, self._columns.types)).tolist()
        return predictions

    def predict_table(self, table: pa.Table) -> NDArray[np.float64]:
        """Return a prediction for each row of a table."""
        import numpy as np

        if not table.num_rows:
            return np.empty(0)
        return np.asarray(self._booster.predict(_matrix(self._columns, table), num_threads=1))

    def column_weights(self) -> dict[str, ColumnWeight]:
        """Return each column's gain: by how much its splits lowered the training loss."""
        gains = self._booster.feature_importance("gain").tolist()
        return {
            name: ColumnWeight(measure="gain", value=gain)
            for name, gain in zip(self._columns.names, gains, strict=True)
        }

    def save(self, folder: Path) -> None:
        """Write `trees.txt`, LightGBM's own format, and `columns.json` into a folder."""
        (folder / "trees.txt").write_text(self._booster.model_to_string(), encoding="utf-8")
        text = msgspec.json.format(msgspec.json.encode(self._columns), indent=1)
        (folder / "columns.json").write_bytes(text + b"\n")

    @classmethod
    def load(cls, folder: Path) -> Boosting:
        """Read a model from the folder that `save` wrote.

        Raises:
            Invalid: LightGBM is not installed.
        """
        lightgbm = _lightgbm()
        columns = msgspec.json.decode((folder / "columns.json").read_bytes(), type=Columns)
        return cls(
            columns, lightgbm.Booster(model_str=(folder / "trees.txt").read_text(encoding="utf-8"))
        )


def boosting(
    data: pa.Table,
    label: str,
    features: Sequence[str],
    *,
    trees: int = 100,
    leaves: int = 31,
    rate: float = 0.1,
    rows_in_leaf: int = 20,
    loss: str | None = None,
    power: float = 1.5,
    categories: Sequence[str] = (),
    competed: Sequence[str] = (),
) -> Boosting:
    """Train gradient-boosted trees on the label: binary for one of 0 or 1, regression for a number.

    Args:
        data: The training set.
        label: The label's column.
        features: The columns to read.
        trees: The number of trees.
        leaves: The most leaves of a tree.
        rate: The share of each tree's correction that is taken.
        rows_in_leaf: The fewest training rows in a leaf.
        loss: `tweedie`, `lambdarank`, or None for that of the label's kind.
        power: The variance power of Tweedie's distribution.
        categories: Columns that are categories though they are no strings.
        competed: The columns whose values are the same in rows that were ranked together.

    Raises:
        Invalid: LightGBM is not installed, a column cannot be read, or labels do not fit the loss.
    """
    import pyarrow as pa

    lightgbm = _lightgbm()

    encoding = learn(data, features, categories, "mean")
    columns = Columns(
        types=encoding.types,
        numbers=tuple(number.name for number in encoding.numbers),
        categories={category.name: category.values for category in encoding.categories},
    )
    settings: dict[str, Any] = {
        "objective": loss or ("regression" if pa.types.is_floating(data[label].type) else "binary"),
        "num_leaves": leaves,
        "learning_rate": rate,
        "min_data_in_leaf": rows_in_leaf,
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "seed": 0,
        "verbosity": -1,
    }
    lists = None
    if loss == "tweedie":
        settings["tweedie_variance_power"] = power
        _check_not_negative(data, label)
    elif loss == "lambdarank":
        data, lists = _by_list(data, competed)
    rows = lightgbm.Dataset(
        _matrix(columns, data),
        data[label].to_numpy(),
        group=lists,
        feature_name=list(columns.names),
        categorical_feature=list(columns.categories),
        params=settings,
    )
    return Boosting(columns, lightgbm.train(settings, rows, num_boost_round=trees))


def _lightgbm() -> Any:
    """Return the module lightgbm; raise Invalid with the line that installs it if it cannot load.

    A LightGBM without OpenMP (libgomp) raises OSError.
    """
    try:
        import lightgbm
    except (ImportError, OSError) as error:
        raise Invalid(
            f'isthmus.boosting needs LightGBM: pip install "isthmus[boosting]" ({error})',
            remedy='pip install "isthmus[boosting]", where steps run and where models are served',
        ) from error
    return lightgbm


def _matrix(columns: Columns, data: pa.Table) -> NDArray[np.float64]:
    """Return a table's rows as the trees' columns: numbers as they are, a category as its index.

    A missing number is NaN, and so is a category's value that training rows did not have; a
    category's null has an index of its own.
    """
    import numpy as np

    matrix = np.empty((data.num_rows, len(columns.names)))
    for index, name in enumerate(columns.numbers):
        numbers = floats(data[name].combine_chunks())
        matrix[:, index] = np.where(np.isfinite(numbers), numbers, np.nan)
    for index, (name, values) in enumerate(columns.categories.items(), len(columns.numbers)):
        places = value_places(texts(data[name]), values)
        matrix[:, index] = np.where(places < 0, np.nan, places)
    return matrix


def _check_not_negative(data: pa.Table, label: str) -> None:
    """Raise Invalid if a label is below 0, which Tweedie's distribution does not have."""
    least = floats(data[label].combine_chunks()).min()
    if least < 0:
        raise Invalid(
            f"loss: tweedie learns numbers from 0 up, and a row's {label} is {least:g}",
            remedy="leave loss out, or write min: 0 for the attribute that the objective adds up",
        )


def _by_list(data: pa.Table, competed: Sequence[str]) -> tuple[pa.Table, NDArray[np.int64]]:
    """Return the rows sorted by the list that they were ranked in, and the size of each list.

    `competed` are the columns whose values are equal in rows of one list. Rows without a value
    there were in no list, and are left out.

    Raises:
        Invalid: no two rows were ranked together, or a list is too long.
    """
    import numpy as np
    import pyarrow as pa

    codes = np.zeros(data.num_rows, np.int64)
    in_list = np.ones(data.num_rows, bool)
    for name in competed:
        encoded = data[name].combine_chunks().dictionary_encode()
        own = np.asarray(encoded.indices.fill_null(-1).cast(pa.int64()))
        in_list &= own >= 0
        codes = np.unique(codes * (len(encoded.dictionary) + 1) + own + 1, return_inverse=True)[1]
    order = np.argsort(codes, kind="stable")
    order = order[in_list[order]]
    sizes = np.unique(codes[order], return_counts=True)[1]
    if not competed or not sizes.size or sizes.max() < 2:
        raise Invalid(
            "loss: lambdarank compares rows that were ranked together, and no two rows were",
            remedy="write ranked_within: (a request's id) into the objective, or leave loss out",
        )
    if sizes.max() > _MOST_COMPETITORS:
        raise Invalid(
            f"loss: lambdarank compares up to {_MOST_COMPETITORS:,} rows that were ranked "
            f"together, and a list has {sizes.max():,}",
            remedy="write ranked_within: (a request's id) into the objective, or leave loss out",
        )
    return data.take(order), sizes.astype(np.int64)
