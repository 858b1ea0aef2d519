"""`isthmus guard --stop`: remove the endpoints that nobody uses, so that `deploy` can undo it.

Before an endpoint is removed, its versions and its split are recorded under its traffic's owner,
by compare-and-swap. From then on a rollout, an experiment or `traffic` cannot take it, and whoever
took it first keeps it.
"""

from __future__ import annotations

from ...core.runtime.project import Project
from ...endpoints.traffic import owner
from ...endpoints.traffic.router import routed_endpoints
from ...errors import Busy, Conflict
from ...storage import Resource
from .guard import Guard, guard, needed_by


def stop(project: Project) -> Guard:
    """Remove the endpoints that are idle, and return what stands then.

    An endpoint that a rollout or an experiment owns is never removed, nor is one of which it is
    unknown whether it is idle. It may be run again after any crash.
    """
    with project.lock("guard"):
        looked = guard(project)
        resources = {
            resource.name: resource
            for resource in project.target.inventory.list(project.spec.name)
            if resource.kind == "endpoint"
        }
        for done, name in enumerate(looked.to_stop):
            project.progress(f"stop endpoint {name}", done, len(looked.to_stop))
            if name in resources and _claim(project, name):
                _remove(project, resources[name])
        return guard(project) if looked.to_stop else looked


def _claim(project: Project, name: str) -> bool:
    """Record that an endpoint is being stopped; return False if somebody needs it by now.

    A rollout or an experiment that owned it first, or took it meanwhile, keeps it.
    """
    store = project.target.state
    claim = owner.read(store, name)
    if claim is not None and claim.owner.returning:  # `deploy` has begun to bring it back
        return False
    try:
        if not owner.is_stopped(claim):
            state = routed_endpoints(project.target).observe(name)
            if state is None or (
                claim is not None and owner.holds(claim.owner, state, project.wall())
            ):
                return False
            if needed_by(project, name):
                return False
            claim = owner.record_stop(store, state, claim, now=project.wall())
        if needed_by(project, name):  # it began before it could be refused
            owner.settle(store, name, claim, now=project.wall())
            return False
    except Conflict:  # somebody was faster: it is used
        return False
    return True


def _remove(project: Project, resource: Resource) -> None:
    """Start to remove an endpoint; if the provider is changing it, leave it to the next run."""
    try:
        project.target.inventory.delete(resource)
    except Busy as error:
        project.progress(f"{resource.name}: {error}", 0, None)
