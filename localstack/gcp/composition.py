"""Which modules hold handlers.

They are imported at the first call of their API: Google's packages take their time.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Mapping, Sequence

MODULES: Mapping[str, Sequence[str]] = {  # by the protobuf's package; relative to this package
    "google.longrunning": ("operations",),
    "google.cloud.aiplatform.v1": (
        *(
            "features.groups",
            "features.stores",
            "features.views",
            "features.syncs",
            "features.fetching",
        ),
        *(
            "metadata.stores",
            "metadata.nodes",
            "metadata.graph",
            "metadata.tensorboards",
            "metadata.points",
        ),
        "models.upload",
        "models.handlers",
        "models.evaluations",
        "endpoints.lifecycle",
        "endpoints.deploying",
        "endpoints.monitoring_jobs",
        "prediction.handlers",
        "prediction.http",
        *("jobs.handlers", "jobs.training", "batch.handlers"),
        "pipelines.handlers",
    ),
    "google.pubsub.v1": (
        "pubsub.topics",
        "pubsub.subscriptions",
        "pubsub.pulling",
        "pubsub.snapshots",
        "pubsub.policies",
    ),
    "google.monitoring.v3": ("monitoring.handlers",),
    "google.cloud.bigquery.storage.v1": ("bigquery.reading",),
    "bigquery": (
        "bigquery.datasets",
        "bigquery.table_routes",
        "bigquery.rows",
        "bigquery.job_routes",
        "bigquery.upload",
    ),
    "google.logging.v2": ("logging.service", "logging.http", "logging.exports"),
    "google.cloud.resourcemanager.v3": ("resourcemanager.service",),
    "google.firestore.v1": ("firestore.documents",),
    "google.firestore.admin.v1": ("firestore.databases", "firestore.fields"),
    "storage": (
        "storage.buckets",
        "storage.objects",
        "storage.uploads",
        "storage.copies",
        "storage.acls",
        "storage.policies",
        "storage.batch",
        "storage.projects",
        "storage.notifications",
        "storage.xml_api",  # last: its routes are those of any path
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
    return package in _loaded


def load_own(modules: Sequence[str]) -> None:
    """Modules of the user's own (--handlers)."""
    for module in modules:
        importlib.import_module(module)
