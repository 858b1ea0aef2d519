"""DescribeEndpoint and ListEndpoints."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from .....core.registry import Context, handles
from .. import records
from ..records import Endpoint, Endpoints, Fleet, Variant
from .listing import page


@handles("sagemaker", "DescribeEndpoint")
def describe(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer DescribeEndpoint."""
    endpoint = records.require_endpoint(ctx, params["EndpointName"])
    with endpoint.lock:
        if endpoint.stale is not None and ctx.clock.now() < endpoint.stale[0]:
            return endpoint.stale[1]
        return description(endpoint)


@handles("sagemaker", "ListEndpoints")
def list_endpoints(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer ListEndpoints."""
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
    summaries, more = page(ctx, rows, params, "EndpointName")
    return {"Endpoints": summaries, **more}


def description(endpoint: Endpoint) -> dict[str, Any]:
    """Return an endpoint in the form of DescribeEndpoint's response."""
    fleet = endpoint.fleet
    answer: dict[str, Any] = {
        "EndpointName": endpoint.name,
        "EndpointArn": endpoint.arn,
        "EndpointConfigName": fleet.config.name,
        "EndpointStatus": endpoint.status,
        "CreationTime": endpoint.created,
        "LastModifiedTime": endpoint.modified,
        **_capture(fleet),
    }
    if endpoint.status not in ("Failed", "Creating"):
        answer["ProductionVariants"] = [_summary(v) for v in fleet.variants.values()]
        if fleet.shadows:
            answer["ShadowProductionVariants"] = [_summary(v) for v in fleet.shadows.values()]
    if endpoint.failure:
        answer["FailureReason"] = endpoint.failure
    if endpoint.deployment:
        answer["LastDeploymentConfig"] = endpoint.deployment
    for key in ("AsyncInferenceConfig", "ExplainerConfig", "MetricsConfig"):
        if fleet.config.params.get(key):
            answer[key] = fleet.config.params[key]
    if endpoint.status in ("Creating", "Updating", "RollingBack"):
        pending = endpoint.pending or (fleet if endpoint.status == "Creating" else None)
        if pending is not None:
            answer["PendingDeploymentSummary"] = _pending(endpoint, pending)
    return answer


def store_stale_description(ctx: Context, endpoint: Endpoint) -> None:
    """Store an endpoint's description before a change, if the fault eventual-consistency is set.

    DescribeEndpoint returns this old description for as long as the fault says.
    """
    fault = ctx.fault("eventual-consistency", endpoint.name)
    if fault is not None:
        endpoint.stale = (ctx.clock.now() + timedelta(seconds=fault.seconds), description(endpoint))


def _summary(variant: Variant) -> dict[str, Any]:
    """Return a variant in the form of DescribeEndpoint's ProductionVariants."""
    summary: dict[str, Any] = {
        "VariantName": variant.name,
        "CurrentWeight": variant.weight,
        "DesiredWeight": variant.desired_weight,
        **_common_members(variant),
    }
    if variant.serverless:
        summary |= {
            "CurrentServerlessConfig": variant.serverless,
            "DesiredServerlessConfig": variant.serverless,
        }
    else:
        summary |= {
            "CurrentInstanceCount": variant.count,
            "DesiredInstanceCount": variant.desired_count,
        }
    return summary


def _pending(endpoint: Endpoint, fleet: Fleet) -> dict[str, Any]:
    """Return the fleet being deployed in the form of PendingDeploymentSummary."""
    summary: dict[str, Any] = {
        "EndpointConfigName": fleet.config.name,
        "StartTime": endpoint.pending_since,
        "ProductionVariants": [_pending_variant(v) for v in fleet.variants.values()],
    }
    if fleet.shadows:
        summary["ShadowProductionVariants"] = [_pending_variant(v) for v in fleet.shadows.values()]
    return summary


def _pending_variant(variant: Variant) -> dict[str, Any]:
    """Return a variant in the form of PendingDeploymentSummary's variants."""
    summary = _summary(variant)
    kind = variant.config.get("InstanceType")
    return {**summary, **({"InstanceType": kind} if kind else {})}


def _common_members(variant: Variant) -> dict[str, Any]:
    """Return the members that DescribeEndpoint shows of current and pending variants alike."""
    common: dict[str, Any] = {
        key: variant.config[key]
        for key in ("ManagedInstanceScaling", "RoutingConfig")
        if variant.config.get(key)
    }
    if variant.statuses:
        common["VariantStatus"] = list(variant.statuses)
    if variant.image:
        image = {
            "SpecifiedImage": variant.image,
            "ResolvedImage": variant.image,
            "ResolutionTime": variant.resolved,
        }
        common["DeployedImages"] = [image]
    return common


def _capture(fleet: Fleet) -> dict[str, Any]:
    """Return an endpoint's data capture in the form of DescribeEndpoint's response."""
    config = fleet.capture
    if not config:
        return {}
    is_enabled = bool(config.get("EnableCapture"))
    summary = {
        "EnableCapture": is_enabled,
        "CaptureStatus": "Started" if is_enabled else "Stopped",
        "CurrentSamplingPercentage": config["InitialSamplingPercentage"],
        "DestinationS3Uri": config["DestinationS3Uri"],
        "KmsKeyId": config.get("KmsKeyId") or "",
    }
    return {"DataCaptureConfig": summary}
