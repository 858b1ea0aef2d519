"""The services of the stack: the modules that hold their handlers.

A service's modules are imported at the first call of its API, as Google's packages take their time.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Mapping, Sequence

MODULES: Mapping[str, Sequence[str]] = {  # by the protobuf's package; relative to this package
    "google.longrunning": ("core.resources.operations",),
    "google.cloud.aiplatform.v1": (
        "services.aiplatform.features.operations.groups",
        "services.aiplatform.features.operations.stores",
        "services.aiplatform.features.operations.views",
        "services.aiplatform.features.operations.syncs",
        "services.aiplatform.features.operations.reads",
        "services.aiplatform.metadata.operations.stores",
        "services.aiplatform.metadata.operations.nodes",
        "services.aiplatform.metadata.operations.graph",
        "services.aiplatform.metadata.operations.tensorboards",
        "services.aiplatform.metadata.operations.points",
        "services.aiplatform.models.operations.upload",
        "services.aiplatform.models.operations.models",
        "services.aiplatform.models.operations.evaluations",
        "services.aiplatform.endpoints.operations.endpoints",
        "services.aiplatform.endpoints.operations.deployments",
        "services.aiplatform.endpoints.operations.monitoring_jobs",
        "services.aiplatform.prediction.operations.predictions",
        "services.aiplatform.prediction.operations.http",
        "services.aiplatform.jobs.operations.custom_jobs",
        "services.aiplatform.jobs.operations.training_pipelines",
        "services.aiplatform.batch.operations",
        "services.aiplatform.pipelines.operations",
    ),
    "google.pubsub.v1": (
        "services.pubsub.operations.topics",
        "services.pubsub.operations.subscriptions",
        "services.pubsub.operations.pulling",
        "services.pubsub.operations.snapshots",
        "services.pubsub.operations.policies",
    ),
    "google.monitoring.v3": ("services.monitoring.operations",),
    "google.cloud.bigquery.storage.v1": ("services.bigquery.operations.read_sessions",),
    "bigquery": (
        "services.bigquery.operations.datasets",
        "services.bigquery.operations.tables",
        "services.bigquery.operations.rows",
        "services.bigquery.operations.jobs",
        "services.bigquery.operations.uploads",
    ),
    "google.logging.v2": (
        "services.logging.operations.entries",
        "services.logging.operations.http",
        "services.logging.operations.exports",
    ),
    "google.cloud.resourcemanager.v3": ("services.resourcemanager.operations",),
    "google.firestore.v1": ("services.firestore.operations.documents",),
    "google.firestore.admin.v1": (
        "services.firestore.operations.databases",
        "services.firestore.operations.fields",
    ),
    "storage": (
        "services.storage.operations.buckets",
        "services.storage.operations.objects",
        "services.storage.operations.uploads",
        "services.storage.operations.copies",
        "services.storage.operations.acls",
        "services.storage.operations.policies",
        "services.storage.operations.batch",
        "services.storage.operations.projects",
        "services.storage.operations.notifications",
        "services.storage.operations.xml_api",  # last: its routes are those of any path
    ),
}
_loaded: set[str] = set()
IMPORTING = threading.RLock()  # Google's packages do not bear two threads that import them at once


def load(package: str) -> None:
    """Import the handlers of an API, once."""
    if package in _loaded:
        return
    with IMPORTING:
        for module in MODULES.get(package, ()):
            importlib.import_module(f".{module}", __package__)
        _loaded.add(package)


def is_loaded(package: str) -> bool:
    """Return whether the handlers of an API are imported."""
    return package in _loaded


def load_own(modules: Sequence[str]) -> None:
    """Import the user's own modules of handlers (--handlers)."""
    for module in modules:
        importlib.import_module(module)
