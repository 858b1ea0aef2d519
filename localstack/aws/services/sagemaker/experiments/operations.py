"""The operations on experiments, trials and components, and their descriptions for Search.

moto keeps them, and drops the tags of the creating calls.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ....core.moto_internals import sagemaker_backends
from ....core.registry import Context, handles
from ..tags import operations as tags

# Search's resource -> kind
KINDS = {
    "Experiment": "Experiment",
    "ExperimentTrial": "Trial",
    "ExperimentTrialComponent": "TrialComponent",
}
# kind -> where moto has them
_KEPT = {
    "Experiment": "experiments",
    "Trial": "trials",
    "TrialComponent": "trial_components",
}


@handles("sagemaker", "CreateExperiment", "CreateTrial", "CreateTrialComponent", executes=False)
def create(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer CreateExperiment, CreateTrial or CreateTrialComponent by moto, and store the tags."""
    answer = ctx.forward()
    arn = next(value for key, value in answer.items() if key.endswith("Arn"))
    tags.put(ctx, arn, params.get("Tags"))
    return answer


@handles("sagemaker", "DeleteExperiment", "DeleteTrial", "DeleteTrialComponent", executes=False)
def delete(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer DeleteExperiment, DeleteTrial or DeleteTrialComponent by moto, and drop the tags."""
    kind = next(kind for kind in _KEPT if f"{kind}Name" in params)
    gone = getattr(sagemaker_backends[ctx.account][ctx.region], _KEPT[kind]).get(
        params[f"{kind}Name"]
    )
    answer = ctx.forward()
    if gone is not None:
        tags.drop(ctx, gone.arn)
    return answer


def descriptions(ctx: Context, kind: str) -> Iterable[dict[str, Any]]:
    """Yield the descriptions of all experiments, trials or trial components, for Search.

    `kind` says which: Experiment, Trial or TrialComponent. A component has its trials as Parents,
    too.
    """
    backend: Any = sagemaker_backends[ctx.account][ctx.region]
    for name in list(getattr(backend, _KEPT[kind])):
        row = ctx.moto("sagemaker", f"Describe{kind}", {f"{kind}Name": name})
        yield {**row, "Parents": _parents(backend, name)} if kind == "TrialComponent" else row


def _parents(backend: Any, component: str) -> list[dict[str, str]]:
    """Return the trials that contain a trial component, as its Parents."""
    own_trial = backend.trial_components[component].trial_name
    trials = [
        trial
        for trial in list(backend.trials.values())
        if component in trial.trial_components or trial.trial_name == own_trial
    ]
    return [
        {"TrialName": trial.trial_name, "ExperimentName": trial.experiment_name} for trial in trials
    ]
