"""FeatureOnlineStoreAdminService's online stores."""

from __future__ import annotations

from typing import Any

from google.cloud.aiplatform_v1.types import FeatureOnlineStore
from google.cloud.aiplatform_v1.types import feature_online_store_admin_service as admin
from google.cloud.aiplatform_v1.types import operation as metadata

from .....core.call import Call
from .....core.errors import GcpError
from .....core.projects import canonical
from .....core.registry import handles
from .....core.resources import standard_methods
from .....core.resources.store import Resources
from ..kinds import STORE, VIEW
from .views import remove_view

_SERVICE = "google.cloud.aiplatform.v1.FeatureOnlineStoreAdminService"
_SECONDS = 10.0  # that the provider takes
_CPU_TARGET = 50  # percent, where nothing is said
_State = FeatureOnlineStore.State


@handles(f"{_SERVICE}.CreateFeatureOnlineStore")
def create_feature_online_store(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call CreateFeatureOnlineStore: create a feature online store."""
    store = request.feature_online_store
    name = standard_methods.name_of(call, STORE, request.parent, request.feature_online_store_id)
    if store.WhichOneof("storage_type") is None:
        raise GcpError(
            "INVALID_ARGUMENT", "A FeatureOnlineStore needs a storage_type: bigtable or optimized."
        )
    _check_scaling(None, store)
    if store.HasField("optimized"):
        _give_endpoint(call, store, name)
    store.state = _State.STABLE
    standard_methods.create(call, STORE, name, store)
    return standard_methods.long_running(
        call,
        name,
        lambda: store,
        metadata=admin.CreateFeatureOnlineStoreOperationMetadata.pb()(),
        seconds=_SECONDS,
    )


@handles(f"{_SERVICE}.GetFeatureOnlineStore")
def get_feature_online_store(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call GetFeatureOnlineStore: return a feature online store."""
    return standard_methods.get(call, STORE, request.name)


@handles(f"{_SERVICE}.ListFeatureOnlineStores")
def list_feature_online_stores(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call ListFeatureOnlineStores: list the feature online stores."""
    stores, token = standard_methods.list_page(call, STORE, request, most=100)
    return admin.ListFeatureOnlineStoresResponse.pb()(
        feature_online_stores=stores, next_page_token=token
    )


@handles(f"{_SERVICE}.UpdateFeatureOnlineStore")
def update_feature_online_store(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call UpdateFeatureOnlineStore: change a feature online store."""
    store = standard_methods.update(
        call,
        STORE,
        request.feature_online_store,
        request.update_mask,
        ("labels", "bigtable"),
        check=_check_scaling,
    )
    return standard_methods.long_running(
        call,
        store.name,
        lambda: store,
        metadata=admin.UpdateFeatureOnlineStoreOperationMetadata.pb()(),
        seconds=_SECONDS,
    )


@handles(f"{_SERVICE}.DeleteFeatureOnlineStore")
def delete_feature_online_store(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call DeleteFeatureOnlineStore: delete a feature online store."""
    name = canonical(call, request.name)
    resources = call.store(Resources)
    with resources.lock:
        resources.get(STORE.word, name)
        if resources.below(name, VIEW.collection) and not request.force:
            raise GcpError(
                "FAILED_PRECONDITION",
                f"The FeatureOnlineStore {name} has FeatureViews: delete them first, or set force.",
            )
    context = call.without_request()

    def delete() -> None:
        for view in resources.below(name, VIEW.collection):
            remove_view(context, view.name)
        resources.remove(name)

    return standard_methods.long_running(
        call, name, delete, metadata=metadata.DeleteOperationMetadata.pb()(), seconds=_SECONDS
    )


def _check_scaling(previous: Any, store: Any) -> None:
    """Raise INVALID_ARGUMENT if an online store's new node counts are not valid for Bigtable.

    `previous` is the stored message before an update.
    """
    if not store.HasField("bigtable"):
        return
    if previous is not None and not previous.HasField("bigtable"):
        raise GcpError(
            "INVALID_ARGUMENT", "An optimized FeatureOnlineStore cannot become one of Bigtable."
        )
    scaling = store.bigtable.auto_scaling
    least, most = scaling.min_node_count, scaling.max_node_count
    if least < 1 or not least <= most <= 10 * least:
        raise GcpError(
            "INVALID_ARGUMENT",
            "auto_scaling needs 1 <= min_node_count <= max_node_count <= 10 * "
            f"min_node_count, and not {least} and {most}.",
        )
    scaling.cpu_utilization_target = scaling.cpu_utilization_target or _CPU_TARGET
    if not 10 <= scaling.cpu_utilization_target <= 80:
        raise GcpError(
            "INVALID_ARGUMENT",
            f"cpu_utilization_target must be 10 to 80, and not {scaling.cpu_utilization_target}.",
        )


def _give_endpoint(call: Call, store: Any, name: str) -> None:
    """Set the domain name of an online store's public endpoint in its message."""
    endpoint = store.dedicated_serving_endpoint
    if endpoint.private_service_connect_config.enable_private_service_connect:
        raise GcpError(
            "UNIMPLEMENTED", "private service connect is not supported by the offline GCP yet"
        )
    _, project, _, location = name.split("/")[:4]
    endpoint.public_endpoint_domain_name = (
        f"{call.new_id()}.{location}-{project}.featurestore.vertexai.goog"
    )
