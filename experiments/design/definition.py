"""Make a run of what project.yaml says, as it is frozen at its start.

Everything that `start` refuses of the two is refused here, before anything is written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec.structs import asdict

from ...core.runtime.project import Project
from ...endpoints.gateway.decide.assignment import uppers
from ...endpoints.gateway.decide.live_document import LiveArm, LiveExperiments
from ...endpoints.port import EndpointState
from ...endpoints.traffic.manual import observe
from ...errors import Busy, NotFound, ProjectError, Refused
from ...project.git import git_revision
from ...project.reading.names import did_you_mean
from ...project.reading.report import problem_at
from ...project.specs.description import BUCKETS
from ...project.specs.experiments import INTERLEAVED, Experiment, Layer
from . import runs
from .runs import ExperimentDefinition, FrozenRun, RecordedRun
from .target_check import check_target

_WORDS = (
    "owner",
    "hypothesis",
    "share",
)  # an edit of these changes no run: the share is state, `ramp` changes it


def definition_of(project: Project, name: str) -> ExperimentDefinition:
    """Return an experiment's definition from project.yaml, with its layer and metrics.

    Raises:
        NotFound: project.yaml has no such experiment.
        Refused: Another system assigns its arms.
    """
    spec = project.spec
    if name in spec.analyses:
        raise Refused(
            f"experiments.{name} is assigned elsewhere: Isthmus analyses its log and starts "
            "nothing",
            remedy=f"isthmus experiment results {name}",
        )
    experiment = spec.experiments.get(name)
    if experiment is None:
        has = "it has" if spec.experiments else None
        raise NotFound(
            f"project.yaml has no experiment {name}",
            remedy=did_you_mean(name, spec.experiments, has=has),
        )
    named = (
        *experiment.metric,
        *(guardrail.metric for guardrail in experiment.guardrails),
        *experiment.also,
    )
    metrics = {metric: spec.metrics[metric] for metric in named if metric in spec.metrics}
    return ExperimentDefinition(
        experiment=experiment, layer=spec.layers[experiment.layer], metrics=metrics
    )


def arms_of(project: Project, definition: ExperimentDefinition) -> tuple[LiveArm, ...]:
    """Return an experiment's arms, each with the variant that answers its units, if one is set.

    Raises:
        ProjectError, NotFound, Busy: The arms cannot be served on this target now.
    """
    experiment = definition.experiment
    parameters: list[dict[str, Any]] = [arm.parameters for arm in experiment.arms]
    if experiment.aims:
        if problems := check_target(
            project.description, experiment, project.target.name, project.target.capabilities
        ):
            raise ProjectError(problems)
        endpoint = observe(project, definition.layer.endpoint)
        _check_variants(project, experiment, endpoint)
        if experiment.interleave is not None:
            return _interleaved_arms(experiment.interleave)
        busiest = max(endpoint.variants, key=lambda variant: variant.target_percent).name
        parameters = [{"variant": busiest, **values} for values in parameters]
    ends = uppers([arm.weight for arm in experiment.arms])
    return tuple(
        LiveArm(name=arm.name, upper=end, parameters=values)
        for arm, end, values in zip(experiment.arms, ends, parameters, strict=True)
    )


def _interleaved_arms(variants: tuple[str, str]) -> tuple[LiveArm, ...]:
    """Return the arms of an interleaved run: one that has all units, then its two variants.

    Units are assigned to the first arm only. It names the control's variant, which answers alone
    where two variants cannot be interleaved.
    """
    arms = {INTERLEAVED: variants[0], **{variant: variant for variant in variants}}
    return tuple(
        LiveArm(name=name, upper=BUCKETS, parameters={"variant": variant})
        for name, variant in arms.items()
    )


def with_defaults(
    project: Project, live: LiveExperiments, layer: Layer, arms: tuple[LiveArm, ...]
) -> tuple[LiveArm, ...]:
    """Return the arms with the endpoint's defaults for parameters that only other arms set.

    A later change of a default then does not change the control during the run. A parameter that an
    earlier run of the endpoint has shipped is left out: its shipped value reaches every unit.
    """
    shipped = [
        run
        for run in live.runs
        if run.state == "shipped" and live.layers[run.layer].endpoint == layer.endpoint
    ]
    tried = _parameters(arms) - {name for run in shipped for name in _parameters(run.arms)}
    endpoint = project.spec.endpoints[layer.endpoint]
    defaults = {name: parameter.default for name, parameter in endpoint.parameters.items()} | {
        "explore": float(endpoint.explore)
    }
    frozen = {name: value for name, value in defaults.items() if name in tried}
    return tuple(
        LiveArm(name=arm.name, upper=arm.upper, parameters=frozen | arm.parameters) for arm in arms
    )


def _parameters(arms: tuple[LiveArm, ...]) -> set[str]:
    """Return the names of all serving parameters that an arm sets."""
    return {parameter for arm in arms for parameter in arm.parameters}


def _check_variants(project: Project, experiment: Experiment, endpoint: EndpointState) -> None:
    """Raise NotFound or Busy if an arm names a variant that is not deployed or not ready."""
    phases = {variant.name: variant.phase for variant in endpoint.variants}
    named = [(f"arms.{arm.name}.variant", arm.parameters.get("variant")) for arm in experiment.arms]
    for key, name in [
        *named,
        *(("interleave", variant) for variant in experiment.interleave or ()),
    ]:
        if name is not None and name not in phases:
            raise NotFound(
                f"experiments.{experiment.name}.{key}: {project.target.name} {endpoint.name} runs "
                f"no variant {name}; it runs {', '.join(phases)}",
                remedy=f"isthmus deploy {endpoint.name}",
            )
        if name is not None and phases[name] != "ready":
            raise Busy(
                f"{endpoint.name}: {name} is {phases[name]}",
                remedy=f"wait for it: isthmus deploy {endpoint.name}",
            )


def frozen_run(
    project: Project, definition: ExperimentDefinition, arms: tuple[LiveArm, ...]
) -> FrozenRun:
    """Return a new run with its definition and its arms fixed, as it is stored at its start.

    Until `runs.claim` numbers it, its `run` is the experiment's name.
    """
    revision = git_revision(project.folder)
    return FrozenRun(
        run=definition.experiment.name,
        definition=definition,
        digest=_digest(definition),
        arms=arms,
        git=None if revision is None else f"{revision.revision}{'+' * revision.dirty}",
        target=project.target.name,
        who=runs.who(),
        at=project.log_time(),
    )


def _digest(definition: ExperimentDefinition) -> str:
    """Return a hash of an experiment's definition: 12 hex digits."""
    experiment = asdict(definition.experiment)
    what = {
        key: value
        for key, value in experiment.items()
        if key not in _WORDS and (key, value) not in (("interleave", None), ("drop_above", None))
    }
    value = msgspec.json.encode((what, definition.layer, definition.metrics), order="deterministic")
    return hashlib.sha256(value).hexdigest()[:12]


