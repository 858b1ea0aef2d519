"""The services of the stack, put together above both floors."""

from __future__ import annotations

from .core.rpc.catalog import Catalog
from .services.aiplatform import api as aiplatform
from .services.bigquery import api as bigquery
from .services.firestore import api as firestore
from .services.logging import api as logging
from .services.monitoring import api as monitoring
from .services.pubsub import api as pubsub
from .services.resourcemanager import api as resourcemanager
from .services.storage import api as storage

CATALOG = Catalog(
    (
        aiplatform.API,
        pubsub.API,
        monitoring.API,
        logging.API,
        resourcemanager.API,
        bigquery.STORAGE_API,
        firestore.API,
        firestore.ADMIN_API,
        storage.API,
        bigquery.API,
    ),
    shared_handlers=(f"{__package__}.core.resources.operations",),
)
