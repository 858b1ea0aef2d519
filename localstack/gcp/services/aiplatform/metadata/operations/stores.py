"""MetadataService's stores and schemas."""

from __future__ import annotations

from typing import Any

from google.cloud.aiplatform_v1.types import metadata_service as service

from .....core.call import Call
from .....core.errors import GcpError
from .....core.projects import canonical
from .....core.registry import handles
from .....core.resources import standard_methods
from .....core.resources.store import Resources
from ..kinds import ARTIFACT, CONTEXT, EXECUTION, SCHEMA, STORE
from ..records import Lineage

_SERVICE = "google.cloud.aiplatform.v1.MetadataService"
_SECONDS = 2.0  # that the provider takes


@handles(f"{_SERVICE}.CreateMetadataStore")
def create_metadata_store(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call CreateMetadataStore: create a metadata store."""
    name = standard_methods.name_of(
        call, STORE, request.parent, request.metadata_store_id or call.new_id()
    )
    store = standard_methods.create(call, STORE, name, request.metadata_store)
    metadata = service.CreateMetadataStoreOperationMetadata.pb()()
    return standard_methods.long_running(
        call, name, lambda: store, metadata=metadata, seconds=_SECONDS
    )


@handles(f"{_SERVICE}.GetMetadataStore")
def get_metadata_store(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call GetMetadataStore: return a metadata store."""
    return standard_methods.get(call, STORE, request.name)


@handles(f"{_SERVICE}.ListMetadataStores")
def list_metadata_stores(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call ListMetadataStores: list the metadata stores."""
    stores, token = standard_methods.list_page(call, STORE, request)
    return service.ListMetadataStoresResponse.pb()(metadata_stores=stores, next_page_token=token)


@handles(f"{_SERVICE}.DeleteMetadataStore")
def delete_metadata_store(call: Call, request: Any) -> Any:
    """Delete a store with all that is in it.

    `force` is deprecated, and every client sets it.
    """
    name = canonical(call, request.name)
    resources, lineage = call.store(Resources), call.store(Lineage)
    resources.get(STORE.word, name)

    def delete() -> None:
        for kind in (ARTIFACT, CONTEXT, EXECUTION, SCHEMA):
            for node in resources.below(name, kind.collection):
                lineage.forget(node.name)
                resources.remove(node.name)
        resources.remove(name)

    metadata = service.DeleteMetadataStoreOperationMetadata.pb()()
    return standard_methods.long_running(call, name, delete, metadata=metadata, seconds=_SECONDS)


@handles(f"{_SERVICE}.CreateMetadataSchema")
def create_metadata_schema(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call CreateMetadataSchema: create a metadata schema."""
    store = standard_methods.get(call, STORE, request.parent)
    if not request.metadata_schema.schema:
        raise GcpError("INVALID_ARGUMENT", "metadata_schema.schema is required.")
    name = standard_methods.name_of(
        call, SCHEMA, store.name, request.metadata_schema_id or call.new_id()
    )
    return standard_methods.create(call, SCHEMA, name, request.metadata_schema)


@handles(f"{_SERVICE}.GetMetadataSchema")
def get_metadata_schema(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call GetMetadataSchema: return a metadata schema."""
    return standard_methods.get(call, SCHEMA, request.name)


@handles(f"{_SERVICE}.ListMetadataSchemas")
def list_metadata_schemas(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call ListMetadataSchemas: list the metadata schemas."""
    standard_methods.get(call, STORE, request.parent)
    schemas, token = standard_methods.list_page(call, SCHEMA, request)
    return service.ListMetadataSchemasResponse.pb()(metadata_schemas=schemas, next_page_token=token)
