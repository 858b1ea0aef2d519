"""FeatureOnlineStoreAdminService's feature views."""

from __future__ import annotations

from typing import Any

from google.cloud.aiplatform_v1.types import feature_online_store_admin_service as admin
from google.cloud.aiplatform_v1.types import operation as metadata

from .....core.call import Call
from .....core.errors import GcpError
from .....core.projects import canonical
from .....core.registry import handles
from .....core.resources import standard_methods
from .....core.resources.store import Resources
from .. import cron, syncs
from ..kinds import STORE, VIEW
from ..sources import view_sources

_SERVICE = "google.cloud.aiplatform.v1.FeatureOnlineStoreAdminService"
_SECONDS = 3.0  # that the provider takes


@handles(f"{_SERVICE}.CreateFeatureView")
def create_feature_view(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call CreateFeatureView: create a feature view."""
    view = request.feature_view
    store = standard_methods.get(call, STORE, request.parent)
    name = standard_methods.name_of(call, VIEW, store.name, request.feature_view_id)
    _check(call, view, store, name)
    standard_methods.create(call, VIEW, name, view)
    syncs.schedule(call, view)
    if request.run_sync_immediately:
        syncs.start(call, view)
    return standard_methods.long_running(
        call,
        name,
        lambda: view,
        metadata=admin.CreateFeatureViewOperationMetadata.pb()(),
        seconds=_SECONDS,
    )


@handles(f"{_SERVICE}.GetFeatureView")
def get_feature_view(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call GetFeatureView: return a feature view."""
    return standard_methods.get(call, VIEW, request.name)


@handles(f"{_SERVICE}.ListFeatureViews")
def list_feature_views(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call ListFeatureViews: list the feature views."""
    standard_methods.get(call, STORE, request.parent)
    views, token = standard_methods.list_page(call, VIEW, request, size=1000)
    return admin.ListFeatureViewsResponse.pb()(feature_views=views, next_page_token=token)


@handles(f"{_SERVICE}.UpdateFeatureView")
def update_feature_view(call: Call, request: Any) -> Any:
    """Answer UpdateFeatureView: change a view's settings; its served rows stay until a sync."""
    name = canonical(call, request.feature_view.name)
    store = standard_methods.get(call, STORE, name.partition(f"/{VIEW.collection}/")[0])
    view = standard_methods.update(
        call,
        VIEW,
        request.feature_view,
        request.update_mask,
        (
            "labels",
            "service_agent_type",
            "big_query_source",
            "feature_registry_source",
            "sync_config",
        ),
        check=lambda _, changed: _check(call, changed, store, name),
    )
    syncs.schedule(call, view)
    return standard_methods.long_running(
        call,
        name,
        lambda: view,
        metadata=admin.UpdateFeatureViewOperationMetadata.pb()(),
        seconds=_SECONDS,
    )


@handles(f"{_SERVICE}.DeleteFeatureView")
def delete_feature_view(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call DeleteFeatureView: delete a feature view."""
    name = canonical(call, request.name)
    call.store(Resources).get(VIEW.word, name)
    context = call.without_request()
    return standard_methods.long_running(
        call,
        name,
        lambda: remove_view(context, name),
        metadata=metadata.DeleteOperationMetadata.pb()(),
        seconds=_SECONDS,
    )


def remove_view(call: Call, name: str) -> None:
    """Delete a feature view with its syncs and served rows."""
    syncs.drop_view(call, name)
    call.store(Resources).remove(name)


def _check(call: Call, view: Any, store: Any, name: str) -> None:
    """Raise an error for a feature view whose source or sync_config is wrong or not supported."""
    if view.HasField("index_config"):
        raise GcpError(
            "UNIMPLEMENTED",
            "a FeatureView with an index_config (vector search) is not supported by the "
            "offline GCP yet",
        )
    config = view.sync_config
    if config.cron and config.continuous:
        raise GcpError(
            "INVALID_ARGUMENT",
            "sync_config has both cron and continuous: only one of them can be set.",
        )
    if config.continuous and not store.HasField("bigtable"):
        raise GcpError(
            "INVALID_ARGUMENT",
            "sync_config.continuous is possible in a FeatureOnlineStore of Bigtable only.",
        )
    if config.cron:
        try:
            cron.parse(config.cron)
        except ValueError as error:
            raise GcpError("INVALID_ARGUMENT", f"sync_config.cron is not valid: {error}") from error
    view_sources(call, view, name)
