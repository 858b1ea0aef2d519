"""Cloud Logging's API."""

from __future__ import annotations

import re

from ...core.rpc.apis import GoogleApi
from .permissions import PERMISSIONS

API = GoogleApi(
    service="logging",
    package="google.logging.v2",
    module="google.cloud.logging_v2",
    hosts=("logging.googleapis.com",),
    paths=re.compile(r"/v2/"),
    permissions=PERMISSIONS,
    handlers=(
        f"{__package__}.operations.entries",
        f"{__package__}.operations.http",
        f"{__package__}.operations.exports",
    ),
)
