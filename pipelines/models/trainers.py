"""Call a model's trainer: `module.function(data, label, features, **parameters)`.

The module lies beside project.yaml, or the trainer is one of Isthmus's own. The function returns a
predictor.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import Invalid, IsthmusError
from ...project.models.builtin_trainers import is_builtin
from ...project.modules import importable
from ...project.specs.description import Model
from ...reports.columns import plural
from ..transforms.compute import apply
from ..transforms.transformed import Transformed, inner, transforms_of
from .predictor import Predictor

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

LABEL = "outcome"
_ROWS = 100_000  # that are Python's at a time
_COMPARED = 200  # rows on which `predict` and `predict_table` must agree


def find(model: Model, folder: Path) -> Callable[..., Any]:
    """Import a configuration's trainer function, and return it.

    It is in the project's folder, or one of Isthmus's own.

    Raises:
        Invalid: the module does not import, or has no such function, or the function does not take
            the
            parameters.
    """
    module, _, name = model.trainer.rpartition(".")
    if is_builtin(model.trainer):
        built_in: Callable[..., Any] = getattr(
            import_module(f"..builtin.{name}", __package__), name
        )
        return built_in
    importable(str(folder))
    try:
        loaded = import_module(module)
    except Exception as error:  # importing runs the user's code, which may raise anything
        raise Invalid(
            f"{model.path}: trainer {model.trainer}: {module} does not import: "
            f"{_message(error)}{_place(error, folder)}"
        ) from error
    trainer: Callable[..., Any] | None = getattr(loaded, name, None)
    if not callable(trainer):
        raise Invalid(f"{model.path}: trainer {model.trainer}: {module} has no function {name}")
    try:
        inspect.signature(trainer).bind(None, label=LABEL, features=[], **model.parameters)
    except TypeError as error:
        raise Invalid(
            f"{model.path}: trainer {model.trainer}: {error}",
            remedy="a trainer takes (data, label, features) and the configuration's parameters by "
            "name",
        ) from error
    return trainer


def fit(
    trainer: Callable[..., Any],
    model: Model,
    data: pa.Table,
    folder: Path,
    *,
    competed: Sequence[str] = (),
) -> Predictor:
    """Train a model once by the user's trainer, and return the predictor after a check.

    Args:
        trainer: The trainer, as `find` returns it.
        model: The configuration.
        data: The training set.
        folder: The project's folder.
        competed: The columns whose values are the same in rows that were ranked together; a
            built-in trainer that has this parameter gets it.

    Raises:
        Invalid: the user's code raised, whatever it was. The error has the line.
    """
    transforms = transforms_of(model, data) if model.transforms else None
    rows = data if transforms is None else apply(data, model.transforms)
    parameters = dict(model.parameters)
    if is_builtin(model.trainer) and "competed" in inspect.signature(trainer).parameters:
        parameters["competed"] = list(competed)
    try:
        predictor: Predictor = trainer(
            rows, label=LABEL, features=list(model.columns), **parameters
        )
    except Exception as error:  # the user's code may raise anything
        if is_builtin(model.trainer) and isinstance(error, IsthmusError):
            raise Invalid(
                f"{model.path}: trainer {model.trainer}: {error}", remedy=error.remedy
            ) from error
        raise Invalid(f"{model.trainer} raised {_message(error)}{_place(error, folder)}") from error
    if not callable(getattr(predictor, "predict", None)):
        raise Invalid(
            f"{model.trainer} returned a {type(predictor).__name__}, which has no predict(rows)"
        )
    return predictor if transforms is None else Transformed(predictor, transforms)


def predict(
    predictor: Predictor, data: pa.Table, model: Model, folder: Path
) -> NDArray[np.float64]:
    """Return a predictor's predictions for a table as finite numbers, one for each row.

    They come from `predict_table` where there is one, else from rows, some at a time.

    Raises:
        Invalid: the predictions are not one finite number for each row.
    """
    import numpy as np

    features = data.select([feature.name for feature in model.features])
    by_table = getattr(predictor, "predict_table", None)
    kind = (
        f"{type(inner(predictor)).__name__}.{'predict_table' if callable(by_table) else 'predict'}"
    )
    try:
        if callable(by_table):
            predictions = np.asarray(by_table(features), np.float64)
        else:
            parts = (
                predictor.predict(batch.to_pylist())
                for batch in features.to_batches(max_chunksize=_ROWS)
            )
            predictions = np.fromiter(
                (float(value) for part in parts for value in part), np.float64
            )
    except Exception as error:  # the user's code may raise anything
        raise Invalid(
            f"{kind} ({model.trainer}) raised {_message(error)}{_place(error, folder)}"
        ) from error
    if predictions.shape != (data.num_rows,):
        raise Invalid(
            f"{kind} ({model.trainer}) returned {predictions.size:,} predictions for "
            f"{plural(data.num_rows, 'row')}"
        )
    wrong = np.flatnonzero(~np.isfinite(predictions))
    if wrong.size:
        index = int(wrong[0])
        raise Invalid(
            f"{kind} ({model.trainer}) returned {predictions[index]} for the row "
            f"{features.slice(index, 1).to_pylist()[0]}"
        )
    return predictions


def check_same_by_rows(predictor: Predictor, data: pa.Table, model: Model, folder: Path) -> None:
    """Check that a predictor says the same of rows as of a table, on rows of its training set.

    Evaluation calls `predict_table`, the model server calls `predict`. A predictor without
    `predict_table` is not checked.

    Raises:
        Invalid: they differ by more than a rounding error. The message has the first such row.
    """
    import numpy as np

    if not callable(getattr(predictor, "predict_table", None)):
        return
    some = data.take(np.unique(np.linspace(0, data.num_rows - 1, _COMPARED).astype(int)))
    by_table = predict(predictor, some, model, folder)
    by_rows = predict(_ByRows(predictor), some, model, folder)
    apart = np.flatnonzero(~np.isclose(by_table, by_rows, rtol=1e-9, atol=1e-12))
    if apart.size:
        index = int(apart[0])
        kind = type(inner(predictor)).__name__
        features = some.select([feature.name for feature in model.features])
        raise Invalid(
            f"{kind}.predict_table ({model.trainer}) says {by_table[index]:.12g} and "
            f"{kind}.predict {by_rows[index]:.12g} for the row "
            f"{features.slice(index, 1).to_pylist()[0]}",
            remedy="mend one of the two, or take predict_table out: evaluation goes by the one, "
            "serving by the other",
        )


class _ByRows:
    """A predictor that is asked by rows though it has `predict_table`."""

    def __init__(self, predictor: Predictor) -> None:
        self.predict = predictor.predict


def _message(error: Exception) -> str:
    """Return an error's type and message as text: `ValueError: no rows`.

    For a module that is not installed it also says what to install.
    """
    text = f"{type(error).__name__}: {error}".rstrip(": ")
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return text
    return (
        f"{text}; install its package where the step runs (the extra demo brings scikit-learn), or "
        "mend the import"
    )


def _place(error: Exception, folder: Path) -> str:
    """Return the deepest line of the user's own code in an error, as ` (ranker.py, line 48)`."""
    frames = traceback.extract_tb(error.__traceback__)
    inside = [
        frame for frame in frames if Path(frame.filename).resolve().is_relative_to(folder.resolve())
    ]
    if isinstance(error, SyntaxError) and error.filename:
        return f" ({Path(error.filename).name}, line {error.lineno})"
    return (
        f" ({Path(inside[-1].filename).resolve().relative_to(folder.resolve())}, line "
        f"{inside[-1].lineno})"
        if inside
        else ""
    )
