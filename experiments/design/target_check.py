"""The one thing of an experiment that a target may lack: aiming a call at a variant.

Arms that differ by parameters travel with the request anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping

from ...endpoints.hosting import aims
from ...errors import Problem
from ...project.experiments.build import arm_key
from ...project.reading.report import problem_at
from ...project.specs.description import ParsedProject, ProjectSpec
from ...project.specs.experiments import Experiment
from ...target import Capability


def can_start(
    spec: ProjectSpec, experiment: Experiment, capabilities: Mapping[str, Capability]
) -> bool:
    """Return whether a target can send requests to the variants that the arms name.

    True for an endpoint that is missing, as that is reported elsewhere.
    """
    endpoint = spec.endpoints.get(spec.layers[experiment.layer].endpoint)
    return not experiment.aims or endpoint is None or aims(capabilities, endpoint.routing)


def check_target(
    description: ParsedProject,
    experiment: Experiment,
    target: str,
    capabilities: Mapping[str, Capability],
) -> tuple[Problem, ...]:
    """Return a problem, with its line, for each arm of an experiment that a target cannot serve.

    Such an arm names a variant, and the target, named `target`, cannot send a single request to a
    chosen one.
    """
    if can_start(description.spec, experiment, capabilities):
        return ()
    arms = [arm.name for arm in experiment.arms if "variant" in arm.parameters]
    keys = [f"experiments.{experiment.name}.interleave"] if experiment.interleave else []
    keys += [arm_key(experiment.name, arm, "variant", description.places) for arm in arms]
    return tuple(_problem(description, experiment, key, target) for key in keys)


def _problem(description: ParsedProject, experiment: Experiment, key: str, target: str) -> Problem:
    """Return the problem that a target cannot send a request to a chosen variant.

    It points to the line of project.yaml at `key`, where an arm names the variant; `target` is the
    target's name.
    """
    routing = _routing(description.spec, experiment)
    otherwise = (
        ""
        if experiment.interleave
        else ", or arms that differ by parameters (they travel with the request on every target)"
    )
    return problem_at(
        description,
        key,
        f"{target} cannot aim one call at a variant under routing: {routing}",
        f"use routing: sticky{otherwise}",
    )


def _routing(spec: ProjectSpec, experiment: Experiment) -> str:
    """Return the routing mode of the experiment's endpoint, such as `sticky`."""
    return spec.endpoints[spec.layers[experiment.layer].endpoint].routing
