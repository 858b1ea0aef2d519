"""The operations on endpoint configurations, which are kept as they were sent."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from .....core.registry import Context, handles
from ...tags import operations as tags
from .. import checks
from ..records import Config, Endpoints, config
from . import invoke_async as asynchronous
from .listing import page


@handles("sagemaker", "CreateEndpointConfig")
def create(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer CreateEndpointConfig."""
    name = params["EndpointConfigName"]
    arn = checks.arn(ctx, "endpoint-config", name)
    checks.variants(params["ProductionVariants"], params.get("ShadowProductionVariants") or ())
    checks.capture(params.get("DataCaptureConfig"))
    asynchronous.check(params)
    for variant in (*params["ProductionVariants"], *(params.get("ShadowProductionVariants") or ())):
        _require_model(ctx, variant["ModelName"])
    store = ctx.store(Endpoints)
    with store.lock:
        if name in store.configs and not ctx.moto_answers:  # moto replaces
            raise checks.refusal(f'Cannot create already existing endpoint configuration "{arn}".')
        fields = {
            key: value for key, value in params.items() if key not in ("EndpointConfigName", "Tags")
        }
        store.configs[name] = Config(name=name, created=ctx.clock.now(), params=fields)
    tags.put(ctx, arn, params.get("Tags"))
    return {"EndpointConfigArn": arn}


@handles("sagemaker", "DescribeEndpointConfig")
def describe(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer DescribeEndpointConfig."""
    endpoint_config = config(ctx, params["EndpointConfigName"])
    variants = [{"InitialVariantWeight": 1.0, **variant} for variant in endpoint_config.production]
    return {
        **endpoint_config.params,
        "ProductionVariants": variants,
        "EndpointConfigName": endpoint_config.name,
        "EndpointConfigArn": checks.arn(ctx, "endpoint-config", endpoint_config.name),
        "CreationTime": endpoint_config.created,
        "EnableNetworkIsolation": endpoint_config.params.get("EnableNetworkIsolation", False),
    }


@handles("sagemaker", "DeleteEndpointConfig")
def delete(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer DeleteEndpointConfig."""
    endpoint_config = config(ctx, params["EndpointConfigName"])
    ctx.store(Endpoints).configs.pop(endpoint_config.name, None)
    tags.drop(ctx, checks.arn(ctx, "endpoint-config", endpoint_config.name))
    return {}


@handles("sagemaker", "ListEndpointConfigs")
def list_configs(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer ListEndpointConfigs."""
    rows = [
        {
            "EndpointConfigName": c.name,
            "EndpointConfigArn": checks.arn(ctx, "endpoint-config", c.name),
            "CreationTime": c.created,
        }
        for c in list(ctx.store(Endpoints).configs.values())
    ]
    of_page, more = page(ctx, rows, params, "EndpointConfigName")
    return {"EndpointConfigs": of_page, **more}


def _require_model(ctx: Context, name: str) -> None:
    """Raise an error unless a SageMaker model of this name exists."""
    try:
        ctx.client("sagemaker").describe_model(ModelName=name)
    except ClientError as error:
        raise checks.refusal(f'Could not find model "{checks.arn(ctx, "model", name)}".') from error
