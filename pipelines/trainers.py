"""A trainer is `module.function(data, label, features, **parameters)`, the module beside project.yaml. It returns a predictor."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import Invalid
from ..project.modules import importable
from ..project.specs import Model
from .predictor import Predictor

if TYPE_CHECKING:
    import pyarrow as pa

LABEL = "outcome"


def find(model: Model, folder: Path) -> Callable[..., Any]:
    """Invalid when the module does not import, or has no such function, or the function does not take the parameters."""
    module, _, name = model.trainer.rpartition(".")
    importable(str(folder))
    try:
        loaded = import_module(module)
    except Exception as error:  # importing runs the user's code, which may raise anything
        raise Invalid(f"{model.path}: trainer {model.trainer}: {module} does not import: {_said(error)}{_place(error, folder)}") from error
    trainer: Callable[..., Any] | None = getattr(loaded, name, None)
    if not callable(trainer):
        raise Invalid(f"{model.path}: trainer {model.trainer}: {module} has no function {name}")
    try:
        inspect.signature(trainer).bind(None, label=LABEL, features=[], **model.parameters)
    except TypeError as error:
        raise Invalid(
            f"{model.path}: trainer {model.trainer}: {error}",
            remedy="a trainer takes (data, label, features) and the configuration's parameters by name",
        ) from error
    return trainer


def fit(trainer: Callable[..., Any], model: Model, data: pa.Table, folder: Path) -> Predictor:
    """Train once. Invalid, with the line of the user's code, whatever it raises."""
    features = [feature.name for feature in model.features]
    try:
        made: Predictor = trainer(data, label=LABEL, features=features, **model.parameters)
    except Exception as error:  # the user's code may raise anything
        raise Invalid(f"{model.trainer} raised {_said(error)}{_place(error, folder)}") from error
    if not callable(getattr(made, "predict", None)):
        raise Invalid(f"{model.trainer} returned a {type(made).__name__}, which has no predict(rows)")
    return made


def predict(made: Predictor, rows: Sequence[dict[str, Any]], model: Model, folder: Path) -> list[float]:
    """Predictions as finite numbers, one a row. Invalid otherwise."""
    import math

    kind = f"{type(made).__name__}.predict"
    try:
        found = [float(one) for one in made.predict(list(rows))]
    except Exception as error:  # the user's code may raise anything
        raise Invalid(f"{kind} ({model.trainer}) raised {_said(error)}{_place(error, folder)}") from error
    if len(found) != len(rows):
        raise Invalid(f"{kind} ({model.trainer}) returned {len(found):,} predictions for {len(rows):,} rows")
    wrong = next((index for index, one in enumerate(found) if not math.isfinite(one)), None)
    if wrong is not None:
        raise Invalid(f"{kind} ({model.trainer}) returned {found[wrong]} for the row {dict(rows[wrong])}")
    return found


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")


def _place(error: Exception, folder: Path) -> str:
    """The deepest line of the user's own code, as ` (ranker.py, line 48)`."""
    frames = traceback.extract_tb(error.__traceback__)
    inside = [frame for frame in frames if Path(frame.filename).resolve().is_relative_to(folder.resolve())]
    if isinstance(error, SyntaxError) and error.filename:
        return f" ({Path(error.filename).name}, line {error.lineno})"
    return f" ({Path(inside[-1].filename).resolve().relative_to(folder.resolve())}, line {inside[-1].lineno})" if inside else ""