def newest_run(project: Project, name: str) -> RecordedRun:
    """Return the newest run of an experiment, or the run that the name gives (`name.2`).

    Raises:
        NotFound: It never ran.
    """
    run = runs.recorded_run(project.target.state, name)
    if run is None:
        experiment, _, number = name.rpartition(".")
        if not (number.isdigit() and experiment in project.spec.experiments):
            definition_of(project, name)
        raise NotFound(
            f"{name} never ran on {project.target.name}",
            remedy=f"isthmus experiment start {experiment or name}",
        )
    return run


def never_ran(project: Project, name: str) -> NotFound:
    """Return the error for an experiment that never ran, with a remedy.

    The remedy is to start it, or the most similar name in project.yaml.
    """
    remedy = (
        f"isthmus experiment start {name}"
        if name in project.spec.experiments
        else did_you_mean(name, project.spec.experiments, has="project.yaml has")
    )
    return NotFound(f"{name} never ran on {project.target.name}", remedy=remedy)


def differences(project: Project, run: FrozenRun) -> tuple[str, ...]:
    """Return the keys of project.yaml that differ from the run's definition at its start.

    The result is the single text `it is gone` if project.yaml no longer has the experiment.
    """
    name = run.definition.experiment.name
    if name not in project.spec.experiments:
        return ("it is gone",)
    return _differences(run.definition, definition_of(project, name))


