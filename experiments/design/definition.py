"""Make a run of what project.yaml says, as it is frozen at its start.

Everything that `start` refuses of the two is refused here, before anything is written.
"""

from __future__ import annotations

from typing import Any

from ...core.runtime.project import Project
from ...endpoints.gateway.decide.assignment import uppers
from ...endpoints.gateway.decide.live_document import Live, LiveArm
from ...endpoints.port import EndpointState
from ...endpoints.traffic.manual import observe
from ...errors import Busy, NotFound, ProjectError, Refused
from ...project.reading.names import did_you_mean
from ...project.reading.report import problem_at
from ...project.specs.description import BUCKETS
from ...project.specs.experiments import INTERLEAVED, Experiment, Layer
from . import runs
from .runs import Definition, FrozenRun
from .target_check import check_target


def definition_of(project: Project, name: str) -> Definition:
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
    return Definition(experiment=experiment, layer=spec.layers[experiment.layer], metrics=metrics)


def arms_of(project: Project, definition: Definition) -> tuple[LiveArm, ...]:
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
    """Return the arms of an interleaved run: one with all units, then its two variants.

    Units are assigned to the first arm only. It names the control's variant, which answers alone
    where no two variants can be asked.
    """
    arms = {INTERLEAVED: variants[0], **{variant: variant for variant in variants}}
    return tuple(
        LiveArm(name=name, upper=BUCKETS, parameters={"variant": variant})
        for name, variant in arms.items()
    )


def with_defaults(
    project: Project, live: Live, layer: Layer, arms: tuple[LiveArm, ...]
) -> tuple[LiveArm, ...]:
    """Complete the parameters of the arms with the endpoint's defaults.

    An arm that lacks a parameter which another arm sets gets the endpoint's default frozen into it,
    so that a later change of that default does not change the control during the run. A parameter
    that an earlier run of the endpoint has shipped is left out: its shipped value reaches every
    unit.
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
    """Return the names of all serving parameters that some arm sets."""
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


def frozen_run(project: Project, definition: Definition, arms: tuple[LiveArm, ...]) -> FrozenRun:
    """Return a new run with its definition and arms frozen, as it is stored at its start.

    Until `runs.claim` numbers it, its `run` is the experiment's name.
    """
    from ...pipelines.training.training import git

    revision = git(project.folder)
    return FrozenRun(
        run=definition.experiment.name,
        definition=definition,
        digest=runs.digest(definition),
        arms=arms,
        git=None if revision is None else f"{revision.revision}{'+' * revision.dirty}",
        target=project.target.name,
        who=runs.who(),
        at=project.log_time(),
    )


def never_ran(project: Project, name: str) -> NotFound:
    """Return the error that an experiment never ran.

    Its remedy is to start it, or the most similar name of project.yaml.
    """
    remedy = (
        f"isthmus experiment start {name}"
        if name in project.spec.experiments
        else did_you_mean(name, project.spec.experiments, has="project.yaml has")
    )
    return NotFound(f"{name} never ran on {project.target.name}", remedy=remedy)


def conflicting(project: Project, run: FrozenRun, definition: Definition) -> ProjectError | None:
    """Return an error that names what changed in project.yaml since the run started, or None."""
    keys = runs.differences(run.definition, definition)
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
    """Return the run's arm weights as text, such as ": 50/50", if `key` is "weights", else ""."""
    if key != "weights":
        return ""
    weights = runs.weights(run.definition.experiment).values()
    return ": " + "/".join(f"{weight:g}" for weight in weights)


def check_parameters(live: Live, definition: Definition, arms: tuple[LiveArm, ...]) -> None:
    """Refuse arms that set a parameter which a live run of another layer sets, too.

    A unit that is in both runs could get the value of either.

    Raises:
        Refused: A live run of another layer of the endpoint sets one of the arms' parameters.
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
    """Refuse two arms that are written differently but would be answered by the same variant.

    It happens where one arm names the variant that an arm without a variant gets, which is the one
    with the most traffic.

    Raises:
        Refused: Two arms would give the same answers.
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
