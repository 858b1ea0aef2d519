"""Say which features and transforms two compared runs do not share."""

from __future__ import annotations

import msgspec

from ...project.specs.description import Model
from ..transforms.transform_text import transform_text
from .records import Run

_MOST = 12  # names, or lines, of one run


def model_of(run: Run) -> Model | None:
    """Return the configuration that a run trained; None if an earlier release wrote it."""
    try:
        return msgspec.convert(run.settings, Model)
    except msgspec.ValidationError:
        return None


def changed_columns(first: Run, second: Run) -> list[str]:
    """Return lines that name the features and transforms that only one of two runs has.

    The features of a run are one line, each transform is one, a few of many. A transform that
    computes something else under the same name is listed for both.
    """
    lines = []
    for run, other in ((first, second), (second, first)):
        features = [name for name in run.features if name not in other.features]
        transforms = [text for text in _transform_texts(run) if text not in _transform_texts(other)]
        if features:
            noun = "feature" if len(features) == 1 else "features"
            lines.append(f"only {run.name:<4} {noun} {_few(features)}")
        lines += [f"only {run.name:<4} transform {text}" for text in transforms[:_MOST]]
        if len(transforms) > _MOST:
            lines.append(f"only {run.name:<4} {len(transforms) - _MOST} transforms more")
    return lines


def _few(names: list[str]) -> str:
    """Return names as one text: the first few, and how many more there are."""
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return f"{', '.join(names[:_MOST])}{more}"


def _transform_texts(run: Run) -> list[str]:
    """Return a run's transforms as texts: `shown = bucketize seen: ...`."""
    model = model_of(run)
    transforms = model.transforms if model else ()
    return [f"{transform.name} = {transform_text(transform)}" for transform in transforms]
