"""Whose an endpoint's traffic is: a run takes it at its start, and gives it back at its end."""

from __future__ import annotations

from contextlib import suppress

from ...core.runtime.project import Project
from ...endpoints.port import EndpointState
from ...endpoints.traffic import owner
from ...endpoints.traffic.refusals import refusal
from ...errors import Conflict, Refused
from ..design import runs


def check_free(project: Project, endpoint: EndpointState | None, name: str) -> None:
    """Raise an error unless the experiment `name` may take the endpoint's traffic.

    The endpoint is None if it is not deployed.

    Raises:
        Refused: The traffic has another owner, such as a run that is not closed yet.
    """
    claim = owner.read(project.target.state, endpoint.name) if endpoint else None
    if claim is None or endpoint is None or not owner.holds(claim.owner, endpoint, project.wall()):
        return
    if claim.owner.owner != "experiment" or runs.experiment_of(claim.owner.name) != name:
        raise refusal(endpoint.name, claim.owner, now=project.wall())
    _check_home(project, claim.owner.name)


def _check_home(project: Project, run: str) -> None:
    """Raise Refused if a run's `close` is not finished, as it still moves the traffic."""
    name = runs.experiment_of(run)
    last = runs.last(project.target.state, name)
    if last is not None and (last.run, last.what) == (run, "closed"):
        raise Refused(
            f"{run} is not closed yet: its version is on its way home",
            remedy=f"isthmus experiment close {name}",
        )


def take(project: Project, endpoint: EndpointState | None, run: str) -> str | None:
    """Make a run the owner of the endpoint's traffic.

    If another run of the same experiment owns it, which an interrupted start or stop leaves behind,
    that run loses it.

    Returns:
        "none" if the traffic was taken: it had no other owner. None if it is the run's already, or
        there is no endpoint.

    Raises:
        Refused: The owner is no run of the experiment.
    """
    if endpoint is None:
        return None
    state, name = project.target.state, runs.experiment_of(run)
    claim = owner.read(state, endpoint.name)
    if claim is not None and claim.owner.is_of("experiment", run):
        return None
    if (
        claim is not None
        and claim.owner.owner == "experiment"
        and runs.experiment_of(claim.owner.name) == name
    ):
        owner.release(
            state, endpoint.name, kind="experiment", name=claim.owner.name, now=project.wall()
        )
    command = f'isthmus experiment stop {name} --because "..."'
    owner.take(state, endpoint, kind="experiment", name=run, command=command, now=project.wall())
    return "none"


def give_back_all(project: Project, name: str) -> tuple[str, ...]:
    """Release the traffic of every endpoint that the experiment's runs own.

    Return the names of these endpoints.

    Raises:
        Refused: The `close` of a run is not finished, and needs the traffic.
    """
    state, given_back = project.target.state, list[str]()
    for key in state.keys(owner.key("")):
        endpoint = key.removeprefix(owner.key(""))
        claim = owner.read(state, endpoint)
        if (
            claim is not None
            and claim.owner.owner == "experiment"
            and runs.experiment_of(claim.owner.name) == name
        ):
            _check_home(project, claim.owner.name)
            with suppress(Conflict):
                owner.release(
                    state, endpoint, kind="experiment", name=claim.owner.name, now=project.wall()
                )
            given_back.append(endpoint)
    return tuple(given_back)


def give_back(project: Project, endpoint: str, run: str) -> None:
    """Release the endpoint's traffic, if this run owns it."""
    owner.release(project.target.state, endpoint, kind="experiment", name=run, now=project.wall())
