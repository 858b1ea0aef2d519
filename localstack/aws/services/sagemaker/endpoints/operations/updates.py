"""UpdateEndpoint and UpdateEndpointWeightsAndCapacities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .....core.registry import Context, handles
from ....autoscaling.operations import targets
from .. import checks, records, timing
from ..hosting import deployments as deploying
from ..hosting import fleets
from ..invocation import backlog
from ..plan import check_variants, plan
from ..records import Config, Endpoint, Fleet
from . import describe


@handles("sagemaker", "UpdateEndpoint")
def update(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer UpdateEndpoint."""
    endpoint = records.require_endpoint(ctx, params["EndpointName"])
    config = records.config(ctx, params["EndpointConfigName"])
    with endpoint.lock:
        _require_changeable(endpoint)
        if config.name == endpoint.fleet.config.name:
            raise checks.refusal(
                f'Endpoint "{endpoint.arn}" already uses endpoint configuration '
                f"{config.name}: an update needs a new one."
            )
        fleet = _fleet(endpoint.fleet, config, params)
        targets.check_update(ctx, endpoint, fleet)
        deployment = params.get("DeploymentConfig") or (
            endpoint.deployment if params.get("RetainDeploymentConfig") else None
        )
        update_plan = plan(deployment, fleet.instances)
        check_variants(
            update_plan,
            list(endpoint.fleet.variants),
            list(fleet.variants),
            serverless=any(v.serverless for v in fleet.variants.values()),
        )
        if update_plan.alarms:
            deploying.require_alarms(ctx, update_plan.alarms)
        describe.store_stale_description(ctx, endpoint)
        endpoint.deployment = deployment
        endpoint.status, endpoint.failure = "Updating", None
        endpoint.pending, endpoint.plan, endpoint.share = fleet, update_plan, 0.0
        endpoint.pending_since = endpoint.modified = ctx.clock.now()
        context = ctx.without_request()
        deploying.record_status(context, fleet, "Creating")
    silently = ctx.fault("silent-rollback", endpoint.name) is not None
    deploying.limit(context, endpoint, fleet, update_plan.timeout)
    fleets.start(context, endpoint.name, fleet)
    timing.later(
        context,
        timing.changing(context),
        lambda: deploying.begin(context, endpoint, fleet, doomed=silently),
        blocks=True,
    )
    return {"EndpointArn": endpoint.arn}


@handles("sagemaker", "UpdateEndpointWeightsAndCapacities")
def reweigh(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer UpdateEndpointWeightsAndCapacities: change variants' weights and counts.

    Counts and weights that are not named stay.
    """
    endpoint = records.require_endpoint(ctx, params["EndpointName"])
    items: list[dict[str, Any]] = params["DesiredWeightsAndCapacities"]
    with endpoint.lock:
        _require_changeable(endpoint)
        variants = {variant.name: variant for variant in endpoint.fleet.all}
        missing = [item["VariantName"] for item in items if item["VariantName"] not in variants]
        if missing:
            absent = ", ".join(missing)
            raise checks.refusal(
                f'The variant name(s) "{absent}" is/are not present within endpoint '
                f'configuration "{endpoint.fleet.config.name}".'
            )
        names = [item["VariantName"] for item in items]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise checks.refusal(f'The variant name "{twice}" was non-unique within the request.')
        for item in items:
            _check(item, least=0 if backlog.settings(endpoint) else 1)
        describe.store_stale_description(ctx, endpoint)
        for item in items:
            variant = variants[item["VariantName"]]
            variant.desired_weight = float(item.get("DesiredWeight", variant.desired_weight))
            variant.desired_count = int(item.get("DesiredInstanceCount", variant.desired_count))
            variant.statuses = [{"Status": "Updating", "StartTime": ctx.clock.now()}]
        endpoint.status, endpoint.failure = "Updating", None
        endpoint.modified = ctx.clock.now()
    context = ctx.without_request()
    silently = ctx.fault("silent-rollback", endpoint.name) is not None
    timing.later(
        context,
        timing.changing(context),
        lambda: _finish_reweighing(context, endpoint, doomed=silently),
        blocks=fleets.grows(endpoint.fleet),
    )
    return {"EndpointArn": endpoint.arn}


def _finish_reweighing(ctx: Context, endpoint: Endpoint, *, doomed: bool) -> None:
    """End a change of weights and instance counts: make the desired ones the current ones.

    If an instance does not start, or the change is `doomed`, the old ones stay.
    """
    wrong = None if doomed else fleets.resize(ctx, endpoint.name, endpoint.fleet)
    with endpoint.lock:
        endpoint.failure = wrong
        for variant in endpoint.fleet.all:
            if doomed or wrong:
                variant.desired_weight, variant.desired_count = variant.weight, variant.count
            variant.weight, variant.count = variant.desired_weight, variant.desired_count
            variant.statuses = []
        endpoint.status = "InService"
        endpoint.modified = ctx.clock.now()
        endpoint.route()
    backlog.note(ctx, endpoint)


def _check(item: Mapping[str, Any], least: int) -> None:
    """Raise an error if a request's new weight or instance count for a variant is not valid.

    `item` is the variant's part of the request. `least` is the smallest allowed count: 0 for an
    asynchronous endpoint, else 1.
    """
    weight, count = item.get("DesiredWeight"), item.get("DesiredInstanceCount")
    if weight is None and count is None and not item.get("ServerlessUpdateConfig"):
        raise checks.refusal(
            f"Variant {item['VariantName']}: specify DesiredWeight or DesiredInstanceCount."
        )
    if count is not None and count < least:
        raise checks.refusal(
            f"Variant {item['VariantName']}: DesiredInstanceCount must be at least {least}, "
            f"not {count}."
        )


def _require_changeable(endpoint: Endpoint) -> None:
    """Raise an error while an endpoint is being changed or has failed."""
    if endpoint.changing:
        raise checks.refusal(f'Cannot update in-progress endpoint "{endpoint.arn}".')
    if endpoint.status != "InService":
        raise checks.refusal(
            f'Cannot update endpoint "{endpoint.arn}" with status {endpoint.status}: it can '
            "only be deleted."
        )


def _fleet(old: Fleet, config: Config, params: Mapping[str, Any]) -> Fleet:
    """Return the new fleet of variants for an UpdateEndpoint request.

    Its variants take over those properties of the old fleet's that the request retains.
    """
    fleet = Fleet(config)
    if not params.get("RetainAllVariantProperties"):
        return fleet
    excluded = {
        item["VariantPropertyType"] for item in params.get("ExcludeRetainedVariantProperties") or ()
    }
    for name, variant in fleet.variants.items():
        previous = old.variants.get(name)
        if previous is None:
            continue
        if "DesiredWeight" not in excluded:
            variant.weight = variant.desired_weight = previous.desired_weight
        if (
            "DesiredInstanceCount" not in excluded
            and not variant.serverless
            and not previous.serverless
        ):
            variant.count = variant.desired_count = previous.desired_count
    if "DataCaptureConfig" not in excluded:
        fleet.capture = old.capture
    return fleet
