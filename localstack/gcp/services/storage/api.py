"""Cloud Storage's APIs: JSON and XML."""

from __future__ import annotations

import re

from ...core.rpc.apis import GoogleApi
from .permissions import PERMISSIONS

API = GoogleApi(
    service="storage",
    package="storage",
    hosts=("storage.googleapis.com",),
    paths=re.compile(r"/(upload/|download/|resumable/upload/)?storage/|/batch/storage/"),
    other_paths=re.compile(r"/(?!v\d)[a-z0-9][a-z0-9._-]{2,}/"),  # XML: /bucket/object
    emulator="STORAGE_EMULATOR_HOST",
    permissions=PERMISSIONS,
    handlers=(
        f"{__package__}.operations.buckets",
        f"{__package__}.operations.objects",
        f"{__package__}.operations.uploads",
        f"{__package__}.operations.copies",
        f"{__package__}.operations.acls",
        f"{__package__}.operations.policies",
        f"{__package__}.operations.batch",
        f"{__package__}.operations.projects",
        f"{__package__}.operations.notifications",
        f"{__package__}.operations.xml_api",
    ),
)
