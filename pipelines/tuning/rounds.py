"""The pipelines of a tuning: a step for each trial of a round, and the two of its end."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from ...project.specs.description import Model
from ..graphs.graph import Pipeline, Step
from ..port import Output
from ..runs import step_names
from ..training.training import code_digest, step_settings
from .study import Setting

if TYPE_CHECKING:
    from ...core.runtime.project import Project

LAST = "last"
OWN = "own"
_LONGEST = timedelta(hours=12)


def round_pipeline(
    project: Project, model: Model, data: str, trials: Mapping[int, Mapping[str, Setting]]
) -> Pipeline:
    """Return the pipeline of a round: a step for each trial, none of which needs another.

    Args:
        project: The project.
        model: The configuration.
        data: The URI of the training set's folder.
        trials: What each trial sets, by its number.
    """
    steps = tuple(
        _trial(project, model, data, settings, name=f"trial_{number}")
        for number, settings in trials.items()
    )
    return Pipeline(name=_name(model), steps=steps)


def last_pipeline(
    project: Project, model: Model, data: str, settings: Mapping[str, Setting]
) -> Pipeline:
    """Return the pipeline of a tuning's end, for what the best trial set.

    One step measures the file's own parameters as trials are, the other both on the last period.
    """
    compared = Step(
        name=LAST,
        function=f"{step_names.TUNE}:last",
        inputs={"data": data},
        parameters=_parameters(project, model) | {"settings": dict(settings)},
        artifacts=(LAST,),
        timeout=_LONGEST,
        fingerprint={"trainer": code_digest(project, model)},
    )
    return Pipeline(name=_name(model), steps=(_trial(project, model, data, {}, name=OWN), compared))


def _trial(
    project: Project, model: Model, data: str, settings: Mapping[str, Setting], *, name: str
) -> Step:
    """Return the step that measures one set of parameters on the tuning periods."""
    changed = msgspec.structs.replace(model, parameters={**model.parameters, **settings})
    return Step(
        name=name,
        function=f"{step_names.TUNE}:trial",
        inputs={"data": data},
        parameters=_parameters(project, changed),
        outputs=(Output(name="value", type="float"), Output(name="seconds", type="float")),
        timeout=_LONGEST,
        fingerprint={"trainer": code_digest(project, model)},
    )


def _parameters(project: Project, model: Model) -> dict[str, Any]:
    """Return the parameters that all steps of a tuning have; `model` has a `tune`."""
    if model.tune is None:
        raise AssertionError(model.path)
    return {
        "model": step_settings(model),
        "objective": msgspec.to_builtins(project.spec.objectives[model.objective]),
        "metric": model.tune.metric,
        "alone": model.tune.parallel == 1,  # then a long trial tests its periods at once
    }


def _name(model: Model) -> str:
    """Return the name of a tuning's pipelines, under which the cache has its steps."""
    return f"tune_{model.name}"[:28].rstrip("_")
