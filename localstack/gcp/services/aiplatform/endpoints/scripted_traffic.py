"""Scripted traffic: metrics of deployed models for requests that nobody sent."""

from __future__ import annotations

from .....core.minutes import Minutes
from ....core.call import Call
from ...monitoring import online_prediction
from .records import Endpoints, HostedEndpoint


def add_scripted_minutes(call: Call, scripted: Minutes) -> None:
    """Add minutes of traffic that a test invented to an endpoint's prediction metrics.

    `endpoint` is a name or an id; a minute's `variant` is a DeployedModel's id.

    Raises:
        ValueError: There is no such endpoint or model; nothing was added.
    """
    hosted = _endpoint(call, scripted.endpoint)
    if unknown := sorted({minute.variant for minute in scripted.minutes} - set(hosted.targets)):
        raise ValueError(
            f"{hosted.name} has no DeployedModel {', '.join(unknown)}: it has "
            f"{', '.join(hosted.targets)}"
        )
    for minute in scripted.minutes:
        for status, latency in minute.answers:
            online_prediction.record_request(
                call,
                hosted.name,
                minute.variant,
                status=status,
                milliseconds=latency,
                predictions=1,
                received_at=minute.start,
            )


def _endpoint(call: Call, name: str) -> HostedEndpoint:
    """Return the record of an endpoint by name or id; raise ValueError if there is none."""
    number = name.rpartition("/")[2]
    for hosted in call.store(Endpoints).by_name.values():
        if hosted.name.rpartition("/")[2] == number:
            return hosted
    raise ValueError(f"there is no endpoint {name}")
