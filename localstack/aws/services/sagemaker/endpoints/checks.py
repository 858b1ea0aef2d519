"""Refusals of configurations beyond the constraints of their model.

They are in SageMaker's words where these are known; core/protocol/constraints.py has the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ....core.registry import AwsError, Context


def refusal(message: str) -> AwsError:
    """Return SageMaker's ValidationException with this message."""
    return AwsError("ValidationException", message)


def arn(ctx: Context, kind: str, name: str) -> str:
    """Return the ARN of a SageMaker resource, such as an endpoint, of this kind and name."""
    return f"arn:aws:sagemaker:{ctx.region}:{ctx.account}:{kind}/{name}"


def variants(production: Sequence[Mapping[str, Any]], shadow: Sequence[Mapping[str, Any]]) -> None:
    """Check the production and shadow variants of an endpoint configuration.

    Raises:
        AwsError: SageMaker refuses them.
    """
    if shadow and (len(production) != 1 or len(shadow) != 1):
        raise refusal(
            "An endpoint with shadow variants must have exactly one production variant and "
            "one shadow variant."
        )
    names: set[str] = set()
    for variant in (*production, *shadow):
        if variant["VariantName"] in names:
            raise refusal(
                "Variant names must be unique within an endpoint configuration: "
                f"'{variant['VariantName']}' is there twice."
            )
        names.add(variant["VariantName"])
        _variant(variant)


def capture(config: Mapping[str, Any] | None) -> None:
    """Check the DataCaptureConfig of an endpoint configuration; None: there is none to check.

    Raises:
        AwsError: SageMaker refuses it.
    """
    if config and not config["DestinationS3Uri"].startswith("s3://"):
        raise refusal(f"DestinationS3Uri '{config['DestinationS3Uri']}' is not an S3 URI.")


def _variant(variant: Mapping[str, Any]) -> None:
    """Raise an error if one variant of an endpoint configuration is not valid."""
    label = variant["VariantName"]
    if not variant.get("ModelName"):
        raise refusal(
            f"Variant '{label}' names no model; the local stack has no inference components."
        )
    pools = ("InstanceType", "ServerlessConfig", "InstancePools")
    if not any(variant.get(key) for key in pools):
        raise refusal(f"Variant '{label}' must specify one of InstanceType and ServerlessConfig.")
    if variant.get("ServerlessConfig") and variant.get("InstanceType"):
        raise refusal(f"Variant '{label}' cannot specify both InstanceType and ServerlessConfig.")
    memory = (variant.get("ServerlessConfig") or {}).get("MemorySizeInMB")
    if memory is not None and memory not in range(1024, 6145, 1024):
        raise refusal(
            f"1 validation error detected: Value '{memory}' at 'MemorySizeInMB' failed to satisfy "
            "constraint: Member must satisfy enum value set: [1024, 2048, 3072, 4096, 5120, "
            "6144]"
        )
