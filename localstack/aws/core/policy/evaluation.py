"""The rights that calls need, and the least-privilege IAM policy of what was called.

Actions and resource types are those of AWS's Service Authorization Reference. What a call does not
name stays `*`.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from . import implied as policy_implied
from . import s3 as policy_s3
from .names import GLUE_INPUTS, NO_PERMISSION, PREFIXES, RESOURCES, ROLES

_ARN = re.compile(r"arn:aws[a-z-]*:[a-z0-9-]+:.+")
# from a UUID on, or from the id of a pipeline's execution in the name of its job
_NEW = re.compile(
    r"([0-9a-f]{8}(-?)[0-9a-f]{4}\2[0-9a-f]{4}\2[0-9a-f]{4}\2[0-9a-f]{12}"
    r"|(?<=-job/pipelines-)[a-z0-9]{12}-).*",
    re.DOTALL,
)
_MANY = 4  # from so many names of one kind on, they become a common prefix and *

# action, resource, the service that a role is passed to (else empty)
RequestedAction = tuple[str, str, str]


class AccessRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One call, as far as its permission is concerned."""

    service: str  # botocore's name
    operation: str
    params: Mapping[str, Any]
    account: str
    region: str
    by_athena: bool = False  # with its caller's rights


class Used:
    """The rights that were needed since the last reset. Thread-safe."""

    def __init__(self) -> None:
        self._grants: set[RequestedAction] = set()
        self._seen: set[tuple[str, str, str, tuple[str, ...]]] = set()
        self._lock = threading.Lock()

    def add(self, request: AccessRequest, names: tuple[str, ...]) -> None:
        """Record the IAM permissions that a call needed on the resources that `names` has."""
        key = (request.service, request.operation, f"{request.account}/{request.region}", names)
        # it comes thousands of times, and names all it uses at the top
        if request.service == "sagemaker-runtime" and key in self._seen:
            return
        needed = set(grants(request))
        with self._lock:
            self._grants |= needed
            self._seen.add(key)

    def clear(self) -> None:
        """Forget the permissions of all calls, after a reset."""
        with self._lock:
            self._grants.clear()
            self._seen.clear()

    def policy(self) -> dict[str, Any]:
        """Return the least-privilege IAM policy, a JSON document, for the calls so far."""
        with self._lock:
            return document(self._grants)


def grants(request: AccessRequest) -> Iterator[RequestedAction]:
    """Yield the IAM permissions, action and resource, that one API call needs."""
    service, operation, params = request.service, request.operation, request.params
    prefix = PREFIXES.get(service, service)
    if (service, operation) in NO_PERMISSION:
        return
    if service == "s3":
        yield from (
            (action, resource, "")
            for action, resource in policy_s3.grants(operation, params, folders=request.by_athena)
        )
        return
    named = sorted(set(_resources(request, params))) or ["*"]
    yield from (
        (action, resource, "") for action in _actions(request, prefix) for resource in named
    )
    if service == "athena":
        yield from _athena(request)
    if service == "application-autoscaling" and params.get("ServiceNamespace") == "sagemaker":
        yield from ((action, "*", "") for action in policy_implied.SCALING.get(operation, ()))
    if service in ROLES:
        for role in _roles(params):
            yield "iam:PassRole", role, f"{ROLES[service]}.amazonaws.com"


def _actions(request: AccessRequest, prefix: str) -> Iterator[str]:
    """Yield the IAM actions that a call needs on the resources that its parameters name.

    `prefix` is the service's name in IAM's actions.
    """
    yield f"{prefix}:{request.operation}"
    if (
        tagging := policy_implied.tagging(request.service, request.operation, request.params)
    ) is not None:
        yield tagging
    if request.by_athena and request.service == "glue":
        yield from policy_implied.ATHENAS_GLUE.get(request.operation, ())


def _athena(request: AccessRequest) -> Iterator[RequestedAction]:
    """Yield the permissions in S3 and Glue that a call of Athena's needs of its caller.

    Athena checks them before it runs anything.
    """
    if request.operation == "StartQueryExecution":
        yield from (
            (action, resource, "")
            for action, resource in policy_implied.result_grants(request.params)
        )
    if (operation := policy_implied.ATHENA_TO_GLUE.get(request.operation)) is not None:
        yield from grants(msgspec.structs.replace(request, service="glue", operation=operation))


def document(permissions: set[RequestedAction]) -> dict[str, Any]:
    """Return an IAM policy document with one statement for every set of resources.

    Actions and statements are in alphabetical order.
    """
    resources_of_action: dict[tuple[str, str], set[str]] = {}
    for action, resource, passed_to in permissions:
        resources_of_action.setdefault((action, passed_to), set()).add(resource)
    grouped: dict[tuple[tuple[str, ...], str], list[str]] = {}
    for (action, passed_to), resources in resources_of_action.items():
        grouped.setdefault((narrowed(resources), passed_to), []).append(action)
    statements = []
    for (named, passed_to), actions in sorted(grouped.items(), key=lambda item: sorted(item[1])):
        statement: dict[str, Any] = {
            "Effect": "Allow",
            "Action": sorted(actions),
            "Resource": list(named),
        }
        if passed_to:
            statement["Condition"] = {"StringEquals": {"iam:PassedToService": passed_to}}
        statements.append(statement)
    return {"Version": "2012-10-17", "Statement": statements}


