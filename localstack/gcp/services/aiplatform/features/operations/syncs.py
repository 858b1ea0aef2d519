"""FeatureOnlineStoreAdminService's syncs of feature views."""

from __future__ import annotations

from typing import Any

from google.cloud.aiplatform_v1.types import feature_online_store_admin_service as admin

from .....core.call import Call
from .....core.errors import GcpError
from .....core.registry import handles
from .....core.resources import standard_methods
from .....core.resources.store import Resources
from ..kinds import SYNC, VIEW
from ..syncs import start

_SERVICE = "google.cloud.aiplatform.v1.FeatureOnlineStoreAdminService"


@handles(f"{_SERVICE}.SyncFeatureView")
def sync_feature_view(call: Call, request: Any) -> Any:
    """Start to copy a view's rows to the online store.

    It answers Vertex AI's API call SyncFeatureView.
    """
    view = standard_methods.get(call, VIEW, request.feature_view)
    if view.sync_config.continuous:
        raise GcpError(
            "FAILED_PRECONDITION",
            f"The FeatureView {view.name} syncs continuously: it cannot be synced by hand.",
        )
    return admin.SyncFeatureViewResponse.pb()(feature_view_sync=start(call, view))


@handles(f"{_SERVICE}.GetFeatureViewSync")
def get_feature_view_sync(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call GetFeatureViewSync: return a feature view sync."""
    return standard_methods.get(call, SYNC, request.name)


@handles(f"{_SERVICE}.ListFeatureViewSyncs")
def list_feature_view_syncs(call: Call, request: Any) -> Any:
    """List a view's syncs, the newest first."""
    view = standard_methods.get(call, VIEW, request.parent)
    syncs = call.store(Resources).below(view.name, SYNC.collection)
    listed, token = standard_methods.filtered_page(syncs[::-1], request, size=1000)
    return admin.ListFeatureViewSyncsResponse.pb()(feature_view_syncs=listed, next_page_token=token)