def _differences(then: ExperimentDefinition, now: ExperimentDefinition) -> tuple[str, ...]:
    """Return the keys in which two definitions of an experiment differ.

    Examples are `weights`, `arms.treatment`, `metric ctr` and `layer`.
    """
    old, new = (asdict(definition.experiment) for definition in (then, now))
    keys = [key for key in old if key not in (*_WORDS, "arms", "name") and old[key] != new[key]]
    metrics = [
        f"metric {name}"
        for name, metric in then.metrics.items()
        if name in now.metrics and now.metrics[name] != metric
    ]
    layer = ["layer"] if "layer" not in keys and then.layer != now.layer else []
    return (*_arm_differences(then.experiment, now.experiment), *keys, *layer, *metrics)


def _arm_differences(then: Experiment, now: Experiment) -> Iterator[str]:
    """Yield the keys of the arms in which two declarations of an experiment differ."""
    old, new = ({arm.name: arm.parameters for arm in experiment.arms} for experiment in (then, now))
    if list(old) != list(new):
        yield "arms"
        return
    yield from (f"arms.{name}" for name in old if old[name] != new[name])
    if then.weights != now.weights:
        yield "weights"


def conflicting(
    project: Project, run: FrozenRun, definition: ExperimentDefinition
) -> ProjectError | None:
    """Return an error that names what changed in project.yaml since the run started, or None."""
    keys = _differences(run.definition, definition)
    if not keys:
        return None
    name = definition.experiment.name
    return ProjectError(
        tuple(
            problem_at(
                project.description,
                f"experiments.{name}.{key}"
                if not key.startswith("metric ")
                else f"metrics.{key.removeprefix('metric ')}",
                f"a running run keeps it ({run.run}{_running_weights(run, key)})",
                f"change the share with `ramp`, or stop {run.run} and start the next run: "
                "what changes within a run biases it",
            )
            for key in keys
        )
    )


def _running_weights(run: FrozenRun, key: str) -> str:
    """Return a run's arm weights as text (`: 50/50`) if `key` is "weights"; else ""."""
    if key != "weights":
        return ""
    weights = run.definition.experiment.weights.values()
    return ": " + "/".join(f"{weight:g}" for weight in weights)


def check_parameters(
    live: LiveExperiments, definition: ExperimentDefinition, arms: tuple[LiveArm, ...]
) -> None:
    """Raise Refused if an arm sets a parameter that a live run of another layer sets, too.

    A unit that is in both runs could get the value of either.
    """
    own = _parameters(arms)
    for run in live.runs:
        layer = live.layers[run.layer]
        both = sorted(own & _parameters(run.arms))
        if (
            run.layer != definition.layer.name
            and layer.endpoint == definition.layer.endpoint
            and both
        ):
            raise Refused(
                f"experiments.{definition.experiment.name}: {run.run} of layer {run.layer} "
                f"sets {', '.join(both)}, too",
                remedy=f"put both into one layer, or stop {run.run}: isthmus experiment status "
                f"{run.experiment}",
            )


def check_unlike(experiment: Experiment, arms: tuple[LiveArm, ...]) -> None:
    """Raise Refused if two arms, though written differently, would be answered alike.

    That happens where one arm names the variant that answers for an arm without one: the one with
    the most traffic.
    """
    if experiment.interleave is not None:
        return
    served = [arm.parameters for arm in arms]
    for arm, parameters in zip(experiment.arms, served, strict=True):
        other = experiment.arms[served.index(parameters)]
        if other.parameters != arm.parameters:
            raise Refused(
                f"experiments.{experiment.name}: {other.name} and {arm.name} would both be "
                f"answered by {parameters['variant']}, "
                "which has the most traffic",
                remedy="write in each arm which variant it means: variant: NAME",
            )
