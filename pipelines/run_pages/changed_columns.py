"""Say which features and transforms two compared runs do not share."""

from __future__ import annotations

import msgspec

from ...project.specs.description import Model
from ..transforms.transform_text import transform_text
from .records import Run

_MOST = 12  # lines of one run


def model_of(run: Run) -> Model | None:
    """Return the configuration that a run trained; None if an earlier release wrote it."""
    try:
        return msgspec.convert(run.settings, Model)
    except msgspec.ValidationError:
        return None


def changed_columns(first: Run, second: Run) -> list[str]:
    """Return a line for each feature and transform that only one of two runs has, a few of many.

    A transform of one name that computes something else in the other run is said of both.
    """
    lines = []
    for run, other in ((first, second), (second, first)):
        own = [line for line in _column_texts(run) if line not in _column_texts(other)]
        lines += [f"only {run.name:<4} {line}" for line in own[:_MOST]]
        if len(own) > _MOST:
            lines.append(f"only {run.name:<4} {len(own) - _MOST} more")
    return lines


def _column_texts(run: Run) -> list[str]:
    """Return a run's features and transforms as texts: `transform shown = bucketize seen: ...`."""
    model = model_of(run)
    transforms = model.transforms if model else ()
    return [f"feature {name}" for name in run.features] + [
        f"transform {transform.name} = {transform_text(transform)}" for transform in transforms
    ]
