"""The scalable targets that the stack keeps, their policies and what these did."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from ...core import paging
from ...core.registry import AwsError, Context

T = TypeVar("T")
SERVICE, NAMESPACE, DIMENSION = (
    "application-autoscaling",
    "sagemaker",
    "sagemaker:variant:DesiredInstanceCount",
)
_RESOURCE = re.compile(r"endpoint/([^/]+)/variant/([^/]+)")
_PAGE = 50  # things


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A variant that may be scaled."""

    resource: str
    endpoint: str
    variant: str
    arn: str
    created: datetime
    least: int
    most: int
    suspended: dict[str, bool] = {}


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """A scaling policy of a target."""

    name: str
    arn: str
    resource: str
    kind: str  # TargetTrackingScaling or StepScaling
    settings: dict[str, Any]  # its configuration
    alarms: tuple[str, ...]  # names of those that are its own: high, low
    created: datetime


class Activity(msgspec.Struct, kw_only=True):
    """A change of a variant's count."""

    id: str
    resource: str
    cause: str
    before: int
    wanted: int
    started: datetime
    ended: datetime | None = None
    status: str = "InProgress"
    message: str = ""


class Scheduled(msgspec.Struct, frozen=True, kw_only=True):
    """A scheduled action."""

    name: str
    arn: str
    resource: str
    schedule: str
    zone: str | None
    start: datetime | None
    end: datetime | None
    numbers: dict[str, int]  # MinCapacity, MaxCapacity or both
    created: datetime


class Scaling:
    """The targets, policies, actions and activities of one account and region."""

    def __init__(self) -> None:
        self.targets: dict[str, Target] = {}  # by resource
        self.policies: dict[tuple[str, str], Policy] = {}  # by resource and name
        self.scheduled: dict[tuple[str, str], Scheduled] = {}  # by resource and name
        self.activities: list[Activity] = []  # the latest last
        self.lock = threading.RLock()

    def policies_of(self, resource: str) -> list[Policy]:
        """Return the scaling policies of a target, given its ResourceId."""
        return [policy for policy in list(self.policies.values()) if policy.resource == resource]


def refusal(message: str) -> AwsError:
    """Return a ValidationException of Application Auto Scaling with this message."""
    return AwsError("ValidationException", message)


def is_about_endpoints(ctx: Context, params: dict[str, Any]) -> bool:
    """Return whether a request is about SageMaker endpoints, which the stack itself scales.

    moto answers the others, and with --moto-answers every request: the result is False.

    Raises:
        AwsError: It is about something of SageMaker that the stack does not scale.
    """
    if params["ServiceNamespace"] != NAMESPACE or ctx.moto_answers:
        return False
    dimension = params.get("ScalableDimension")
    if dimension is not None and dimension != DIMENSION:
        raise refusal(f"The local stack scales {DIMENSION} alone, not {dimension}.")
    return True


def answer_of_moto(ctx: Context, params: dict[str, Any], operation: str) -> dict[str, Any]:
    """Return moto's canned answer to a request that is not about endpoints.

    Raises:
        AwsError: The stack was started without --moto-answers.
    """
    if ctx.moto_answers:
        return ctx.forward()
    words = (
        f"the AWS stack does not execute {SERVICE}:{operation} for {params['ServiceNamespace']} yet"
    )
    raise AwsError("NotImplemented", f"{words}; --moto-answers gives moto's canned answer", 501)


def names(resource: str) -> tuple[str, str]:
    """Return (endpoint, variant), which a ResourceId of a scalable target names."""
    match = _RESOURCE.fullmatch(resource)
    if match is None:
        raise refusal("Unsupported service namespace, resource type or scalable dimension")
    return match[1], match[2]


def missing(what: str, params: dict[str, Any], *more: str) -> AwsError:
    """Return the ObjectNotFoundException for a target, policy or action that does not exist.

    `what` names its kind, and `more` adds to the message.
    """
    place = f"service namespace: {params['ServiceNamespace']}, resource ID: {params['ResourceId']}"
    named = "".join(f", {words}" for words in more)
    return AwsError(
        "ObjectNotFoundException",
        f"No {what} for {place}, scalable dimension: {params['ScalableDimension']}{named}",
    )


def page(
    things: list[T], params: dict[str, Any], key: str, shown: Callable[[T], dict[str, Any]]
) -> dict[str, Any]:
    """Return one page of a Describe operation's items, with the NextToken.

    `key` is the items' name in the response, and `shown` returns an item as the API has it.
    """
    page_params = params | {"MaxResults": min(params.get("MaxResults") or _PAGE, _PAGE)}
    part, more = paging.page(
        things,
        page_params,
        _PAGE,
        AwsError("InvalidNextTokenException", "The next token is not valid."),
    )
    return {key: [shown(thing) for thing in part], **more}


def common(resource: str) -> dict[str, Any]:
    """Return the members (namespace, ResourceId ...) that every description in the API has."""
    return {"ServiceNamespace": NAMESPACE, "ResourceId": resource, "ScalableDimension": DIMENSION}
