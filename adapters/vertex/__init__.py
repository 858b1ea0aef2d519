"""Google Vertex AI, with Storage, BigQuery, Pub/Sub, Firestore, Monitoring and Logging.

Google's clients are imported with the first port.
"""

from __future__ import annotations

from ...target import STACK_PACKAGE, Adapter, Engine, Offline, Packages
from .capabilities import CAPABILITIES
from .hooks import (
    Adoption,
    FixedSettings,
    JobPrices,
    NativeObjects,
    Options,
    Place,
    Prices,
    TagSearch,
)

_CLIENTS = (
    "google.cloud.aiplatform_v1",
    "google.cloud.bigquery",
    "google.cloud.bigquery_storage_v1",
    "google.cloud.firestore_v1",
    "google.cloud.logging_v2",
    "google.cloud.monitoring_v3",
    "google.cloud.pubsub_v1",
    "google.cloud.storage",
)

ADAPTER = Adapter(
    name="vertex",
    title="Vertex AI",
    capabilities=CAPABILITIES,
    ports={
        "blobs": f"{__name__}.storage.blobs:GcsBlobStore",
        "state": f"{__name__}.storage.state:state",
        "inventory": f"{__name__}.resources.inventory:VertexInventory",
        "events": f"{__name__}.events.log:PubSubEventLog",
        "event_source": f"{__name__}.events.source:PubSubEventSource",
        "sources": f"{__name__}.warehouse.sources:GoogleSources",
        "warehouse": f"{__name__}.warehouse.warehouse:BigQueryWarehouse",
        "online": f"{__name__}.online.store:VertexFeatures",
        "pipelines": f"{__name__}.pipelines.engine:VertexPipelines",
        "registry": f"{__name__}.pipelines.registry:VertexRegistry",
        "endpoints": f"{__name__}.endpoints.host:VertexEndpoints",
        "counters": f"{__name__}.storage.counters:FirestoreCounters",
        "metrics": f"{__name__}.telemetry.metrics:CloudMonitoring",
        "traffic_script": f"{__name__}.telemetry.traffic_script:StackTrafficScript",
        "logs": f"{__name__}.telemetry.logs:CloudLogging",
        "native": f"{__name__}.session:native",
    },
    needs=Packages(modules=(*_CLIENTS, "duckdb", "pyarrow"), install="isthmus[vertex]"),
    engine=Engine(name="BigQuery", dialect=f"{__name__}.sql"),
    scheme="gs",
    sources=("gs", "bigquery"),
    offline=Offline(
        cloud="gcp",
        variables=("GCP_ENDPOINT_URL",),
        needs=Packages(
            modules=("isthmus_stack", *_CLIENTS, "cryptography", "grpc", "httptools"),
            install=STACK_PACKAGE.format("gcp"),
        ),
        image="isthmus",
        address=f"{__name__}.backend:address",
    ),
    options=Options(),
    located=Place(),
    priced=Prices(),
    jobs_priced=JobPrices(),
    adoptable=Adoption(),
    native=NativeObjects(),
    fixed=FixedSettings(),
    tags_searched=TagSearch(),
)
