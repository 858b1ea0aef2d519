"""`isthmus rollout rehearse --offline`: the target's genuine adapter, in virtual time.

It runs in an empty place that goes afterwards.
"""

from __future__ import annotations

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from msgspec.structs import replace

from ...adapters import targets
from ...core.runtime import stacks
from ...core.runtime.project import Project
from ...core.user_state import FOLDER
from ...errors import Unsupported
from ...rollouts.rehearsal.endpoint import stand_up
from ...rollouts.rehearsal.rehearse import rehearse_in
from ...rollouts.rehearsal.results import Rehearsal
from ...rollouts.rehearsal.scenario import Scenario
from ...rollouts.rehearsal.setting import Setting
from ...rollouts.rehearsal.target_setting import TargetSetting
from ...rollouts.state.states import RolloutPlan
from ...target import Profile
from .places import Cloud, Home, Place

_SCRIPT = "traffic_script"  # the port by which minutes are made up


def rehearse_offline(project: Project, path: str | Path) -> Rehearsal:
    """Rehearse a rollout in simulated time with the adapter of the project's target.

    Nothing of the project is touched, on its target or in its stack.

    Raises:
        Unsupported: The adapter cannot be given simulated traffic, or its cloud has no offline
            stack.
        ProjectError: The scenario has mistakes.
    """
    adapter = project.target.adapter
    if _SCRIPT not in adapter.ports or (adapter.remote and adapter.offline is None):
        raise Unsupported(
            f"target {project.target.name}: a rehearsal by {adapter.title}'s own adapter is "
            "not supported yet",
            capability="rehearse --offline",
            remedy="leave --offline out: it is played in a scripted world that behaves as the "
            "target does",
        )
    with _cloud(project) if adapter.remote else _home(project) as place:

        def setting(scenario: Scenario, plan: RolloutPlan) -> Setting:
            target = place.open()
            try:
                stand_up(target, plan)
            finally:
                target.close()
            return TargetSetting(
                scenario,
                plan.spec.name,
                place.open,
                start=place.start(plan.advance),
                rollback=place.rollback,
            )

        return rehearse_in(project, path, setting)


@contextmanager
def _home(project: Project) -> Generator[Place, None, None]:
    """Yield a place for a rehearsal on the laptop, in .isthmus/rehearsal, and delete it after.

    What a killed rehearsal left there is deleted first.
    """
    folder = project.folder / FOLDER / "rehearsal"
    place = Home(
        replace(
            project.target.profile, options=project.target.profile.options | {"home": str(folder)}
        )
    )
    with project.lock("rollout rehearse"):
        _remove(place.profile, folder)
        try:
            yield place
        finally:
            _remove(place.profile, folder)


def _remove(profile: Profile, folder: Path) -> None:
    """Delete the endpoints and the folder that an earlier, killed rehearsal left."""
    if not folder.is_dir():
        return
    target = targets.load(profile)
    try:
        for resource in list(target.inventory.list(profile.project)):
            if resource.kind == "endpoint":
                target.inventory.delete(resource)
    finally:
        target.close()
    shutil.rmtree(folder)


@contextmanager
def _cloud(project: Project) -> Generator[Place, None, None]:
    """Yield a place for a rehearsal on a new offline stack, which stops with this process."""
    stack = project.target.adapter.offline
    assert stack is not None  # noqa: S101  the caller has looked
    stacks.check(stack)
    from isthmus_stack.client import Stack
    from isthmus_stack.run import start

    with start(stack.cloud, clock="manual", images=stacks.images(project.folder, stack)) as running:
        options = {
            name: value
            for name, value in project.target.profile.options.items()
            if name != "offline"
        }
        profile = replace(
            project.target.profile, options=options | stacks.address(stack, running.url)
        )
        yield Cloud(profile, Stack(running.url, stack.cloud))
