"""The laptop: files, DuckDB, SQLite and local processes. No account, no docker, no cloud SDK."""

from __future__ import annotations

from ...target import Adapter, Engine, Packages
from .capabilities import CAPABILITIES
from .hooks import Options, Place, Upkeep

ADAPTER = Adapter(
    name="local",
    title="local",
    capabilities=CAPABILITIES,
    ports={
        "blobs": f"{__name__}.storage.blobs:LocalBlobStore",
        "state": f"{__name__}.storage.state:LocalStateStore",
        "inventory": f"{__name__}.inventory:LocalInventory",
        "events": f"{__name__}.events.log:LocalEventLog",
        "event_source": f"{__name__}.events.source:LocalEventSource",
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
    engine=Engine(name="DuckDB", dialect=f"{__name__}.sql"),
    remote=False,
    options=Options(),
    located=Place(),
    maintained=Upkeep(),
)
