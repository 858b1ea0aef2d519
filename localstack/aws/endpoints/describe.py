"""DescribeEndpoint and ListEndpoints."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from ..registry import Context, handles
from . import records
from .listing import page
from .records import Endpoint, Endpoints, Fleet, Variant


@handles("sagemaker", "DescribeEndpoint")
def describe(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    endpoint = records.must(ctx, params["EndpointName"])
    with endpoint.lock:
        if endpoint.stale is not None and ctx.clock.now() < endpoint.stale[0]:
            return endpoint.stale[1]
        return described(endpoint)


@handles("sagemaker", "ListEndpoints")
def list_endpoints(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    rows = [
        {
            "EndpointName": e.name,
            "EndpointArn": e.arn,
            "CreationTime": e.created,
            "LastModifiedTime": e.modified,
            "EndpointStatus": e.status,
        }
        for e in list(ctx.store(Endpoints).endpoints.values())
    ]
    found, more = page(ctx, rows, params, "EndpointName")
    return {"Endpoints": found, **more}


def described(endpoint: Endpoint) -> dict[str, Any]:
    fleet = endpoint.fleet
    said: dict[str, Any] = {
        "EndpointName": endpoint.name,
        "EndpointArn": endpoint.arn,
        "EndpointConfigName": fleet.config.name,
        "EndpointStatus": endpoint.status,
        "CreationTime": endpoint.created,
        "LastModifiedTime": endpoint.modified,
        **_capture(fleet),
    }
    if endpoint.status not in ("Failed", "Creating"):
        said["ProductionVariants"] = [_summary(v) for v in fleet.variants.values()]
        if fleet.shadows:
            said["ShadowProductionVariants"] = [_summary(v) for v in fleet.shadows.values()]
    if endpoint.failure:
        said["FailureReason"] = endpoint.failure
    if endpoint.deployment:
        said["LastDeploymentConfig"] = endpoint.deployment
    for key in ("AsyncInferenceConfig", "ExplainerConfig", "MetricsConfig"):
        if fleet.config.params.get(key):
            said[key] = fleet.config.params[key]
    if endpoint.status in ("Creating", "Updating", "RollingBack"):
        pending = endpoint.pending or (fleet if endpoint.status == "Creating" else None)
        if pending is not None:
            said["PendingDeploymentSummary"] = _pending(endpoint, pending)
    return said


def hide(ctx: Context, endpoint: Endpoint) -> None:
    """Before a change: with the fault eventual-consistency, DescribeEndpoint shows what is there now for as long as the fault says."""
    fault = ctx.fault("eventual-consistency", endpoint.name)
    if fault is not None:
        endpoint.stale = (ctx.clock.now() + timedelta(seconds=fault.seconds), described(endpoint))


def _summary(variant: Variant) -> dict[str, Any]:
    said: dict[str, Any] = {
        "VariantName": variant.name,
        "CurrentWeight": variant.weight,
        "DesiredWeight": variant.desired_weight,
        **_what_is_the_same(variant),
    }
    if variant.serverless:
        said |= {"CurrentServerlessConfig": variant.serverless, "DesiredServerlessConfig": variant.serverless}
    else:
        said |= {"CurrentInstanceCount": variant.count, "DesiredInstanceCount": variant.desired_count}
    return said


def _pending(endpoint: Endpoint, fleet: Fleet) -> dict[str, Any]:
    said: dict[str, Any] = {
        "EndpointConfigName": fleet.config.name,
        "StartTime": endpoint.pending_since,
        "ProductionVariants": [_pending_variant(v) for v in fleet.variants.values()],
    }
    if fleet.shadows:
        said["ShadowProductionVariants"] = [_pending_variant(v) for v in fleet.shadows.values()]
    return said


def _pending_variant(variant: Variant) -> dict[str, Any]:
    said = _summary(variant)
    kind = variant.config.get("InstanceType")
    return {**said, **({"InstanceType": kind} if kind else {})}


def _what_is_the_same(variant: Variant) -> dict[str, Any]:
    said: dict[str, Any] = {key: variant.config[key] for key in ("ManagedInstanceScaling", "RoutingConfig") if variant.config.get(key)}
    if variant.statuses:
        said["VariantStatus"] = list(variant.statuses)
    if variant.server is not None:
        image = variant.server.source.image
        said["DeployedImages"] = [{"SpecifiedImage": image, "ResolvedImage": image, "ResolutionTime": variant.server.resolved}]
    return said


def _capture(fleet: Fleet) -> dict[str, Any]:
    config = fleet.capture
    if not config:
        return {}
    on = bool(config.get("EnableCapture"))
    summary = {
        "EnableCapture": on,
        "CaptureStatus": "Started" if on else "Stopped",
        "CurrentSamplingPercentage": config["InitialSamplingPercentage"],
        "DestinationS3Uri": config["DestinationS3Uri"],
        "KmsKeyId": config.get("KmsKeyId") or "",
    }
    return {"DataCaptureConfig": summary}
