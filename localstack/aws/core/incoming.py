"""A request, as far as it can be understood before a handler has it."""

from __future__ import annotations

from typing import Any

import msgspec

from .caller import Caller
from .moto_internals import OperationModel, Request

UNKNOWN = "?"
INTERNAL = "isthmus.internal"  # in the environ of what the stack asks itself


class IncomingRequest(msgspec.Struct, kw_only=True):
    """A request: who sends it, to which service, for which operation, with what parameters."""

    environ: dict[str, Any]
    account: str
    region: str
    caller: Caller
    service: str  # botocore's name, or what the signature says
    operation: str = UNKNOWN
    model: OperationModel | None = None  # None: no such operation, or no such service
    request: Request | None = None  # None: its parameters were read without moto's router
    url_params: dict[str, Any] = {}
    params: dict[str, Any] | None = None  # None: not read yet

    @property
    def is_internal(self) -> bool:
        """Whether the stack asks itself, as when Firehose reads a stream."""
        return INTERNAL in self.environ
