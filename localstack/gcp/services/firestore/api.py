"""Firestore's API, and that of its databases' settings."""

from __future__ import annotations

import re

from ...core.rpc.apis import GoogleApi
from .permissions import PERMISSIONS, of_commit

API = GoogleApi(
    service="firestore",
    package="google.firestore.v1",
    module="google.cloud.firestore_v1",
    paths=re.compile(r"/v1/projects/[^/]+/databases/[^/]+/documents"),
    emulator="FIRESTORE_EMULATOR_HOST",
    permissions=PERMISSIONS,
    permissions_by_request={"Firestore.Commit": of_commit},
    family="datastore",
    handlers=(f"{__package__}.operations.documents",),
)

ADMIN_API = GoogleApi(
    service="firestoreadmin",
    package="google.firestore.admin.v1",
    module="google.cloud.firestore_admin_v1",
    paths=re.compile(r"/v1/projects/[^/]+/databases"),
    resources=re.compile(r"(/|%2F)databases(/|%2F)"),
    permissions=PERMISSIONS,
    family="datastore",
    handlers=(f"{__package__}.operations.databases", f"{__package__}.operations.fields"),
)
