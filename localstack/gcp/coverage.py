"""What the stack does with every RPC and route of the APIs that it covers: executes, stores only, not there."""

from __future__ import annotations

from typing import Literal

import msgspec

from . import handler_modules, table
from .registry import ROUTES, RPCS

Level = Literal["executes", "stores only", "not there"]


class Covered(msgspec.Struct, frozen=True, kw_only=True):
    service: str
    operation: str
    level: Level


def coverage() -> list[Covered]:
    """In the order of services and operations. It imports every package."""
    for package in handler_modules.MODULES:
        handler_modules.load(package)
    rows = {}
    for api in table.APIS:
        for method in table.methods(api) if api.module else ():
            rpc = RPCS.get(method.name)
            level: Level = "not there" if rpc is None else "executes" if rpc.executes else "stores only"
            rows[api.service, method.operation] = level
    for route in ROUTES:
        service = route.operation.partition(".")[0]
        if service in ("storage", "bigquery"):
            rows[service, route.operation] = "executes" if route.executes else "stores only"
    return [Covered(service=service, operation=operation, level=level) for (service, operation), level in sorted(rows.items())]
