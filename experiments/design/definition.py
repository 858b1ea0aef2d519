"""From project.yaml and what runs to a run.

Everything that `start` refuses of them is refused here, before anything is written.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from ...core.runtime.project import Project
from ...endpoints.gateway.decide.assignment import uppers
from ...endpoints.gateway.decide.live_document import Live, LiveArm, LiveLayer, LiveRun, Ranges
from ...endpoints.port import EndpointState
from ...endpoints.traffic.manual import observe
from ...errors import Busy, NotFound, ProjectError, Refused
from ...project.reading.names import did_you_mean
from ...project.reading.report import problem_at
from ...project.specs.description import BUCKETS
from ...project.specs.experiments import INTERLEAVED, Experiment, Layer
from . import buckets, runs
from .runs import Definition, FrozenRun
from .target_check import check_target


def definition_of(project: Project, name: str) -> Definition:
    """NotFound: project.yaml has no such experiment. Refused: it is assigned elsewhere."""
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
    """With the variant that each aims at, if any does.

    ProjectError, NotFound, Busy: they cannot be served here now.
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
            return _rivals(experiment.interleave)
        parameters = [{"variant": _busiest(endpoint), **values} for values in parameters]
    ends = uppers([arm.weight for arm in experiment.arms])
    return tuple(
        LiveArm(name=arm.name, upper=end, parameters=values)
        for arm, end, values in zip(experiment.arms, ends, parameters, strict=True)
    )


def _rivals(variants: tuple[str, str]) -> tuple[LiveArm, ...]:
    """All units in one arm, which has the control's variant where no two can be asked; then those
    that may be shipped, with no bucket.
    """
    arms = {INTERLEAVED: variants[0], **{variant: variant for variant in variants}}
    return tuple(
        LiveArm(name=name, upper=BUCKETS, parameters={"variant": variant})
        for name, variant in arms.items()
    )


def with_defaults(
    project: Project, live: Live, layer: Layer, arms: tuple[LiveArm, ...]
) -> tuple[LiveArm, ...]:
    """What some arm sets and another does not stays the endpoint's default of now: a later one
    would change the control under the run.

    Not what an earlier run has shipped: that is everybody's, and the control's.
    """
    ships = [
        run
        for run in live.runs
        if run.state == "shipped" and live.layers[run.layer].endpoint == layer.endpoint
    ]
    tried = _parameters(arms) - {name for run in ships for name in _parameters(run.arms)}
    endpoint = project.spec.endpoints[layer.endpoint]
    defaults = {name: parameter.default for name, parameter in endpoint.parameters.items()} | {
        "explore": float(endpoint.explore)
    }
    now = {name: value for name, value in defaults.items() if name in tried}
    return tuple(
        LiveArm(name=arm.name, upper=arm.upper, parameters=now | arm.parameters) for arm in arms
    )


def _parameters(arms: tuple[LiveArm, ...]) -> set[str]:
    return {parameter for arm in arms for parameter in arm.parameters}


def _check_variants(project: Project, experiment: Experiment, endpoint: EndpointState) -> None:
    running = {variant.name: variant.phase for variant in endpoint.variants}
    named = [(f"arms.{arm.name}.variant", arm.parameters.get("variant")) for arm in experiment.arms]
    for key, name in [
        *named,
        *(("interleave", variant) for variant in experiment.interleave or ()),
    ]:
        if name is not None and name not in running:
            raise NotFound(
                f"experiments.{experiment.name}.{key}: {project.target.name} {endpoint.name} "
                f"runs no variant {name}; "
                f"it runs {', '.join(running)}",
                remedy=f"isthmus deploy {endpoint.name}",
            )
        if name is not None and running[name] != "ready":
            raise Busy(
                f"{endpoint.name}: {name} is {running[name]}",
                remedy=f"wait for it: isthmus deploy {endpoint.name}",
            )


def _busiest(endpoint: EndpointState) -> str:
    return max(endpoint.variants, key=lambda variant: variant.target_percent).name


def frozen_run(project: Project, definition: Definition, arms: tuple[LiveArm, ...]) -> FrozenRun:
    """Without its number: `run` is the experiment's name. runs.claim gives it one."""
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


def ranges_for(live: Live, layer: str, wanted: int, *, run: LiveRun | None = None) -> Ranges:
    """The ranges with which a run, or a new one, holds so many buckets.

    Refused: the layer has too few that are free.
    """
    others = {
        other.run: other.ranges
        for other in live.runs
        if other.layer == layer and (run is None or other.run != run.run)
    }
    try:
        return buckets.resized(run.ranges if run else (), others.values(), wanted)
    except ValueError:
        holders = ", ".join(
            f"{name} holds {_percent(buckets.size(ranges))}"
            for name, ranges in sorted(others.items())
            if ranges
        )
        raise Refused(
            f"layer {layer} has {buckets.percent(buckets.free(others.values())):.2f} % of "
            "its units free; "
            f"{_percent(wanted)} are asked for     {holders}",
            remedy="a smaller share, or stop or ramp down another run; a run of another layer is "
            "independent of these",
        ) from None


