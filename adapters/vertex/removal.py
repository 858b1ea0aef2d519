"""Deletion of Vertex AI's own resources, and what an endpoint costs. Absent is success; Busy while something changes or uses it.

An endpoint goes only when nothing is deployed to it, and undeploying is an operation: that is waited for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from typing import Any

from ...errors import Busy, NotFound
from ...storage import wait
from . import online, prices
from .errors import translated
from .names import NAME_LABEL, dashed, labelled
from .session import CONTROL, Session

_EMPTY = timedelta(minutes=10)  # in which the replicas of an endpoint stop, or the views of a store go


def endpoint(session: Session, name: str) -> None:
    """It serves nobody from the first call on."""
    endpoints = session.client("endpoints", retrying=False, within=CONTROL)
    path = _endpoint_path(session, name)
    there = _endpoint(session, name)
    if there is None:
        return
    if there.traffic_split:
        with translated(f"taking the traffic from {name}", effect=True):
            endpoints.update_endpoint(endpoint={"name": path}, update_mask={"paths": ["traffic_split"]})
    asked: set[str] = set()

    def empty() -> bool:
        """One after the other, where an endpoint takes no second operation while the first one runs."""
        seen = _endpoint(session, name)
        for model_id in [deployed.id for deployed in seen.deployed_models if deployed.id not in asked] if seen is not None else []:
            with suppress(Busy):
                with suppress(NotFound), translated(f"undeploying {model_id} of {name}", effect=True):
                    endpoints.undeploy_model(endpoint=path, deployed_model_id=model_id, traffic_split={})
                asked.add(model_id)
        return seen is None or not seen.deployed_models

    wait(empty, bool, deadline=_EMPTY, what=f"emptying {name}")
    with suppress(NotFound), translated(f"deleting {path}", effect=True):
        endpoints.delete_endpoint(name=path)


def pipeline(session: Session, name: str) -> None:
    """The jobs of its runs; what they recorded stays in the bucket. Busy while one runs."""
    for job in jobs(session, name):
        with suppress(NotFound), translated(f"deleting {job.name}", effect=True):
            session.pipelines.delete_pipeline_job(name=job.name)


def model(session: Session, name: str) -> None:
    """With all its versions; the models' folders in the bucket stay."""
    path = f"{session.parent}/models/{dashed(session.name, name)}"
    with suppress(NotFound), translated(f"deleting {path}", effect=True):
        session.models.delete_model(name=path)


def store(session: Session, _name: str) -> None:
    """Once its views are gone, which takes them a moment."""

    def gone() -> bool:
        try:
            online.remove_store(session)
        except Busy:
            return False
        return True

    wait(gone, bool, deadline=_EMPTY, what="the end of the store's views")


def jobs(session: Session, name: str | None = None) -> Iterator[Any]:
    """The project's pipeline jobs, or those of one pipeline."""
    chosen = labelled(session.name) + (f" AND labels.{NAME_LABEL}={name}" if name else "")
    with translated("listing pipeline jobs"):
        yield from session.pipelines.list_pipeline_jobs(request={"parent": session.parent, "filter": chosen})


def endpoint_cost(session: Session, name: str) -> Decimal | None:
    """USD an hour of the replicas that there are at least; None: a machine's price is unknown."""
    there = _endpoint(session, name)
    replicas: dict[str, int] = {}
    for deployed in there.deployed_models if there is not None else ():
        resources = deployed.dedicated_resources
        machine = resources.machine_spec.machine_type
        replicas[machine] = replicas.get(machine, 0) + resources.min_replica_count
    return prices.total(session.location, replicas)


def _endpoint_path(session: Session, name: str) -> str:
    return f"{session.parent}/endpoints/{dashed(session.name, name)}"


def _endpoint(session: Session, name: str) -> Any | None:
    try:
        with translated(f"looking at endpoint {name}"):
            return session.endpoints.get_endpoint(name=_endpoint_path(session, name))
    except NotFound:
        return None
