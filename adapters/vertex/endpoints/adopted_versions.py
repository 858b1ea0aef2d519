"""Versions of an adopted endpoint, deployed once more as they are. Pure.

Their containers are not ours to make.
"""

from __future__ import annotations

from typing import Any

from ....endpoints.port import EndpointSpec, VariantSpec
from ...common import adoption
from . import deployed_models
from .labels import is_adopted

_ITS_OWN = (
    "id",
    "model_version_id",
    "create_time",
    "private_endpoints",
    "status",
    "system_labels",
)  # of what stands, and no other


def guard(spec: EndpointSpec, endpoint: Any) -> None:
    """Raise Refused if a spec deploys a version that its adopted endpoint does not run.

    An adopted endpoint was taken over, so no container can be made for it. `endpoint` is Vertex
    AI's description.
    """
    if is_adopted(endpoint.labels):
        adoption.guard(
            spec,
            {
                (spec_there.model, spec_there.version)
                for spec_there in deployed_models.specs(endpoint).values()
                if spec_there is not None
            },
        )


def deployed_model(variant: VariantSpec, endpoint: Any) -> Any:
    """Return a DeployedModel for a variant, copied from one that runs its version already.

    An adopted endpoint's containers cannot be made otherwise. A variant without replicas gets those
    of the model that has its name now.
    """
    from google.cloud.aiplatform_v1 import DeployedModel

    models = {model.id: model for model in endpoint.deployed_models}
    specs = deployed_models.variants_by_id(endpoint)
    source = next(
        models[key]
        for key, spec in specs.items()
        if (spec.model, spec.version) == (variant.model, variant.version)
    )
    replaced = next(
        (models[key] for key, spec in specs.items() if spec.name == variant.name), source
    )
    resources = replaced.dedicated_resources
    fewest, most = variant.instances or (resources.min_replica_count, resources.max_replica_count)
    message = DeployedModel.pb(DeployedModel(source))
    for field in _ITS_OWN:
        message.ClearField(field)
    message.id, message.display_name = (
        deployed_models.planned_id(variant),
        deployed_models.display_name(variant),
    )
    message.model = f"{source.model.partition('@')[0]}@{source.model_version_id}"
    message.dedicated_resources.min_replica_count, message.dedicated_resources.max_replica_count = (
        fewest,
        most,
    )
    return DeployedModel(message)
