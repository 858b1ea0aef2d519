"""Amazon SageMaker, with S3, Glue, Athena, Kinesis, Firehose, CloudWatch and DynamoDB.

boto3 is imported with the first port.
"""

from __future__ import annotations

from ...target import STACK_PACKAGE, Adapter, Engine, Offline, Packages
from .capabilities import CAPABILITIES
from .hooks import (
    AccountChecks,
    Adoption,
    JobPrices,
    NativeObjects,
    Options,
    Place,
    Prices,
    TagSearch,
)

ADAPTER = Adapter(
    name="sagemaker",
    title="SageMaker",
    capabilities=CAPABILITIES,
    ports={
        "blobs": f"{__name__}.storage.blobs:S3BlobStore",
        "state": f"{__name__}.storage.state:state",
        "inventory": f"{__name__}.resources.inventory:AwsInventory",
        "events": f"{__name__}.events.log:KinesisEventLog",
        "event_source": f"{__name__}.events.source:KinesisEventSource",
        "sources": f"{__name__}.warehouse.sources:AwsSources",
        "warehouse": f"{__name__}.warehouse.warehouse:AthenaWarehouse",
        "online": f"{__name__}.online.store:FeatureStoreOnline",
        "pipelines": f"{__name__}.pipelines.engine:SageMakerPipelines",
        "registry": f"{__name__}.pipelines.registry:SageMakerRegistry",
        "endpoints": f"{__name__}.endpoints.host:SageMakerEndpoints",
        "counters": f"{__name__}.storage.counters:DynamoCounters",
        "metrics": f"{__name__}.telemetry.metrics:CloudWatchMetrics",
        "logs": f"{__name__}.telemetry.logs:CloudWatchLogs",
        "native": f"{__name__}.session:native",
        "traffic_script": f"{__name__}.telemetry.traffic_script:StackTrafficScript",
    },
    needs=Packages(modules=("boto3", "duckdb", "pyarrow"), install="isthmus[sagemaker]"),
    engine=Engine(name="Athena", dialect=f"{__name__}.sql"),
    scheme="s3",
    sources=("s3", "athena"),
    offline=Offline(
        cloud="aws",
        variables=("AWS_ENDPOINT_URL",),
        needs=Packages(
            modules=("isthmus_stack", "moto", "flask", "waitress", "boto3"),
            install=STACK_PACKAGE.format("aws"),
        ),
        image="isthmus",
    ),
    options=Options(),
    located=Place(),
    priced=Prices(),
    jobs_priced=JobPrices(),
    adoptable=Adoption(),
    native=NativeObjects(),
    account_checked=AccountChecks(),
    tags_searched=TagSearch(),
)
