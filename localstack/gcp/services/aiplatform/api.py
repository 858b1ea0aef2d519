"""Vertex AI's API, and the parts that answer it."""

from __future__ import annotations

import re

from ...core.rpc.apis import GoogleApi
from .permissions import PERMISSIONS

API = GoogleApi(
    service="aiplatform",
    package="google.cloud.aiplatform.v1",
    module="google.cloud.aiplatform_v1",
    hosts=("aiplatform.googleapis.com", "prediction.vertexai.goog", "featurestore.vertexai.goog"),
    other_paths=re.compile(r"/(v1|ui)/"),
    permissions=PERMISSIONS,
    handlers=(
        f"{__package__}.features.operations.groups",
        f"{__package__}.features.operations.stores",
        f"{__package__}.features.operations.views",
        f"{__package__}.features.operations.syncs",
        f"{__package__}.features.operations.reads",
        f"{__package__}.features.operations.writes",
        f"{__package__}.metadata.operations.stores",
        f"{__package__}.metadata.operations.nodes",
        f"{__package__}.metadata.operations.graph",
        f"{__package__}.metadata.operations.tensorboards",
        f"{__package__}.metadata.operations.points",
        f"{__package__}.models.operations.upload",
        f"{__package__}.models.operations.models",
        f"{__package__}.models.operations.evaluations",
        f"{__package__}.endpoints.operations.endpoints",
        f"{__package__}.endpoints.operations.deployments",
        f"{__package__}.endpoints.operations.monitoring_jobs",
        f"{__package__}.prediction.operations.predictions",
        f"{__package__}.prediction.operations.http",
        f"{__package__}.jobs.operations.custom_jobs",
        f"{__package__}.jobs.operations.training_pipelines",
        f"{__package__}.batch.operations",
        f"{__package__}.pipelines.operations",
    ),
)
