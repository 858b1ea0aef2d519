"""Cloud Monitoring's API."""

from __future__ import annotations

from ...core.rpc.apis import GoogleApi
from .permissions import PERMISSIONS

API = GoogleApi(
    service="monitoring",
    package="google.monitoring.v3",
    module="google.cloud.monitoring_v3",
    hosts=("monitoring.googleapis.com",),
    permissions=PERMISSIONS,
    handlers=(f"{__package__}.operations",),
)
