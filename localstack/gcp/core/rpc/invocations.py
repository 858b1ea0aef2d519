"""What a call asks for: its RPC's short name, what it names, and who answers it."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

import msgspec

from ..registry import RPCS, Call, GcpError
from . import methods as table

READS = re.compile(
    r"((Batch)?Get|List|Search|Query|Fetch|Predict|RawPredict|ServerStreamingPredict|StreamRawPredict|Explain|Pull|Wait|Read|Test|Streaming)"
)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the log and the faults know of a call."""

    service: str
    operation: str
    names: tuple[str, ...]
    mutating: bool


def handler_of(method: table.Method) -> Callable[..., Any]:
    """Its handler; for what nobody answers, one that says so."""
    rpc = RPCS.get(method.name)
    return rpc.handler if rpc is not None else not_there(method.name)


def not_there(name: str) -> Callable[..., Any]:
    def refuse(call: Call, request: Any) -> Any:  # noqa: ARG001  a handler's
        raise GcpError(
            "UNIMPLEMENTED",
            f"{name} is not supported by the offline GCP yet",
            reason="notImplemented",
        )

    return refuse


def asked_of(method: table.Method, message: Any) -> Asked:
    operation, mutating = _operation(method.name)
    return Asked(
        service=method.api.service, operation=operation, names=_names(message), mutating=mutating
    )


@functools.cache
def _operation(rpc: str) -> tuple[str, bool]:
    """EndpointService.GetEndpoint of an RPC's whole name, and whether it changes anything."""
    service, name = rpc.rsplit(".", 2)[1:]
    return f"{service}.{name}", not READS.match(name)


def _names(message: Any) -> tuple[str, ...]:
    """The names and ids at the top of a request and of the resource in it, whole and by their last
    part.
    """
    names = []
    for field, below in _named_fields(message.DESCRIPTOR) if message is not None else ():
        value = getattr(message, field)
        if name := value.name if below else value:
            names.append(name)
    return tuple(
        dict.fromkeys([*names, *(name.rpartition("/")[2] for name in names if "/" in name)])
    )


@functools.cache
def _named_fields(descriptor: Any) -> tuple[tuple[str, bool], ...]:
    """The fields of a message that name something, in their order: texts, and (True) resources with
    a name.
    """
    fields = []
    for field in sorted(descriptor.fields, key=lambda field: field.number):
        if field.is_repeated:
            continue
        if field.type == field.TYPE_STRING:
            fields.append((field.name, False))
        elif field.type == field.TYPE_MESSAGE:
            name = field.message_type.fields_by_name.get("name")
            if name is not None and name.type == name.TYPE_STRING and not name.is_repeated:
                fields.append((field.name, True))
    return tuple(fields)
