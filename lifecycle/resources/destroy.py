"""`isthmus destroy`: remove exactly what carries the project's tags.

Runs, reports, raw data and models stay.
"""

from __future__ import annotations

from collections import Counter

import msgspec

from ...core.runtime.project import Project
from ...endpoints.traffic import owner
from ...endpoints.traffic.refusals import refusal
from ...errors import Conflict, Refused
from ...experiments.design import runs
from ...experiments.simulation import clock as simulated_time
from ...reports.results import Shown
from ...rollouts.verbs import rollout
from ...storage import Resource

_ORDER = (
    "endpoint",
    "counters",
    "pipeline",
    "online_view",
    "online_store",
    "stream",
    "view",
    "table",
)  # users before what they use
_NAMES = {
    "online_view": "online view",
    "online_store": "online store",
    "view": "view",
    "table": "table",
    "stream": "event stream",
    "endpoint": "endpoint",
    "counters": "counter table",
}
# what describes the removed things
_STATE = (
    "events/",
    "extractions/",
    "ingest/",
    "tables/",
    "views/",
    "traffic/",
    "split/",
    "project",
)


class Destruction(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """The things that would go (`to_destroy`) or went (`destroy`)."""

    target: str
    resources: tuple[Resource, ...]
    kept: tuple[Resource, ...] = ()  # of the project too, and left: registered models
    going: tuple[Resource, ...] = ()  # asked for, and still listed: a cloud deletes in its own time

    def __str__(self) -> str:
        counted = Counter(r.kind for r in self.resources)
        parts = [
            f"endpoint {r.name} released, keeps running" if r.adopted else f"- endpoint {r.name}"
            for r in self.resources
            if r.kind == "endpoint"
        ]
        parts += [
            f"- {n} {_NAMES.get(kind, kind)}{'s' if n != 1 else ''}"
            for kind, n in counted.items()
            if kind != "endpoint"
        ]
        left = ", ".join(f"{r.kind} {r.name}" for r in self.kept) or "models"
        going = (
            "    still going: "
            f"{', '.join(f'{_NAMES.get(r.kind, r.kind)} {r.name}' for r in self.going)}"
            if self.going
            else ""
        )
        nothing = "nothing gone yet" if self.going else "nothing here"
        return (
            f"{self.target:<7} {'  '.join(parts) or nothing}{going}    keeps {left}, runs/, "
            "reports/, raw/ and your data/"
        )


def to_destroy(project: Project) -> Destruction:
    """Return the resources that `destroy` would delete, in order, and those it would keep.

    Raises:
        Refused: A rollout or an experiment owns an endpoint's traffic, or a run is live: it would
            go on without the resources.
    """
    for key in project.target.state.keys(owner.key("")):
        endpoint = key.removeprefix(owner.key(""))
        if (claim := owner.read(project.target.state, endpoint)) and claim.owner.lasting:
            raise refusal(
                endpoint,
                claim.owner,
                now=project.wall(),
                meanwhile="destroy would take the endpoint away under it",
            )
    stored = runs.read(project.target.state)
    for run in stored.live.runs if stored else ():
        raise Refused(
            f"{run.run} is {run.state}: destroy would take away what it is served and logged by",
            remedy=f'isthmus experiment stop {run.experiment} --because "..."; its history stays',
        )
    listed = tuple(project.target.inventory.list(project.spec.name))
    going = sorted(
        (r for r in listed if r.kind in _ORDER), key=lambda r: (_ORDER.index(r.kind), r.name)
    )
    return Destruction(
        target=project.target.name,
        resources=tuple(going),
        kept=tuple(r for r in listed if r.kind not in _ORDER),
    )


def wait_released(project: Project) -> None:
    """Wait until rollouts that have ended give back the traffic of their endpoints.

    That is minutes after an abort.
    """
    for key in project.target.state.keys(owner.key("")):
        rollout.wait_released(project, key.removeprefix(owner.key("")))


def destroy(project: Project, *, wait: bool = False) -> Destruction:
    """Delete the project's resources on the target, dependents first.

    It may be run again, to delete what a crash left.

    Args:
        project: The project.
        wait: Whether to wait first until ended rollouts have given back their traffic.

    Returns:
        The resources that are gone as `resources`; as `going` those that the inventory still lists.
    """
    if wait:
        wait_released(project)
    with project.lock("destroy"):
        destruction = to_destroy(project)
        for done, resource in enumerate(destruction.resources):
            project.progress(
                f"destroy {resource.kind} {resource.name}", done, len(destruction.resources)
            )
            project.target.inventory.delete(resource)
        for prefix in _STATE:
            for key in project.target.state.keys(prefix):
                _delete_document(project, key)
        simulated_time.forget(project.target)
        project.sweep()
    left = {(r.kind, r.name) for r in project.target.inventory.list(project.spec.name)}
    gone = tuple(r for r in destruction.resources if (r.kind, r.name) not in left)
    return msgspec.structs.replace(
        destruction,
        resources=gone,
        going=tuple(r for r in destruction.resources if (r.kind, r.name) in left),
    )


def _delete_document(project: Project, key: str) -> None:
    """Delete the document with this key from the target's state store.

    Raises Conflict if it changes meanwhile.
    """
    document = project.target.state.get(key)
    if document is None:
        return
    try:
        project.target.state.delete(key, expect=document.token)
    except Conflict as error:
        raise Conflict(
            f"{key} changed while it was being removed", remedy="run `isthmus destroy` again"
        ) from error
