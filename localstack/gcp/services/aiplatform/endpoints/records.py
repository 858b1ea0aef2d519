"""The state of endpoints: their messages, their servers, and the routing of their traffic."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
from google.cloud.aiplatform_v1.types import Endpoint

from .....serving.model_server import ModelServer
from .....serving.weights import Choice, choice
from ....core.call import Call
from ....core.errors import GcpError, invalid
from ....core.projects import canonical
from .. import etags

EndpointPb = Endpoint.pb()
_NAME = re.compile(r"(projects/[^/]+/locations/[^/]+)/endpoints/([^/]+)")


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A deployed model to which a request may go."""

    id: str  # of the DeployedModel
    model: str
    version: str
    display_name: str  # of the model
    predict_route: str
    server: ModelServer


class Routing(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot of an endpoint's traffic.

    A request under way keeps its snapshot while another one takes its place.
    """

    endpoint: str
    display_name: str
    by_traffic: Choice[Target]
    max_bytes: int  # of a request
    logging: Any = None  # PredictRequestResponseLoggingConfig, where it is enabled
    dedicated: bool = False


class HostedEndpoint:
    """One endpoint. Hold its lock to read, decide and write."""

    def __init__(self, message: Any) -> None:
        self.message = message
        self.targets: dict[str, Target] = {}  # by DeployedModel's id
        self.pending: dict[str, str] = {}  # being deployed: id -> the version's name
        self.changes = 0
        self.deleted = False
        self.stale: tuple[datetime, Any, str] | None = (
            None  # what readers see until then (the fault eventual-consistency), its revision
        )
        self.lock = threading.RLock()
        self.routing = self._routing()

    @property
    def name(self) -> str:
        """The endpoint's full name."""
        name: str = self.message.name
        return name

    @property
    def revision(self) -> str:
        """The name of the endpoint's current state, from which etags are made; changes renew it."""
        return f"{self.name} {self.message.create_time.ToJsonString()} {self.changes}"

    def note_change(self, call: Call) -> None:
        """Give a changed endpoint a new revision and update time, and route by its new state."""
        self.changes += 1
        self.message.update_time.CopyFrom(call.now_pb())
        self.routing = self._routing()

    def deployed(self, number: str) -> Any | None:
        """Return the endpoint's DeployedModel of this id, or None."""
        return next(
            (deployed for deployed in self.message.deployed_models if deployed.id == number), None
        )

    def _routing(self) -> Routing:
        """Return where the endpoint sends requests: models by share, size limit and logging."""
        message = self.message
        config = message.predict_request_response_logging_config
        return Routing(
            endpoint=message.name,
            display_name=message.display_name,
            by_traffic=choice(
                (target, float(message.traffic_split.get(number, 0)))
                for number, target in self.targets.items()
            ),
            max_bytes=_DEDICATED_BYTES if message.dedicated_endpoint_enabled else _SHARED_BYTES,
            logging=config if config.enabled else None,
            dedicated=message.dedicated_endpoint_enabled,
        )


_DEDICATED_BYTES = 10_000_000  # Choose an endpoint type: 10 MB and 1.5 MB a request
_SHARED_BYTES = 1_500_000


class Endpoints:
    """The endpoints of one stack, by name."""

    def __init__(self) -> None:
        self.by_name: dict[str, HostedEndpoint] = {}
        self.lock = threading.RLock()


def location_of(name: str) -> str:
    """Return the location in a resource's full name, such as us-central1."""
    return name.split("/")[3]


def require_endpoint(call: Call, name: str) -> HostedEndpoint:
    """Return the record of the endpoint of that name.

    Raises:
        GcpError: The name is not an endpoint's, or there is no such endpoint.
    """
    by_name = call.store(Endpoints).by_name
    if (
        hosted_as_named := by_name.get(name)
    ) is not None:  # as we wrote it ourselves: what a prediction asks with
        return hosted_as_named
    full = canonical(call, name)
    if not _NAME.fullmatch(full):
        raise invalid(
            f"{name!r} is not the name of an endpoint: projects/P/locations/L/endpoints/E."
        )
    hosted = by_name.get(full)
    if hosted is None:
        raise GcpError("NOT_FOUND", f"The Endpoint does not exist: {full}")
    return hosted


def show_former_state(call: Call, hosted: HostedEndpoint) -> None:
    """Keep an endpoint's present state as what reads show for a while; call it before a change.

    It does so only while the fault for eventual consistency is set.
    """
    fault = call.fault("eventual-consistency", hosted.name.rpartition("/")[2])
    if fault is not None:
        with hosted.lock:
            until = call.clock.now() + timedelta(seconds=fault.seconds)
            hosted.stale = until, _copy(hosted.message), hosted.revision


def visible_copy(call: Call, hosted: HostedEndpoint) -> Any:
    """Return a copy of an endpoint as GetEndpoint and ListEndpoints now show it.

    It may be a former state; see `show_former_state`.
    """
    if hosted.stale is not None and call.clock.now() < hosted.stale[0]:
        return _read(call, *hosted.stale[1:])
    return current_copy(call, hosted)


def current_copy(call: Call, hosted: HostedEndpoint) -> Any:
    """Return a copy of an endpoint's current message, though reads may still show a former one."""
    with hosted.lock:
        return _read(call, hosted.message, hosted.revision)


def _read(call: Call, message: Any, revision: str) -> Any:
    """Return a copy of an endpoint's message with a new etag for the state named `revision`.

    Each read of the real service has another etag: see etags.py.

    Recorded of the real service: see etags.py.
    """
    read = _copy(message)
    read.etag = etags.fresh(revision)
    for deployed in read.deployed_models:
        if deployed.HasField("status"):
            deployed.status.last_update_time.CopyFrom(call.now_pb())
    return read


def _copy(message: Any) -> Any:
    """Return a copy of an Endpoint message."""
    copy = EndpointPb()
    copy.CopyFrom(message)
    return copy


def check_split(
    split: Mapping[str, int], deployed: Mapping[str, Any] | set[str], *, endpoint: str
) -> None:
    """Raise INVALID_ARGUMENT for a traffic split that is not valid for the deployed models.

    It must give whole percents that sum to 100 to known models, or be empty. `endpoint` is named in
    the error.
    """
    if unknown := sorted(set(split) - set(deployed)):
        raise invalid(f"traffic_split: {', '.join(unknown)}: no such DeployedModel in {endpoint}.")
    if wrong := {key: percent for key, percent in split.items() if not 0 <= percent <= 100}:
        raise invalid(f"traffic_split: {wrong}: a percentage is between 0 and 100.")
    if split and sum(split.values()) != 100:
        raise invalid(
            f"traffic_split: the percentages must add up to 100, not to {sum(split.values())}."
        )
