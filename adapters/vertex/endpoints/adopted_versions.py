"""A version of an adopted endpoint deployed once more, as it is there: whose containers are not
ours to make. Pure.
"""

from __future__ import annotations

from typing import Any

from ....endpoints.port import EndpointSpec, VariantSpec
from ...common import adoption
from . import deployed_models as deployed
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
    """Refused: a version that does not run there, for an endpoint that was adopted."""
    if is_adopted(endpoint.labels):
        adoption.guard(
            spec,
            {
                (there.model, there.version)
                for there in deployed.specs(endpoint).values()
                if there is not None
            },
        )


def deployed_model(variant: VariantSpec, endpoint: Any) -> Any:
    """What serves the variant's version, under the variant's name; as large as what has that name
    now, unless the variant says.
    """
    from google.cloud.aiplatform_v1 import DeployedModel

    there = {model.id: model for model in endpoint.deployed_models}
    specs = deployed.variants_by_id(endpoint)
    source = next(
        there[key]
        for key, spec in specs.items()
        if (spec.model, spec.version) == (variant.model, variant.version)
    )
    replaced = next(
        (there[key] for key, spec in specs.items() if spec.name == variant.name), source
    )
    resources = replaced.dedicated_resources
    fewest, most = variant.instances or (resources.min_replica_count, resources.max_replica_count)
    message = DeployedModel.pb(DeployedModel(source))
    for field in _ITS_OWN:
        message.ClearField(field)
    message.id, message.display_name = deployed.number(variant), deployed.display_name(variant)
    message.model = f"{source.model.partition('@')[0]}@{source.model_version_id}"
    message.dedicated_resources.min_replica_count, message.dedicated_resources.max_replica_count = (
        fewest,
        most,
    )
    return DeployedModel(message)
