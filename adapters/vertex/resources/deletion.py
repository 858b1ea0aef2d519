"""Deletion of Vertex AI's own resources, and the cost of an endpoint.

Absent is success; Busy means that something changes or uses the resource. An endpoint goes only
when nothing is deployed to it, and undeploying is an operation: that is waited for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from typing import Any

from ....errors import Busy, NotFound
from ....storage import wait
from ..endpoints import adoption, deployed_models, lookup
from ..errors import translated
from ..names import NAME_LABEL, dashed, endpoint_id, is_of_variant, label_filter
from ..online import store as online
from ..session import CONTROL, VertexSession
from . import prices

# in which the replicas of an endpoint stop, or the views of a store go
_EMPTY = timedelta(minutes=10)


def endpoint(session: VertexSession, name: str) -> None:
    """Delete an endpoint, after its traffic and its models.

    The own endpoints of a sticky endpoint's variants are deleted first. An adopted endpoint only
    loses its labels, and keeps running.
    """
    if adoption.release(session, name):
        return
    present = [
        path
        for path in (*_of_variants(session, name), lookup.path(session, name))
        if _take_traffic(session, path)
    ]
    for path in present:
        _empty(session, path)
        with suppress(NotFound), translated(f"deleting {path}", effect=True):
            _control(session).delete_endpoint(name=path)


def _take_traffic(session: VertexSession, path: str) -> bool:
    """Remove an endpoint's traffic split; return False if there is no such endpoint."""
    described = _get_endpoint(session, path)
    if described is not None and described.traffic_split:
        with translated(f"taking the traffic from {path}", effect=True):
            _control(session).update_endpoint(
                endpoint={"name": path}, update_mask={"paths": ["traffic_split"]}
            )
    return described is not None


def _empty(session: VertexSession, path: str) -> None:
    """Undeploy all models of a Vertex AI endpoint, if it exists."""
    endpoints = _control(session)
    requested: set[str] = set()

    def empty() -> bool:
        """Start undeployments, and return whether nothing is deployed any more.

        An endpoint may take no second operation while the first one runs: then one follows the
        other.
        """
        described = _get_endpoint(session, path)
        for model_id in (
            [model.id for model in described.deployed_models if model.id not in requested]
            if described is not None
            else []
        ):
            with suppress(Busy):
                with (
                    suppress(NotFound),
                    translated(f"undeploying {model_id} of {path}", effect=True),
                ):
                    endpoints.undeploy_model(
                        endpoint=path, deployed_model_id=model_id, traffic_split={}
                    )
                requested.add(model_id)
        return described is None or not described.deployed_models

    wait(empty, bool, deadline=_EMPTY, what=f"emptying {path}")


def pipeline(session: VertexSession, name: str) -> None:
    """Delete a pipeline's PipelineJobs; their results stay in the bucket.

    Raises:
        Busy: A job runs.
    """
    for job in jobs(session, name):
        with suppress(NotFound), translated(f"deleting {job.name}", effect=True):
            session.pipelines.delete_pipeline_job(name=job.name)


def model(session: VertexSession, name: str) -> None:
    """Delete a model with all its versions; the models' folders in the bucket stay."""
    path = f"{session.parent}/models/{dashed(session.name, name)}"
    with suppress(NotFound), translated(f"deleting {path}", effect=True):
        session.models.delete_model(name=path)


def store(session: VertexSession, _name: str) -> None:
    """Delete the project's only online store, waiting until its feature views are gone."""

    def gone() -> bool:
        try:
            online.remove_store(session)
        except Busy:
            return False
        return True

    wait(gone, bool, deadline=_EMPTY, what="the end of the store's views")


def jobs(session: VertexSession, name: str | None = None) -> Iterator[Any]:
    """Yield the project's PipelineJobs, or those of one pipeline."""
    chosen = label_filter(session.name) + (f" AND labels.{NAME_LABEL}={name}" if name else "")
    with translated("listing pipeline jobs"):
        yield from session.pipelines.list_pipeline_jobs(
            request={"parent": session.parent, "filter": chosen}
        )


def endpoint_cost(session: VertexSession, name: str) -> Decimal | None:
    """Return the USD an hour of an endpoint's minimum replicas, or None if a price is unknown."""
    endpoints = [
        _get_endpoint(session, path)
        for path in (lookup.path(session, name), *_of_variants(session, name))
    ]
    replicas: dict[str, int] = {}
    for model in (
        model
        for endpoint in endpoints
        if endpoint is not None
        for model in endpoint.deployed_models
    ):
        resources = model.dedicated_resources
        machine = resources.machine_spec.machine_type
        replicas[machine] = replicas.get(machine, 0) + resources.min_replica_count
    return prices.total(prices.current(session.profile, session.location), replicas)


def _of_variants(session: VertexSession, name: str) -> list[str]:
    """Return the resource names of the endpoints that a sticky endpoint's variants have.

    The endpoint's description names them; those that a listing finds are added, as either may lack
    some.
    """
    if name in session.adopted:
        return []
    head = lookup.find(session, name)
    says = deployed_models.intention(head).apart if head is not None else ()
    request = {
        "parent": session.parent,
        "filter": f"{label_filter(session.name)} AND labels.{NAME_LABEL}={name}",
    }
    with translated(f"listing the endpoints of {name}"):
        listed = [
            item.name.rpartition("/")[2]
            for item in session.endpoints.list_endpoints(request=request)
        ]
    ids = [
        *(endpoint_id(session.name, name, variant) for variant in says),
        *filter(is_of_variant, listed),
    ]
    return [f"{session.parent}/endpoints/{number}" for number in dict.fromkeys(ids)]


def _get_endpoint(session: VertexSession, path: str) -> Any | None:
    """Return Vertex AI's description of an endpoint, or None."""
    try:
        with translated(f"looking at {path}"):
            return session.endpoints.get_endpoint(name=path)
    except NotFound:
        return None


def _control(session: VertexSession) -> Any:
    """Return the client, without retries, for calls that change an endpoint."""
    return session.client("endpoints", retrying=False, within=CONTROL)
