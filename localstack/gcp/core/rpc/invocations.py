"""A call as data: its short name, the resources it names, and the handler that answers it."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

import msgspec

from ..call import Call
from ..errors import GcpError
from ..registry import RPCS
from .apis import GoogleApi
from .methods import RpcMethod

READS = re.compile(
    r"((Batch)?Get|List|Search|Query|Fetch|Predict|RawPredict|ServerStreamingPredict|StreamRawPredict|Explain|Pull|Wait|Read|Test|Streaming)"
)


class Invocation(msgspec.Struct, frozen=True, kw_only=True):
    """A call as the log and the faults know it."""

    api: GoogleApi
    operation: str
    names: tuple[str, ...]
    mutating: bool

    @property
    def service(self) -> str:
        """The API's name as the log of calls and the faults write it."""
        return self.api.service


def handler_of(method: RpcMethod) -> Callable[..., Any]:
    """Return an RPC's handler, or one that answers UNIMPLEMENTED."""
    rpc = RPCS.get(method.name)
    return rpc.handler if rpc is not None else unsupported(method.name)


def unsupported(name: str) -> Callable[..., Any]:
    """Return a handler that refuses a call as not supported."""

    def refuse(call: Call, request: Any) -> Any:  # noqa: ARG001  a handler's
        raise GcpError(
            "UNIMPLEMENTED",
            f"{name} is not supported by the offline GCP yet",
            reason="notImplemented",
        )

    return refuse


def invocation_of(method: RpcMethod, message: Any) -> Invocation:
    """Return a call of an RPC as an Invocation (API, operation, resources), for log and faults."""
    operation, mutating = _operation(method.name)
    return Invocation(api=method.api, operation=operation, names=_names(message), mutating=mutating)


@functools.cache
def _operation(rpc: str) -> tuple[str, bool]:
    """Return an RPC's operation as "Service.Method", and whether the RPC changes anything."""
    service, name = rpc.rsplit(".", 2)[1:]
    return f"{service}.{name}", not READS.match(name)


def _names(message: Any) -> tuple[str, ...]:
    """Return the resource names that a request mentions, each in full and by its last segment.

    Faults and the log select calls by them.

    Each is there as a whole and by its last part. Only the fields at the top of the request and the
    name of a resource in it count.
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
    """Return the fields of a message that may name a resource.

    Each comes with True if it is a nested resource that has a name, or False if it is a text.
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
