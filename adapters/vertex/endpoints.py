"""EndpointHost on Vertex AI: `apply` deploys and undeploys models; `shift` writes the split under the endpoint's etag and nothing else.

DeployModel's id is the variant's hash, so a repeat is refused. What a lost reply may hide is sent once (`retrying=False`).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any, final

import msgspec

from ...endpoints import hosting
from ...endpoints.port import NO_PARAMETERS, EndpointSpec, EndpointState, Reply, VariantSpec
from ...errors import AlreadyExists, Busy, Conflict, Invalid, NotFound
from ...events.port import Row
from ...pipelines.port import ModelVersion
from ...target import Target
from . import deployed, operations
from .deployed import Seen
from .invocations import Invoker
from .machines import serving_machine, serving_replicas
from .names import dashed
from .session import CONTROL, Session, of

SHARED_BYTES = 1_500_000  # of a request to a shared endpoint
TOUCH = "isthmus_shift"  # a label that each shift writes: a split that stays the same would not make older tokens stale
_MADE = timedelta(minutes=5)  # in which an endpoint is made; deploying to it is not waited for
_KIND_REMEDY = "set `endpoint:` of profiles.yaml as it stands, or remove the endpoint (isthmus destroy) and deploy it anew"
_REPLICAS = ("dedicated_resources.min_replica_count", "dedicated_resources.max_replica_count")


class _Change(msgspec.Struct, frozen=True, kw_only=True):
    """An operation on an endpoint that is to be started."""

    operation: str
    resource: str
    start: Callable[[], Any]


@final
class VertexEndpoints:
    def __init__(self, target: Target) -> None:
        self._target = target
        self._session = of(target)
        self._shared = _is_shared(self._session)
        rules = hosting.rules_of(target, provider="Vertex AI")
        self._rules = msgspec.structs.replace(rules, max_bytes=SHARED_BYTES) if self._shared else rules
        self._invoker = Invoker(self._session, self._describe)

    def apply(self, spec: EndpointSpec) -> EndpointState:
        """See the port. While an operation runs on the endpoint nothing is asked of it: the next call goes on from there."""
        hosting.check_spec(spec, self._rules)
        versions = {variant.name: self._target.registry.get(variant.model, variant.version) for variant in spec.variants}
        seen = self._look(spec.name)
        if seen is None:
            self._create(spec)
            self._start(self._missing(spec, self._must(spec.name), versions))
            return EndpointState(name=spec.name, phase="creating", revision="", token="", variants=())
        if differs := _of_other_kind(seen.endpoint, shared=self._shared):
            raise Invalid(f"{spec.name}: {differs}", remedy=_KIND_REMEDY)
        saw = deployed.state(spec.name, seen)
        hosting.guard_traffic(spec, deployed.running(seen.endpoint), deployed.traffic(saw))
        if not seen.running:
            self._bring(spec, seen, versions)
        return saw

    def shift(self, endpoint: str, split: Mapping[str, Decimal], *, expect: str) -> None:
        """Fenced by the endpoint's etag."""
        seen = self._must(endpoint)
        saw = deployed.state(endpoint, seen)
        wanted = hosting.checked_split(endpoint, split, [variant.name for variant in saw.variants], self._rules)
        hosting.check_token(endpoint, saw.token, expect=expect)
        absent = [variant.name for variant in saw.variants if variant.phase != "ready" and wanted[variant.name] > 0]
        if seen.running or absent:
            what = f"{', '.join(absent)} is not deployed" if absent else "an operation runs on it"
            raise Busy(f"{endpoint}: {what} at Vertex AI", remedy="try again when the change has ended")
        shares = deployed.split_of(seen.endpoint, wanted)
        labels = {**seen.endpoint.labels, TOUCH: secrets.token_hex(4)}
        done = self._update(seen.endpoint, etag=expect, traffic_split=shares, labels=labels)
        if dict(done.traffic_split) != shares:
            raise Conflict(f"{endpoint} was changed by somebody else at the same time", remedy="look at it again, and decide again")

    def observe(self, endpoint: str) -> EndpointState | None:
        seen = self._look(endpoint)
        return None if seen is None else deployed.state(endpoint, seen)

    def invoke(
        self,
        endpoint: str,
        instances: Sequence[Row],
        *,
        variant: str | None,
        request_id: str,
        parameters: Mapping[str, object] = NO_PARAMETERS,
    ) -> Reply:
        hosting.check_aim(endpoint, variant, self._rules)
        return self._invoker.invoke(endpoint, hosting.request_body(endpoint, instances, self._rules, parameters), request_id=request_id)

    def _name(self, endpoint: str) -> str:
        return _path(self._session, endpoint)

    def _describe(self, endpoint: str) -> Any | None:
        name = self._name(endpoint)
        try:
            with self._session.reading("GetEndpoint", name):
                return self._session.endpoints.get_endpoint(name=name)
        except NotFound:
            return None

    def _look(self, endpoint: str) -> Seen | None:
        """The operations first: one that ends between the two calls is seen as running, and what it did is there."""
        listed = operations.of_resource(self._session, self._session.endpoints, self._name(endpoint))
        described = self._describe(endpoint)
        return None if described is None else Seen(endpoint=described, operations=listed)

    def _must(self, endpoint: str) -> Seen:
        seen = self._look(endpoint)
        if seen is None:
            raise hosting.not_found(endpoint)
        return seen

    def _create(self, spec: EndpointSpec) -> None:
        from google.cloud.aiplatform_v1 import CreateEndpointRequest, Endpoint

        endpoint_id = dashed(self._session.name, spec.name)
        described = Endpoint(
            display_name=endpoint_id,
            description=deployed.described(spec),
            labels=self._session.labels("endpoint", spec.name),
            dedicated_endpoint_enabled=not self._shared,
        )
        request = CreateEndpointRequest(parent=self._session.parent, endpoint=described, endpoint_id=endpoint_id)
        try:
            with self._session.mutating("CreateEndpoint", endpoint_id):
                operation = self._control.create_endpoint(request=request)
            operations.succeeded(self._session, self._session.endpoints, operation, what=f"making {spec.name}", deadline=_MADE)
        except AlreadyExists:  # somebody else was a little faster
            pass

    def _bring(self, spec: EndpointSpec, seen: Seen, versions: Mapping[str, ModelVersion]) -> None:
        """What is wanted is written first, under the etag of the look; then models are deployed and undeployed, else replicas changed."""
        there = {model.id for model in seen.endpoint.deployed_models}
        wanted = {deployed.number(variant) for variant in spec.variants}
        if there == wanted and tuple(deployed.wanted(seen.endpoint)) == tuple(map(deployed.number, spec.variants)):
            self._rescale(spec, seen.endpoint)
            return
        description = deployed.described(spec, seen.operations)
        if description != seen.endpoint.description:
            self._update(seen.endpoint, etag=seen.endpoint.etag, description=description)
        undeployed = [
            _Change(
                operation="UndeployModel",
                resource=f"{spec.name} {number}",
                start=partial(self._control.undeploy_model, endpoint=seen.endpoint.name, deployed_model_id=number, traffic_split={}),
            )
            for number in sorted(there - wanted)
        ]
        self._start([*self._missing(spec, seen, versions), *undeployed])

    def _start(self, changes: Sequence[_Change]) -> None:
        """All at once. Where an endpoint takes no second operation while the first one runs, the next `apply` goes on from there."""
        for place, change in enumerate(changes):
            try:
                with suppress(AlreadyExists), self._session.mutating(change.operation, change.resource):  # it is on its way
                    change.start()
            except Busy:
                if place == 0:
                    raise
                return

    def _missing(self, spec: EndpointSpec, seen: Seen, versions: Mapping[str, ModelVersion]) -> list[_Change]:
        """What is to be deployed. Where nothing has traffic yet the first variant is given everything."""
        there = {model.id for model in seen.endpoint.deployed_models}
        return [
            _Change(
                operation="DeployModel",
                resource=f"{spec.name} {deployed.display_name(variant)}",
                start=partial(
                    self._control.deploy_model,
                    endpoint=seen.endpoint.name,
                    deployed_model=self._deployed_model(variant, versions[variant.name]),
                    traffic_split={"0": 100} if place == 0 and not seen.endpoint.traffic_split else {},
                ),
            )
            for place, variant in enumerate(spec.variants)
            if deployed.number(variant) not in there
        ]

    def _deployed_model(self, variant: VariantSpec, version: ModelVersion) -> Any:
        from google.cloud.aiplatform_v1 import DedicatedResources, DeployedModel, MachineSpec

        profile = self._target.profile
        fewest, most = serving_replicas(profile, variant)
        model = f"{self._session.parent}/models/{dashed(self._session.name, version.model)}@{version.version}"
        return DeployedModel(
            id=deployed.number(variant),
            model=model,
            display_name=deployed.display_name(variant),
            service_account=self._session.service_account or "",
            dedicated_resources=DedicatedResources(
                machine_spec=MachineSpec(machine_type=serving_machine(profile, variant)), min_replica_count=fewest, max_replica_count=most
            ),
        )

    def _rescale(self, spec: EndpointSpec, endpoint: Any) -> None:
        """Bring the bounds of each variant's replicas to the spec's."""
        from google.cloud.aiplatform_v1 import DedicatedResources, DeployedModel

        there = {model.id: model for model in endpoint.deployed_models}
        changes = []
        for variant in spec.variants:
            model = there[deployed.number(variant)]
            fewest, most = serving_replicas(self._target.profile, variant)
            resources = model.dedicated_resources
            if (resources.min_replica_count, resources.max_replica_count) == (fewest, most):
                continue
            changed = DeployedModel(id=model.id, dedicated_resources=DedicatedResources(min_replica_count=fewest, max_replica_count=most))
            mask = {"paths": list(_REPLICAS)}
            start = partial(self._control.mutate_deployed_model, endpoint=endpoint.name, deployed_model=changed, update_mask=mask)
            changes.append(_Change(operation="MutateDeployedModel", resource=f"{spec.name} {variant.name}", start=start))
        self._start(changes)

    def _update(self, endpoint: Any, *, etag: str, **fields: Any) -> Any:
        from google.cloud.aiplatform_v1 import Endpoint

        changed = Endpoint(name=endpoint.name, etag=etag, **fields)
        with self._session.mutating("UpdateEndpoint", endpoint.name):
            return self._control.update_endpoint(endpoint=changed, update_mask={"paths": list(fields)})

    @property
    def _control(self) -> Any:
        return self._session.client("endpoints", retrying=False, within=CONTROL)


def fixed(target: Target, endpoint: str) -> str:
    """In what an endpoint that stands differs from the profile for good; "": in nothing, or it is not there."""
    session = of(target)
    try:
        with session.reading("GetEndpoint", endpoint):
            there = session.endpoints.get_endpoint(name=_path(session, endpoint))
    except NotFound:
        return ""
    return _of_other_kind(there, shared=_is_shared(session))


def _of_other_kind(there: Any, *, shared: bool) -> str:
    if there.dedicated_endpoint_enabled != shared:
        return ""
    stands, wanted = ("dedicated", "shared") if shared else ("shared", "dedicated")
    return f"it is a {stands} endpoint and profiles.yaml wants a {wanted} one, which Vertex AI cannot make of it"


def _is_shared(session: Session) -> bool:
    return bool(session.profile.options.get("endpoint") == "shared")


def _path(session: Session, endpoint: str) -> str:
    return f"{session.parent}/endpoints/{dashed(session.name, endpoint)}"
