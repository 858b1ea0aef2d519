"""The laptop: files, DuckDB, SQLite and local processes. No account, no docker, no cloud SDK."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from ...target import Capability, Target
from .capabilities import CAPABILITIES

# port -> module below this package, and the class or function that takes the Target
_PORTS = {
    "blobs": ("blobs", "LocalBlobStore"),
    "state": ("state", "LocalStateStore"),
    "inventory": ("inventory", "LocalInventory"),
    "events": ("events", "LocalEventLog"),
    "warehouse": ("warehouse", "LocalWarehouse"),
    "online": ("online", "LocalOnlineStore"),
    "pipelines": ("pipelines", "LocalPipelineEngine"),
    "registry": ("registry", "LocalModelRegistry"),
    "endpoints": ("endpoints", "LocalEndpointHost"),
    "metrics": ("metrics", "LocalMetricSource"),
    "logs": ("logs", "LocalLogSource"),
    "native": ("home", "home"),
}


def _factory(module: str, name: str) -> Callable[[Target], Any]:
    return lambda target: getattr(import_module(f"{__name__}.{module}"), name)(target)  # noqa: PLW0108  deferred: a port's module is imported on first touch


class _LocalAdapter:
    capabilities: Mapping[str, Capability] = CAPABILITIES
    ports: Mapping[str, Callable[[Target], Any]] = {port: _factory(*where) for port, where in _PORTS.items()}

    def missing(self) -> tuple[str, ...]:
        return tuple(name for name in ("duckdb", "pyarrow", "starlette", "uvicorn") if find_spec(name) is None)


ADAPTER = _LocalAdapter()
