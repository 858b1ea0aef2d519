"""FeatureRegistryService: feature groups over a BigQuery table or view, and their features."""

from __future__ import annotations

from typing import Any

from google.cloud.aiplatform_v1.types import feature_registry_service as registry
from google.cloud.aiplatform_v1.types import featurestore_service as features
from google.cloud.aiplatform_v1.types import operation as metadata

from .....core.call import Call
from .....core.errors import GcpError
from .....core.projects import canonical
from .....core.registry import handles
from .....core.resources import standard_methods
from .....core.resources.store import Resources
from ..kinds import FEATURE, GROUP
from ..sources import group_source

_SERVICE = "google.cloud.aiplatform.v1.FeatureRegistryService"
_SECONDS = 2.0  # that the provider takes


@handles(f"{_SERVICE}.CreateFeatureGroup")
def create_feature_group(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call CreateFeatureGroup: create a feature group."""
    group = request.feature_group
    name = standard_methods.name_of(call, GROUP, request.parent, request.feature_group_id)
    if not group.HasField("big_query"):
        raise GcpError("INVALID_ARGUMENT", "feature_group.big_query is required.")
    if not group.big_query.entity_id_columns:
        group.big_query.entity_id_columns.append("entity_id")
    group_source(call, group)
    standard_methods.create(call, GROUP, name, group)
    return standard_methods.long_running(
        call,
        name,
        lambda: group,
        metadata=registry.CreateFeatureGroupOperationMetadata.pb()(),
        seconds=_SECONDS,
    )


@handles(f"{_SERVICE}.GetFeatureGroup")
def get_feature_group(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call GetFeatureGroup: return a feature group."""
    return standard_methods.get(call, GROUP, request.name)


@handles(f"{_SERVICE}.ListFeatureGroups")
def list_feature_groups(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call ListFeatureGroups: list the feature groups."""
    groups, token = standard_methods.list_page(call, GROUP, request, most=100)
    return registry.ListFeatureGroupsResponse.pb()(feature_groups=groups, next_page_token=token)


@handles(f"{_SERVICE}.UpdateFeatureGroup")
def update_feature_group(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call UpdateFeatureGroup: change a feature group."""
    group = standard_methods.update(
        call,
        GROUP,
        request.feature_group,
        request.update_mask,
        ("labels", "description", "big_query"),
        check=lambda _, changed: group_source(call, changed),
    )
    return standard_methods.long_running(
        call,
        group.name,
        lambda: group,
        metadata=registry.UpdateFeatureGroupOperationMetadata.pb()(),
        seconds=_SECONDS,
    )


@handles(f"{_SERVICE}.DeleteFeatureGroup")
def delete_feature_group(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call DeleteFeatureGroup: delete a feature group."""
    name = canonical(call, request.name)
    resources = call.store(Resources)
    with resources.lock:
        resources.get(GROUP.word, name)
        children = resources.below(name, FEATURE.collection)
        if children and not request.force:
            raise GcpError(
                "FAILED_PRECONDITION",
                f"The FeatureGroup {name} has Features: delete them first, or set force.",
            )

    def delete() -> None:
        for feature in resources.below(name, FEATURE.collection):
            resources.remove(feature.name)
        resources.remove(name)

    return standard_methods.long_running(
        call, name, delete, metadata=metadata.DeleteOperationMetadata.pb()(), seconds=_SECONDS
    )


@handles(f"{_SERVICE}.CreateFeature")
def create_feature(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call CreateFeature: create a feature."""
    feature = _new_feature(call, request.parent, request)
    return standard_methods.long_running(
        call,
        feature.name,
        lambda: feature,
        metadata=registry.CreateRegistryFeatureOperationMetadata.pb()(),
        seconds=_SECONDS,
    )


@handles(f"{_SERVICE}.BatchCreateFeatures")
def batch_create_features(call: Call, request: Any) -> Any:
    """Create several features: all of them, or none."""
    resources = call.store(Resources)
    created: list[Any] = []
    for single in request.requests:
        if single.parent and canonical(call, single.parent) != canonical(call, request.parent):
            raise GcpError(
                "INVALID_ARGUMENT",
                f"The parent {single.parent} is not that of the batch, {request.parent}.",
            )
    with resources.lock:
        try:
            created.extend(
                _new_feature(call, request.parent, single) for single in request.requests
            )
        except GcpError:
            for feature in created:
                resources.remove(feature.name)
            raise
    response = features.BatchCreateFeaturesResponse.pb()(features=created)
    return standard_methods.long_running(
        call,
        canonical(call, request.parent),
        lambda: response,
        metadata=features.BatchCreateFeaturesOperationMetadata.pb()(),
        seconds=_SECONDS,
    )


@handles(f"{_SERVICE}.GetFeature")
def get_feature(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call GetFeature: return a feature."""
    return standard_methods.get(call, FEATURE, request.name)


@handles(f"{_SERVICE}.ListFeatures")
def list_features(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call ListFeatures: list the features."""
    standard_methods.get(call, GROUP, request.parent)
    listed, token = standard_methods.list_page(call, FEATURE, request, size=1000)
    return features.ListFeaturesResponse.pb()(features=listed, next_page_token=token)


@handles(f"{_SERVICE}.UpdateFeature")
def update_feature(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call UpdateFeature: change a feature."""
    feature = standard_methods.update(
        call,
        FEATURE,
        request.feature,
        request.update_mask,
        ("description", "labels", "point_of_contact"),
    )
    return standard_methods.long_running(
        call,
        feature.name,
        lambda: feature,
        metadata=registry.UpdateFeatureOperationMetadata.pb()(),
        seconds=_SECONDS,
    )


@handles(f"{_SERVICE}.DeleteFeature")
def delete_feature(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call DeleteFeature: delete a feature."""
    name = canonical(call, request.name)
    resources = call.store(Resources)
    resources.get(FEATURE.word, name)
    return standard_methods.long_running(
        call,
        name,
        lambda: resources.remove(name),
        metadata=metadata.DeleteOperationMetadata.pb()(),
        seconds=_SECONDS,
    )


def _new_feature(call: Call, parent: str, request: Any) -> Any:
    """Return the Feature message that a create request describes, to be stored below `parent`.

    Raises:
        GcpError: The group's source has no such column, or it is the entity ID.
    """
    group = standard_methods.get(call, GROUP, parent)
    name = standard_methods.name_of(call, FEATURE, group.name, request.feature_id)
    feature = request.feature
    feature.version_column_name = feature.version_column_name or request.feature_id
    source = group_source(call, group)
    column = feature.version_column_name
    if column in group.big_query.entity_id_columns:
        raise GcpError(
            "INVALID_ARGUMENT",
            f"FeatureView data source {source.uri} has an invalid schema. Feature column "
            f"{column} is same as entity id column registered.",
        )
    if column not in source.columns:
        raise GcpError(
            "INVALID_ARGUMENT",
            f"The data source {source.uri} has no column {column}, which the Feature {name} needs.",
        )
    return standard_methods.create(call, FEATURE, name, feature)