def narrowed(resources: set[str]) -> tuple[str, ...]:
    """Return ARNs in alphabetical order, with many of one kind shortened to one pattern.

    The pattern is their common beginning, and `*`. What follows a UUID or an execution's id becomes
    `*`, too.
    """
    if "*" in resources:
        return ("*",)
    lasting = {_NEW.sub("*", resource) for resource in resources}
    kinds: dict[str, list[str]] = {}
    for resource in sorted(resource for resource in lasting if not _is_covered(resource, lasting)):
        kinds.setdefault(_resource_group(resource), []).append(resource)
    patterns: list[str] = []
    for kind, members in kinds.items():
        if len(members) < _MANY:
            patterns += members
            continue
        # of a sorted list: what its ends share, all share
        common = _common_prefix(members[0], members[-1])
        patterns.append(f"{common[: max(len(kind), _last_cut(common))]}*")
    return tuple(sorted(patterns))


def _is_covered(resource: str, others: set[str]) -> bool:
    """Return whether one of the other ARN patterns matches a resource, too."""
    return any(
        other.endswith("*") and other != resource and resource.startswith(other[:-1])
        for other in others
    )


def _common_prefix(first: str, last: str) -> str:
    """Return the common prefix of two ARNs."""
    return first[
        : next(
            (n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b),
            min(len(first), len(last)),
        )
    ]


def _resource_group(resource: str) -> str:
    """Return the part of an ARN by which resources are grouped: the bucket or the type."""
    start = resource.find("/")
    return resource if start < 0 else resource[: start + 1]


def _last_cut(text: str) -> int:
    """Return the position behind the last separator in an ARN, where a pattern may end."""
    return max(text.rfind(mark) for mark in "/-_=.") + 1


def _resources(request: AccessRequest, params: Mapping[str, Any]) -> Iterator[str]:
    """Yield the ARNs of the resources that a call's parameters name."""
    prefix = PREFIXES.get(request.service, request.service)
    base = f"arn:aws:{prefix}:{'' if prefix == 'iam' else request.region}:{request.account}:"
    if request.service == "glue":
        yield from _glue(base, request.operation, params)
        return
    types = RESOURCES.get(prefix, {})
    for key, value in params.items():
        if isinstance(value, str) and _ARN.fullmatch(value) and value.split(":")[2] == prefix:
            yield _lasting_arn(value, request.service)
        elif key in types:
            yield from (
                _resource(prefix, base + types[key], name)
                for name in (value if isinstance(value, list) else [value])
                if isinstance(name, str)
            )
        elif (
            key == "Identifiers"
            and isinstance(value, list)
            and request.service == "sagemaker-featurestore-runtime"
        ):
            yield from (resource for item in value for resource in _resources(request, item))
    if (request.service, request.operation) == (
        "athena",
        "StartQueryExecution",
    ) and "WorkGroup" not in params:
        yield f"{base}workgroup/primary"


def _resource(prefix: str, pattern: str, name: str) -> str:
    """Return the ARN of a resource by its name; a name that is an ARN is returned as it is.

    `pattern` is the ARN with a gap for the name. In SageMaker's ARNs, by `prefix`, names are in
    lower case.
    """
    return (
        name
        if _ARN.fullmatch(name)
        else pattern.format(name.lower() if prefix == "sagemaker" else name)
    )


def _lasting_arn(arn: str, service: str) -> str:
    """Return the ARN with * in place of an id that is generated anew each time.

    An execution of a pipeline becomes all executions of the pipeline.
    """
    if service == "sagemaker" and "/execution/" in arn:
        return f"{arn.split('/execution/', maxsplit=1)[0]}/execution/*"
    return arn


def _glue(base: str, operation: str, params: Mapping[str, Any]) -> Iterator[str]:
    """Yield the ARNs that Glue checks for a call: the catalog, the database, the table.

    `base` is the beginning of all Glue ARNs of the account and region.
    """
    yield f"{base}catalog"
    subject = "database" if "Database" in operation else "table"
    name = params.get("Name") or params.get("TableName")
    database = params.get("DatabaseName")
    for key in GLUE_INPUTS:
        if isinstance(params.get(key), Mapping):
            name = name or params[key].get("Name")
    if subject == "database":
        yield f"{base}database/{name or '*'}"
        return
    if database:
        yield f"{base}database/{database}"
        yield f"{base}table/{database}/{name or '*'}"


def _roles(value: object, key: str = "") -> Iterator[str]:
    """Yield the ARNs of the IAM roles that a request passes to a service (iam:PassRole).

    `value` is a part of the request, and `key` its name there.
    """
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _roles(item, str(name))
    elif isinstance(value, list):
        for item in value:
            yield from _roles(item, key)
    elif isinstance(value, str) and key.lower().endswith("rolearn") and ":role/" in value:
        yield value
