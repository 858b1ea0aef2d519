"""Changes of an endpoint of Vertex AI: made, models deployed and undeployed, fields changed.

DeployModel's id is the variant's hash, so a repeat is refused. A call whose lost reply could hide
its effect is sent once (`retrying=False`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any, final

import msgspec

from ....endpoints.port import EndpointSpec, VariantSpec
from ....errors import AlreadyExists, Busy, NotFound
from ....pipelines.port import ModelVersion
from ....target import Profile
from .. import operations
from ..machines import serving_machine, serving_replicas
from ..names import dashed
from ..session import CONTROL, VertexSession
from . import adopted_versions, deployed_models, labels
from .deployed_models import ObservedEndpoint

VersionsByVariant = Mapping[str, ModelVersion]  # by variant
_MADE = timedelta(minutes=5)  # in which an endpoint is made; deploying to it is not waited for
_REPLICAS = ("dedicated_resources.min_replica_count", "dedicated_resources.max_replica_count")


class _Change(msgspec.Struct, frozen=True, kw_only=True):
    """An operation on an endpoint that is to be started."""

    operation: str
    resource: str
    start: Callable[[], Any]


@final
class Deployer:
    """The changes of a target's endpoints."""

    def __init__(self, session: VertexSession, profile: Profile, *, shared: bool) -> None:
        self._session, self._profile, self._shared = session, profile, shared

    def create(self, name: str, endpoint_id: str, description: str) -> None:
        """Create an endpoint with the project's labels; do nothing if it exists by now."""
        from google.cloud.aiplatform_v1 import CreateEndpointRequest, Endpoint

        endpoint = Endpoint(
            display_name=endpoint_id,
            description=description,
            labels=self._session.labels("endpoint", name),
            dedicated_endpoint_enabled=not self._shared,
        )
        request = CreateEndpointRequest(
            parent=self._session.parent, endpoint=endpoint, endpoint_id=endpoint_id
        )
        try:
            with self._session.mutating("CreateEndpoint", endpoint_id):
                operation = self._control.create_endpoint(request=request)
            operations.wait_for_success(
                self._session,
                self._session.endpoints,
                operation,
                what=f"making {endpoint_id}",
                deadline=_MADE,
            )
        except AlreadyExists:  # somebody else was a little faster
            pass

    def deploy_variants(
        self, spec: EndpointSpec, look: ObservedEndpoint, versions: VersionsByVariant
    ) -> None:
        """Start the operations that bring an endpoint's deployed models nearer to its spec.

        `look` is the endpoint as it was read. The request is written first, if the etag is still
        that of `look`; then models are deployed and undeployed, else replicas changed. A variant
        that has the endpoint to itself is replaced without a gap: its old model goes when the new
        one has the traffic.
        """
        deployed_ids = {model.id for model in look.endpoint.deployed_models}
        numbers = deployed_models.variants_by_planned_id(look.endpoint, spec.variants)
        requested_ids = set(numbers)
        if deployed_ids == requested_ids and tuple(
            deployed_models.intended_variants(look.endpoint)
        ) == tuple(numbers):
            self._rescale(spec, look.endpoint, numbers)
            return
        description = deployed_models.description(
            spec, look.operations, theirs=deployed_models.intention(look.endpoint).theirs
        )
        if description != look.endpoint.description:
            self.update(look.endpoint, description=description)
        missing = self._missing(spec, look, versions, numbers)
        split = dict.fromkeys(requested_ids, 100) if _alone(spec) else {}
        stays = _alone(spec) and bool(missing)
        self._start(
            [
                *missing,
                *self._undeployments(
                    spec, look.endpoint, () if stays else deployed_ids - requested_ids, split
                ),
            ]
        )

    def remove(self, spec: EndpointSpec, look: ObservedEndpoint) -> None:
        """Start to undeploy all of an endpoint's models, or delete it if it has none.

        `look` is the endpoint as it was read.
        """
        endpoint = look.endpoint
        if not endpoint.deployed_models:
            with suppress(NotFound), self._session.mutating("DeleteEndpoint", endpoint.name):
                self._control.delete_endpoint(name=endpoint.name)
            return
        if endpoint.traffic_split:
            self.update(endpoint, traffic_split={})
        self._start(
            self._undeployments(
                spec, endpoint, [model.id for model in endpoint.deployed_models], {}
            )
        )

    def _start(self, changes: Sequence[_Change]) -> None:
        """Start several operations on an endpoint.

        If it takes no second one while the first runs, the next `apply` starts the rest.
        """
        for place, change in enumerate(changes):
            try:
                with (
                    suppress(AlreadyExists),
                    self._session.mutating(change.operation, change.resource),
                ):  # it is on its way
                    change.start()
            except Busy:
                if place == 0:
                    raise
                return

    def _missing(
        self,
        spec: EndpointSpec,
        look: ObservedEndpoint,
        versions: VersionsByVariant,
        numbers: Mapping[str, VariantSpec],
    ) -> list[_Change]:
        """Return the DeployModel operations for the spec's variants that are not deployed yet.

        `look` is the endpoint as it was read, `numbers` are variants by model id. If nothing has
        traffic, the first variant gets all of it; so does a variant with an endpoint of its own.
        """
        deployed_ids = {model.id for model in look.endpoint.deployed_models}
        return [
            _Change(
                operation="DeployModel",
                resource=f"{spec.name} {deployed_models.display_name(variant)}",
                start=partial(
                    self._control.deploy_model,
                    endpoint=look.endpoint.name,
                    deployed_model=self._deployed_model(
                        variant, versions[variant.name], look.endpoint
                    ),
                    traffic_split={"0": 100}
                    if _alone(spec) or (place == 0 and not look.endpoint.traffic_split)
                    else {},
                ),
            )
            for place, (number, variant) in enumerate(numbers.items())
            if number not in deployed_ids
        ]

    def _deployed_model(self, variant: VariantSpec, version: ModelVersion, endpoint: Any) -> Any:
        """Return the DeployedModel that deploys a variant: its model version, machine, replicas."""
        from google.cloud.aiplatform_v1 import DedicatedResources, DeployedModel, MachineSpec

        if labels.is_adopted(endpoint.labels):
            return adopted_versions.deployed_model(variant, endpoint)
        fewest, most = serving_replicas(self._profile, variant)
        machine = MachineSpec(machine_type=serving_machine(self._profile, variant))
        name = dashed(self._session.name, version.model)
        model = f"{self._session.parent}/models/{name}@{version.version}"
        return DeployedModel(
            id=deployed_models.planned_id(variant),
            model=model,
            display_name=deployed_models.display_name(variant),
            service_account=self._session.service_account or "",
            dedicated_resources=DedicatedResources(
                machine_spec=machine, min_replica_count=fewest, max_replica_count=most
            ),
        )

    def _rescale(
        self, spec: EndpointSpec, endpoint: Any, numbers: Mapping[str, VariantSpec]
    ) -> None:
        """Set the minimum and maximum replicas of each variant's model to those of the spec.

        `numbers` are variants by model id. An adopted variant without bounds keeps its own.
        """
        from google.cloud.aiplatform_v1 import DedicatedResources, DeployedModel

        models = {model.id: model for model in endpoint.deployed_models}
        changes = []
        for number, variant in numbers.items():
            if variant.instances is None and labels.is_adopted(endpoint.labels):
                continue
            model = models[number]
            fewest, most = serving_replicas(self._profile, variant)
            resources = model.dedicated_resources
            if (resources.min_replica_count, resources.max_replica_count) == (fewest, most):
                continue
            changed = DeployedModel(
                id=model.id,
                dedicated_resources=DedicatedResources(
                    min_replica_count=fewest, max_replica_count=most
                ),
            )
            mask = {"paths": list(_REPLICAS)}
            start = partial(
                self._control.mutate_deployed_model,
                endpoint=endpoint.name,
                deployed_model=changed,
                update_mask=mask,
            )
            changes.append(
                _Change(
                    operation="MutateDeployedModel",
                    resource=f"{spec.name} {variant.name}",
                    start=start,
                )
            )
        self._start(changes)

    def _undeployments(
        self, spec: EndpointSpec, endpoint: Any, numbers: Collection[str], split: Mapping[str, int]
    ) -> list[_Change]:
        """Return the UndeployModel operations for models; `split` is the traffic afterwards.

        `numbers` are the models' ids.
        """
        return [
            _Change(
                operation="UndeployModel",
                resource=f"{spec.name} {number}",
                start=partial(
                    self._control.undeploy_model,
                    endpoint=endpoint.name,
                    deployed_model_id=number,
                    traffic_split=split,
                ),
            )
            for number in sorted(numbers)
        ]

    def update(self, endpoint: Any, **fields: Any) -> Any:
        """Change fields of an endpoint, and return it; raise Conflict if its etag has changed."""
        from google.cloud.aiplatform_v1 import Endpoint

        changed = Endpoint(name=endpoint.name, etag=endpoint.etag, **fields)
        with self._session.mutating("UpdateEndpoint", endpoint.name):
            return self._control.update_endpoint(
                endpoint=changed, update_mask={"paths": list(fields)}
            )

    @property
    def _control(self) -> Any:
        """The client, without retries, for calls that change an endpoint."""
        return self._session.client("endpoints", retrying=False, within=CONTROL)


def _alone(spec: EndpointSpec) -> bool:
    """Return whether each variant gets an endpoint of its own, as sticky routing needs."""
    return spec.routing == "sticky"
