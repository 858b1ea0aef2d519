"""What one target cannot do of an experiment: aim a call at a variant. Arms that differ by parameters travel with the request anywhere."""

from __future__ import annotations

from collections.abc import Mapping

from ..endpoints.hosting import AIM
from ..errors import Problem
from ..project.experiment_specs import Experiment
from ..project.experiments import arm_key
from ..project.report import problem_at
from ..project.specs import Description
from ..target import Capability


def can_start(experiment: Experiment, capabilities: Mapping[str, Capability]) -> bool:
    """What a target says nothing of is not judged."""
    return not experiment.aims or AIM not in capabilities or capabilities[AIM].level != "refused"


def check_target(
    description: Description, experiment: Experiment, target: str, capabilities: Mapping[str, Capability]
) -> tuple[Problem, ...]:
    """Each arm that `target` refuses, where it is written."""
    if can_start(experiment, capabilities):
        return ()
    arms = [arm.name for arm in experiment.arms if "variant" in arm.parameters]
    return tuple(_problem(description, experiment, arm, target) for arm in arms)


def _problem(description: Description, experiment: Experiment, arm: str, target: str) -> Problem:
    routing = description.spec.endpoints[description.spec.layers[experiment.layer].endpoint].routing
    key = arm_key(experiment.name, arm, "variant", description.places)
    return problem_at(
        description,
        key,
        f"{target} cannot aim one call at a variant under routing: {routing}",
        "use arms that differ by parameters: they travel with the request on every target",
    )
