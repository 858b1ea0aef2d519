"""What SageMaker refuses in names and configurations, in its words (botocore's constraints; texts where they are known)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..registry import AwsError, Context

_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")


def refused(message: str) -> AwsError:
    return AwsError("ValidationException", message)


def arn(ctx: Context, kind: str, name: str) -> str:
    return f"arn:aws:sagemaker:{ctx.region}:{ctx.account}:{kind}/{name}"


def name(value: str, member: str) -> None:
    if len(value) > 63:
        raise _constraint(value, member, "Member must have length less than or equal to 63")
    if not _NAME.fullmatch(value):
        raise _constraint(value, member, r"Member must satisfy regular expression pattern: ^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")


def variants(production: Sequence[Mapping[str, Any]], shadow: Sequence[Mapping[str, Any]]) -> None:
    if not 1 <= len(production) <= 10:
        raise refused(f"An endpoint configuration has 1 to 10 production variants, not {len(production)}.")
    if shadow and (len(production) != 1 or len(shadow) != 1):
        raise refused("An endpoint with shadow variants must have exactly one production variant and one shadow variant.")
    seen: set[str] = set()
    for position, variant in enumerate((*production, *shadow), 1):
        name(variant["VariantName"], f"productionVariants.{position}.member.variantName")
        if variant["VariantName"] in seen:
            raise refused(f"Variant names must be unique within an endpoint configuration: '{variant['VariantName']}' is there twice.")
        seen.add(variant["VariantName"])
        _variant(variant)


def capture(config: Mapping[str, Any] | None) -> None:
    if not config:
        return
    if not 0 <= config["InitialSamplingPercentage"] <= 100:
        raise refused(f"InitialSamplingPercentage must be between 0 and 100, not {config['InitialSamplingPercentage']}.")
    if not config["DestinationS3Uri"].startswith("s3://"):
        raise refused(f"DestinationS3Uri '{config['DestinationS3Uri']}' is not an S3 URI.")
    for option in config.get("CaptureOptions") or ():
        if option["CaptureMode"] not in ("Input", "Output", "InputAndOutput"):
            raise refused(f"CaptureMode '{option['CaptureMode']}' is not one of [Input, Output, InputAndOutput].")


def _variant(variant: Mapping[str, Any]) -> None:
    label = variant["VariantName"]
    weight = variant.get("InitialVariantWeight", 1.0)
    if not weight >= 0:
        raise _constraint(weight, "initialVariantWeight", "Member must have value greater than or equal to 0")
    if not variant.get("ModelName"):
        raise refused(f"Variant '{label}' names no model; the local stack has no inference components.")
    pools = ("InstanceType", "ServerlessConfig", "InstancePools")
    if not any(variant.get(key) for key in pools):
        raise refused(f"Variant '{label}' must specify one of InstanceType and ServerlessConfig.")
    if variant.get("ServerlessConfig") and variant.get("InstanceType"):
        raise refused(f"Variant '{label}' cannot specify both InstanceType and ServerlessConfig.")
    kind = variant.get("InstanceType")
    if kind and not re.fullmatch(r"ml\.[a-z0-9-]+\.[a-z0-9]+", kind):
        raise _constraint(kind, "instanceType", "Member must satisfy enum value set: [ml.m5.large, ml.c5.large, ...]")
    memory = (variant.get("ServerlessConfig") or {}).get("MemorySizeInMB")
    if memory is not None and memory not in range(1024, 6145, 1024):
        raise _constraint(memory, "MemorySizeInMB", "Member must satisfy enum value set: [1024, 2048, 3072, 4096, 5120, 6144]")
    if variant.get("InitialInstanceCount", 1) < 1:
        raise _constraint(variant["InitialInstanceCount"], "initialInstanceCount", "Member must have value greater than or equal to 1")


def _constraint(value: object, member: str, rule: str) -> AwsError:
    return refused(f"1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: {rule}")