def _percent(count: int) -> str:
    return f"{buckets.percent(count).normalize():f} %"


def live_run(run: FrozenRun, ranges: Ranges) -> LiveRun:
    """As gateways know it."""
    experiment = run.definition.experiment
    return LiveRun(
        run=run.run,
        experiment=experiment.name,
        layer=experiment.layer,
        ranges=ranges,
        arms=run.arms,
        interleave=experiment.interleave,
        holdout=buckets.count(experiment.holdout),
        targeting=experiment.targeting,
        salt=run.salt,
        segments=experiment.segments,
        started=run.at,
    )


def layers_with(live: Live, layer: Layer) -> dict[str, LiveLayer]:
    """Those of the runs that are live, and this one.

    Refused: it runs with another salt or holdout, by which units would move.
    """
    used = {run.layer for run in live.runs}
    layers = {name: about for name, about in live.layers.items() if name in used}
    new = LiveLayer(
        endpoint=layer.endpoint, salt=layer.salted, holdout=buckets.count(layer.holdout)
    )
    if layers.get(layer.name, new) != new:
        names = ", ".join(run.run for run in live.runs if run.layer == layer.name)
        raise Refused(
            f"layers.{layer.name} has another endpoint, salt or holdout than when {names} "
            "started: units would move between its runs",
            remedy=f"put it back, or stop {names} first",
        )
    return {**layers, layer.name: new}


def without(live: Live, run: str) -> Live:
    """The run has left, and with the last of its runs the layer."""
    rest = tuple(other for other in live.runs if other.run != run)
    used = {other.layer for other in rest}
    return replace(
        live, runs=rest, layers={name: layer for name, layer in live.layers.items() if name in used}
    )


def find(live: Live, name: str) -> LiveRun | None:
    """The live run of an experiment: there is at most one."""
    return next((run for run in live.runs if run.experiment == name), None)


def replaced(live: Live, run: LiveRun) -> Live:
    return replace(live, runs=tuple(run if other.run == run.run else other for other in live.runs))


def never_ran(project: Project, name: str) -> NotFound:
    """With what may have been meant."""
    known = name in project.spec.experiments
    remedy = (
        f"isthmus experiment start {name}"
        if known
        else did_you_mean(name, project.spec.experiments, has="project.yaml has")
    )
    return NotFound(f"{name} never ran on {project.target.name}", remedy=remedy)


def conflicting(project: Project, run: FrozenRun, now: Definition) -> ProjectError | None:
    """What project.yaml says otherwise than a run that is live, each where it stands."""
    keys = runs.differences(run.definition, now)
    if not keys:
        return None
    name = now.experiment.name
    return ProjectError(
        tuple(
            problem_at(
                project.description,
                f"experiments.{name}.{key}"
                if not key.startswith("metric ")
                else f"metrics.{key.removeprefix('metric ')}",
                f"a running run keeps it ({run.run}{_as_it_runs(run, key)})",
                f"change the share with `ramp`, or stop {run.run} and start the next run: "
                "what changes within a run biases it",
            )
            for key in keys
        )
    )


def _as_it_runs(run: FrozenRun, key: str) -> str:
    if key != "weights":
        return ""
    return ": " + "/".join(
        f"{weight:g}" for weight in runs.weights(run.definition.experiment).values()
    )


def check_parameters(live: Live, definition: Definition, arms: tuple[LiveArm, ...]) -> None:
    """Refused: a live run of another layer of the endpoint sets one of its parameters, so a unit of
    both would have either's value.
    """
    mine = _parameters(arms)
    for run in live.runs:
        layer = live.layers[run.layer]
        both = sorted(mine & _parameters(run.arms))
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
    """Refused: arms that are written otherwise would be answered alike, as one of them gets the
    variant with the most traffic.
    """
    if experiment.interleave is not None:
        return
    served = [arm.parameters for arm in arms]
    for arm, of_arm in zip(experiment.arms, served, strict=True):
        other = experiment.arms[served.index(of_arm)]
        if other.parameters != arm.parameters:
            raise Refused(
                f"experiments.{experiment.name}: {other.name} and {arm.name} would both be "
                f"answered by {of_arm['variant']}, "
                "which has the most traffic",
                remedy="write in each arm which variant it means: variant: NAME",
            )
