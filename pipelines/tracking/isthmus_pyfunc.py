"""Load a model of Isthmus in MLflow.

This file and the model's folder are all that a pyfunc has of Isthmus. It is copied into the pyfunc
as it is, and imports nothing of Isthmus; a model with transforms or of a built-in trainer does, and
Isthmus must be installed where it is loaded. Rows of a DataFrame become what the predictor was
trained with: what is missing is None, whole numbers are int, times are datetime.
"""

from __future__ import annotations

import importlib
import itertools
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

_numbers = itertools.count(1)


class Predictor:
    """The predictor as MLflow calls it: `predict(frame)` returns a number for each row, in order.

    `params` sets what `predict` takes with a call.
    """

    def __init__(self, predictor: Any, features: list[tuple[str, str | None]]) -> None:
        self.predictor = predictor
        self.features = features

    def predict(self, frame: Any, params: dict[str, Any] | None = None) -> list[Any]:
        """Return a prediction for each row of a data frame, as MLflow's pyfunc asks."""
        columns = [
            [_plain_value(cell, kind) for cell in _column(frame, name)]
            for name, kind in self.features
        ]
        names = [name for name, _ in self.features]
        rows = [
            dict(zip(names, (column[row] for column in columns), strict=True))
            for row in range(len(frame))
        ]
        predictions: list[Any] = list(self.predictor.predict(rows, **(params or {})))
        return predictions


def _load_pyfunc(path: str) -> Predictor:
    """Load a predictor from a model folder; MLflow's pyfunc loader calls this by name."""
    folder = Path(path)
    manifest = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    kind = getattr(_module(folder, manifest), manifest["predictor"])
    if manifest["kept"] == "files":
        predictor = kind.load(folder / "files")
    else:
        predictor = kind(**json.loads((folder / "attributes.json").read_text(encoding="utf-8")))
    if (folder / "transforms.json").is_file():
        transformed = importlib.import_module("isthmus.pipelines.transforms.transformed")
        predictor = transformed.with_transforms(predictor, folder)
    return Predictor(
        predictor, [(feature["name"], feature.get("type")) for feature in manifest["features"]]
    )


def _module(folder: Path, manifest: dict[str, Any]) -> ModuleType:
    """Import the predictor's module in a package of its own, so that two models never share one."""
    if manifest["code"] == "installed":
        return importlib.import_module(manifest["module"])
    package = ModuleType(f"isthmus_model_{manifest['digest'][:12]}_{next(_numbers)}")
    package.__path__ = [str((folder / "code").resolve())]
    sys.modules[package.__name__] = package
    return importlib.import_module(f"{package.__name__}.{manifest['module']}")


def _column(frame: Any, name: str) -> list[Any]:
    """Return a column of a data frame as a list, with None for each row if it is absent."""
    return list(frame[name]) if name in frame else [None] * len(frame)


def _plain_value(cell: Any, kind: str | None) -> Any:
    """Return a cell of a data frame as a plain Python value, None for a missing one.

    `kind` is the type that the model expects.
    """
    if cell is None or type(cell).__name__ in ("NAType", "NaTType") or cell != cell:  # noqa: PLR0124  NaN alone differs from itself
        return None
    if hasattr(cell, "to_pydatetime"):
        return cell.to_pydatetime()
    plain = cell.item() if hasattr(cell, "item") else cell
    return int(plain) if kind == "int64" else plain
