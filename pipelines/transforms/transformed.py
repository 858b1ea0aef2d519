"""Wrap a predictor so that it is asked with features and sees its transforms' columns."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ...events.port import ColumnType
from ...events.tables.column_types import of_arrow
from ...project.specs.description import Model, Transform
from .columns import table_of, warm_up
from .compute import apply

if TYPE_CHECKING:
    import pyarrow as pa

FILE = "transforms.json"


class Transforms(msgspec.Struct, frozen=True, kw_only=True):
    """The document `transforms.json` of a model's folder.

    It says what is computed, of which types the features are that this reads, and which columns
    the predictor sees.
    """

    inputs: dict[str, ColumnType]
    transforms: tuple[Transform, ...]
    columns: tuple[str, ...]

    def table(self, table: pa.Table) -> pa.Table:
        """Return the predictor's columns for a table of the features."""
        return apply(table, self.transforms).select(list(self.columns))

    def rows(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return rows of features with the computed columns in each.

        Raises:
            WrongRows: a row lacks a feature that is read, or has a value of another type.
        """
        computed = apply(table_of(rows, self.inputs), self.transforms)
        names = [transform.name for transform in self.transforms]
        return [
            {**row, **more}
            for row, more in zip(rows, computed.select(names).to_pylist(), strict=True)
        ]

    def write(self, folder: Path) -> None:
        """Write the document into a model's folder."""
        text = msgspec.json.format(msgspec.json.encode(self), indent=1)
        (folder / FILE).write_bytes(text + b"\n")


class Transformed:
    """A predictor that is asked with features, and asks `predictor` with its columns."""

    def __init__(self, predictor: Any, transforms: Transforms) -> None:
        self.predictor = predictor
        self.transforms = transforms
        if callable(getattr(predictor, "predict_table", None)):
            self.predict_table = self._predict_table

    def predict(self, rows: list[dict[str, Any]], **parameters: Any) -> Any:
        """Return one prediction for each row of features, in order."""
        return self.predictor.predict(self.transforms.rows(rows), **parameters)

    def _predict_table(self, table: pa.Table) -> Any:
        """Return one prediction for each row of a table of features."""
        return self.predictor.predict_table(self.transforms.table(table))


def inner(predictor: Any) -> Any:
    """Return the predictor that the trainer made, without the transforms before it."""
    return predictor.predictor if isinstance(predictor, Transformed) else predictor


def with_transforms(predictor: Any, folder: Path) -> Any:
    """Return a loaded predictor with the transforms of its model's folder before it, if any."""
    file = folder / FILE
    if not file.is_file():
        return predictor
    warm_up()
    return Transformed(predictor, msgspec.json.decode(file.read_bytes(), type=Transforms))


def transforms_of(model: Model, table: pa.Table) -> Transforms:
    """Return the document of a model's transforms, with the types of a training set's columns."""
    computed = {transform.name for transform in model.transforms}
    read = {name for transform in model.transforms for name in transform.inputs} - computed
    return Transforms(
        inputs={name: of_arrow(table.schema.field(name).type) for name in sorted(read)},
        transforms=model.transforms,
        columns=model.columns,
    )
