"""Resource Manager's API."""

from __future__ import annotations

import re

from ...core.rpc.apis import GoogleApi
from .permissions import PERMISSIONS

API = GoogleApi(
    service="resourcemanager",
    package="google.cloud.resourcemanager.v3",
    module="google.cloud.resourcemanager_v3",
    hosts=("cloudresourcemanager.googleapis.com",),
    paths=re.compile(r"/v3/"),
    permissions=PERMISSIONS,
    handlers=(f"{__package__}.operations",),
)
