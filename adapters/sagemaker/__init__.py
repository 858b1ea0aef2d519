"""Amazon SageMaker, and what it stands on: S3, Glue, Athena, Kinesis, Firehose, CloudWatch. Lazy: boto3 comes with the first port."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from ...target import Capability, Estimate, Profile, Target
from .capabilities import CAPABILITIES

if TYPE_CHECKING:
    from ...endpoints.port import VariantSpec

# port -> module below this package, and the class or function that takes the Target
_PORTS = {
    "blobs": ("blobs", "S3BlobStore"),
    "state": ("state", "S3StateStore"),
    "inventory": ("inventory", "AwsInventory"),
    "events": ("events", "KinesisEventLog"),
    "warehouse": ("warehouse", "AthenaWarehouse"),
    "online": ("online", "FeatureStoreOnline"),
    "pipelines": ("pipelines", "SageMakerPipelines"),
    "registry": ("registry", "SageMakerRegistry"),
    "endpoints": ("endpoints", "SageMakerEndpoints"),
    "metrics": ("metrics", "CloudWatchMetrics"),
    "logs": ("logs", "CloudWatchLogs"),
    "native": ("session", "native"),
}


def _factory(module: str, name: str) -> Callable[[Target], Any]:
    return lambda target: getattr(import_module(f"{__name__}.{module}"), name)(target)  # noqa: PLW0108  deferred: a port's module is imported on first touch


class _SageMakerAdapter:
    capabilities: Mapping[str, Capability] = CAPABILITIES
    ports: Mapping[str, Callable[[Target], Any]] = {port: _factory(*where) for port, where in _PORTS.items()}

    def missing(self) -> tuple[str, ...]:
        return tuple(name for name in ("boto3", "duckdb", "pyarrow") if find_spec(name) is None)

    def estimate(self, profile: Profile, variants: Sequence[VariantSpec]) -> Estimate:
        """What variants would cost once deployed (targets.estimate)."""
        from .prices import estimate

        return estimate(profile, variants)

    def where(self, target: Target) -> str:
        """Account, region, offline or not, bucket (targets.where)."""
        from .session import where

        return where(target)


ADAPTER = _SageMakerAdapter()
