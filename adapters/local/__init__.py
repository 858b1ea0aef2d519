"""The laptop: files, DuckDB, SQLite and local processes. No account, no docker, no cloud SDK."""

from __future__ import annotations

from pathlib import Path

from ...target import Adapter, Engine, Packages, Target
from .capabilities import CAPABILITIES


def where(target: Target) -> str:
    """Return the folder that holds everything, as a command's first line says it."""
    home = Path(target.profile.options["home"])
    return f"{home.name if home.name.startswith('.') else home}/"


ADAPTER = Adapter(
    name="local",
    title="local",
    capabilities=CAPABILITIES,
    ports={
        "blobs": f"{__name__}.storage.blobs:LocalBlobStore",
        "state": f"{__name__}.storage.state:LocalStateStore",
        "inventory": f"{__name__}.inventory:LocalInventory",
        "events": f"{__name__}.events.log:LocalEventLog",
        "warehouse": f"{__name__}.warehouse.warehouse:LocalWarehouse",
        "online": f"{__name__}.online.store:LocalOnlineStore",
        "pipelines": f"{__name__}.pipelines.engine:LocalPipelineEngine",
        "registry": f"{__name__}.pipelines.registry:LocalModelRegistry",
        "endpoints": f"{__name__}.endpoints.host:LocalEndpointHost",
        "counters": f"{__name__}.storage.counters:LocalCounters",
        "metrics": f"{__name__}.telemetry.metrics:LocalMetricSource",
        "logs": f"{__name__}.telemetry.logs:LocalLogSource",
        "native": f"{__name__}.home:home",
        "endpoint_service": f"{__name__}.endpoints.service:LocalEndpointService",
        "traffic_script": f"{__name__}.telemetry.traffic_script:LocalTrafficScript",
    },
    needs=Packages(modules=("duckdb", "pyarrow", "starlette", "uvicorn"), install="isthmus"),
    options=f"{__name__}.options:KEYS",
    engine=Engine(name="DuckDB", dialect=f"{__name__}.sql"),
    where=f"{__name__}:where",
    sweep=f"{__name__}.warehouse.upkeep:sweep",
    examine=f"{__name__}.warehouse.upkeep:examine",
    remote=False,
)
