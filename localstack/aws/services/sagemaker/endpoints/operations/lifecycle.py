"""CreateEndpoint and DeleteEndpoint."""

from __future__ import annotations

from typing import Any

from .....core.home.declarations import ENDED_WITH_STACK, resumes
from .....core.registry import Context, handles
from ....autoscaling.operations import targets
from ...tags import operations as tags
from .. import checks, records, timing
from ..hosting import fleets
from ..invocation import backlog
from ..plan import plan
from ..records import Endpoint, Endpoints, Fleet
from . import describe


@handles("sagemaker", "CreateEndpoint")
def create(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer CreateEndpoint."""
    name = params["EndpointName"]
    config = records.config(ctx, params["EndpointConfigName"])
    fleet = Fleet(config)
    plan(params.get("DeploymentConfig"), fleet.instances)
    arn = checks.arn(ctx, "endpoint", name)
    endpoint = Endpoint(name, arn, fleet, ctx.clock.now())
    endpoint.deployment = params.get("DeploymentConfig")
    store = ctx.store(Endpoints)
    with store.lock:
        earlier = store.endpoints.get(name)
        if earlier is not None and (not ctx.moto_answers or earlier.changing):  # moto replaces
            raise checks.refusal(f'Cannot create already existing endpoint "{arn}".')
        alike = next(
            (other.arn for other in store.endpoints.values() if other.name.lower() == name.lower()),
            None,
        )
        # API_CreateEndpoint: a name's case tells no two endpoints apart
        if alike is not None and not ctx.moto_answers:
            raise checks.refusal(f'Cannot create already existing endpoint "{alike}".')
        store.endpoints[name] = endpoint
    if earlier is not None:
        earlier.routing = None
        earlier.fleet.stop()
        backlog.drop(ctx, earlier)
    tags.put(ctx, arn, params.get("Tags"))
    begin(ctx.without_request(), endpoint)
    return {"EndpointArn": arn}


def begin(ctx: Context, endpoint: Endpoint) -> None:
    """Start the model servers of a new endpoint.

    It is InService when all of them answer, Failed when one does not.
    """
    _note_status(ctx, endpoint.fleet, "Creating")
    fleets.start(ctx, endpoint.name, endpoint.fleet)
    timing.later(ctx, timing.changing(ctx), lambda: _finish_creation(ctx, endpoint), blocks=True)


@handles("sagemaker", "DeleteEndpoint")
def delete(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer DeleteEndpoint."""
    endpoint = records.require_endpoint(ctx, params["EndpointName"])
    with endpoint.lock:
        if endpoint.changing:
            raise checks.refusal(f'Cannot update in-progress endpoint "{endpoint.arn}".')
        describe.store_stale_description(ctx, endpoint)
        endpoint.status = "Deleting"
        endpoint.routing = None
        endpoint.modified = ctx.clock.now()
        endpoint.fleet.stop()
    backlog.drop(ctx, endpoint)
    targets.drop_targets_of(ctx, endpoint)
    context = ctx.without_request()
    timing.later(context, timing.changing(context), lambda: _remove(context, endpoint))
    return {}


def _finish_creation(ctx: Context, endpoint: Endpoint) -> None:
    """Set an endpoint to InService or Failed, once its servers started or failed."""
    if not fleets.wait(ctx, endpoint.fleet):
        return
    with endpoint.lock:
        endpoint.modified = ctx.clock.now()
        if endpoint.fleet.failure:
            endpoint.status, endpoint.failure = "Failed", endpoint.fleet.failure
            endpoint.fleet.stop()
            return
        for variant in endpoint.fleet.all:
            variant.statuses = []
        endpoint.status = "InService"
        endpoint.route()
    backlog.note(ctx, endpoint)


def _remove(ctx: Context, endpoint: Endpoint) -> None:
    """Remove a deleted endpoint from the stack's records."""
    ctx.store(Endpoints).endpoints.pop(endpoint.name, None)
    tags.drop(ctx, endpoint.arn)


def _note_status(ctx: Context, fleet: Fleet, status: str) -> None:
    """Record a status of all variants of a fleet, for DescribeEndpoint."""
    for variant in fleet.all:
        variant.statuses = [{"Status": status, "StartTime": ctx.clock.now()}]


@resumes(Endpoints)
def resume(ctx: Context, store: Endpoints) -> None:
    """Start the model servers of all endpoints again after a restart."""
    for endpoint in list(store.endpoints.values()):
        _serve_again(ctx, store, endpoint)


def _serve_again(ctx: Context, store: Endpoints, endpoint: Endpoint) -> None:
    """Bring an endpoint from Creating to InService after a restart, as it was last configured.

    A deployment that was under way is rolled back; weights that were being changed get their new
    values.
    """
    endpoint.routing, endpoint.stale = None, None
    if endpoint.status == "Deleting":
        del store.endpoints[endpoint.name]
        return
    if endpoint.status == "Failed":
        return
    if endpoint.pending is not None:
        endpoint.failure = ENDED_WITH_STACK
        endpoint.pending, endpoint.plan, endpoint.share = None, None, 0.0
    _forget_servers(endpoint.fleet)
    endpoint.status, endpoint.modified = "Creating", ctx.clock.now()
    ctx.spawn(_begin_again, ctx, endpoint)


def _begin_again(ctx: Context, endpoint: Endpoint) -> None:
    # with moto's answers it waits here for the servers, and not in the clock's own thread
    """Start an endpoint's model servers again after a restart."""
    with ctx.clock.request():
        begin(ctx, endpoint)


def _forget_servers(fleet: Fleet) -> None:
    """Drop a fleet's references to model servers, which ended with the stack."""
    fleet.started.clear()
    fleet.failure = None
    for variant in fleet.all:
        variant.weight, variant.count = variant.desired_weight, variant.desired_count
