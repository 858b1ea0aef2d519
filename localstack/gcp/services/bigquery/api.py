"""BigQuery's REST API, and its Storage Read API."""

from __future__ import annotations

import re

from ...core.rpc.apis import GoogleApi
from .permissions import PERMISSIONS, of_job

STORAGE_API = GoogleApi(
    service="bigquerystorage",
    package="google.cloud.bigquery.storage.v1",
    module="google.cloud.bigquery_storage_v1",
    hosts=("bigquerystorage.googleapis.com",),
    permissions=PERMISSIONS,
    family="bigquery",
    handlers=(f"{__package__}.operations.read_sessions",),
)

API = GoogleApi(
    service="bigquery",
    package="bigquery",
    hosts=("bigquery.googleapis.com",),
    paths=re.compile(r"/(upload/|resumable/upload/)?bigquery/"),
    throttling=("PERMISSION_DENIED", "Exceeded rate limits"),
    emulator="BIGQUERY_EMULATOR_HOST",
    permissions=PERMISSIONS,
    permissions_by_request={"bigquery.jobs.*": of_job},
    handlers=(
        f"{__package__}.operations.datasets",
        f"{__package__}.operations.tables",
        f"{__package__}.operations.rows",
        f"{__package__}.operations.jobs",
        f"{__package__}.operations.uploads",
    ),
)
