"""The pipelines of a tuning: the training set, a step for each trial of a round, and its end."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from ...errors import Invalid
from ...project.specs.description import Model
from ...project.specs.tuning import Tuning
from ...reports.columns import plural
from ..graphs.graph import Pipeline, Step
from ..port import Output
from ..runs import step_names
from ..runs.estimates import PlannedRuns
from ..training.training import code_digest, pipeline, step_settings
from .study import Setting, Study

if TYPE_CHECKING:
    from ...core.runtime.project import Project

LAST = "last"
OWN = "own"
_TRIAL = "trial_"
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
        _trial(project, model, data, settings, name=trial_step(number))
        for number, settings in trials.items()
    )
    return Pipeline(name=_name(model), steps=steps)


def trial_step(number: int) -> str:
    """Return the name of the step that runs a trial."""
    return f"{_TRIAL}{number}"


def trial_number(step: str) -> int | None:
    """Return the number of the trial that a step runs, by the step's name; None if it runs none."""
    return int(step.removeprefix(_TRIAL)) if step.startswith(_TRIAL) else None


def tuning_of(model: Model) -> Tuning:
    """Return a configuration's `tune`; raise Invalid if it has none."""
    if model.tune is None:
        raise Invalid(
            f"{model.path} has no tune",
            remedy="write what is searched: tune: {trials: 20, metric: auc, search: {...}}",
        )
    return model.tune


def planned_runs(project: Project, model: Model, study: Study | None) -> PlannedRuns:
    """Return the runs that finish a study of a model, or make a new one, to judge their cost.

    There is one for the training set, if there is none yet, one for each round of trials, and one
    for the end, whose two steps cost about a trial each.

    Args:
        project: The project.
        model: The configuration, which has a `tune`.
        study: The study, which is not finished; None begins one.
    """
    tune = tuning_of(model)
    trials, parallel = tune.trials, tune.parallel
    done = len(study.trials) if study else 0
    left = range(done + 1, trials + 1)
    rounds = [left[first : first + parallel] for first in range(0, len(left), parallel)]
    (step,) = round_pipeline(project, model, "", {1: {}}).steps
    pipelines = [
        Pipeline(
            name=_name(model),
            steps=tuple(msgspec.structs.replace(step, name=trial_step(n)) for n in numbers),
        )
        for numbers in (*rounds, range(trials + 1, trials + 3))
    ]
    count = plural(trials - done, "trial")
    return PlannedRuns(
        about=f"the rest of {study.name} ({count})"
        if study
        else f"a study of {count} of {model.path}",
        pipelines=(*(() if study else (dataset_pipeline(project, model),)), *pipelines),
        alike=lambda name: name if trial_number(name) is None else _TRIAL,
    )


def dataset_pipeline(project: Project, model: Model) -> Pipeline:
    """Return the pipeline that makes the training set as `train` does, by the same cache."""
    train = pipeline(project, model)
    return Pipeline(name=train.name, steps=train.steps[:1])


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
    tune = tuning_of(model)
    return {
        "model": step_settings(model),
        "objective": msgspec.to_builtins(project.spec.objectives[model.objective]),
        "metric": tune.metric,
        "alone": tune.parallel == 1,  # then a long trial tests its periods at once
    }


def _name(model: Model) -> str:
    """Return the name of a tuning's pipelines, under which the cache has its steps."""
    return f"tune_{model.name}"[:28].rstrip("_")
