"""MetadataService's artifacts, contexts and executions: the same five methods and a purge."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import msgspec
from google.cloud.aiplatform_v1.types import Artifact, Context, Execution
from google.cloud.aiplatform_v1.types import metadata_service as service
from google.cloud.aiplatform_v1.types import operation as metadata

from .....core.call import Call
from .....core.errors import GcpError
from .....core.projects import canonical
from .....core.registry import handles
from .....core.resources import standard_methods
from .....core.resources.store import Resources
from .....core.resources.validation import check_etag
from .. import queries
from ..kinds import ARTIFACT, CONTEXT, EXECUTION, STORE
from ..records import Lineage

_SERVICE = "google.cloud.aiplatform.v1.MetadataService"
_SECONDS = 2.0  # that the provider takes
_SAMPLE = 100  # names that a purge without force shows


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """One of the three kinds of nodes."""

    kind: standard_methods.ResourceKind
    message: Any  # the raw class
    updatable: tuple[str, ...]

    @property
    def field(self) -> str:
        """The name of the request field that holds the node, such as artifact."""
        return self.kind.word.lower()


_COMMON = ("display_name", "description", "labels", "metadata", "schema_title", "schema_version")
NODES = (
    Node(kind=ARTIFACT, message=Artifact.pb(), updatable=(*_COMMON, "uri", "state")),
    Node(kind=CONTEXT, message=Context.pb(), updatable=_COMMON),
    Node(kind=EXECUTION, message=Execution.pb(), updatable=(*_COMMON, "state")),
)


def _answer(node: Node) -> None:
    """Register the RPC handlers of a kind of metadata node: artifact, execution or context.

    They are create, get, list, update, delete and purge.
    """
    word = node.kind.word
    methods: dict[str, Callable[[Call, Any], Any]] = {
        f"Create{word}": lambda call, request: create(
            call, node, request.parent, getattr(request, node.field), _requested_id(node, request)
        ),
        f"Get{word}": lambda call, request: standard_methods.get(call, node.kind, request.name),
        f"List{word}s": lambda call, request: _list(call, node, request),
        f"Update{word}": lambda call, request: _update(call, node, request),
        f"Delete{word}": lambda call, request: _delete(call, node, request),
        f"Purge{word}s": lambda call, request: _purge(call, node, request),
    }
    for name, method in methods.items():
        handles(f"{_SERVICE}.{name}")(method)


def create(call: Call, node: Node, parent: str, message: Any, identifier: str) -> Any:
    """Store a new node (artifact, execution or context) in a metadata store, and return it."""
    store = standard_methods.get(call, STORE, parent)
    name = standard_methods.name_of(call, node.kind, store.name, identifier or str(uuid.uuid4()))
    return standard_methods.create(call, node.kind, name, message)


def _requested_id(node: Node, request: Any) -> str:
    """Return the id that a create request sets for its node, or an empty text."""
    identifier: str = getattr(request, f"{node.field}_id")
    return identifier


def _list(call: Call, node: Node, request: Any) -> Any:
    """Answer a list request for the nodes of one kind: artifacts, executions or contexts."""
    store = standard_methods.get(call, STORE, request.parent)
    nodes = call.store(Resources).below(store.name, node.kind.collection)
    listed, token = queries.select(call, nodes, request)
    answer = getattr(service, f"List{node.kind.word}sResponse").pb()
    return answer(**{node.kind.collection: listed}, next_page_token=token)


def _update(call: Call, node: Node, request: Any) -> Any:
    """Update a node, or create it if the request's allow_missing is set; return the node."""
    message = getattr(request, node.field)
    name = canonical(call, message.name)
    if request.allow_missing and call.store(Resources).find(name) is None:
        parent, _, identifier = name.rpartition(f"/{node.kind.collection}/")
        return create(call, node, parent, message, identifier)
    # A stale etag is taken: Google's own system test of experiments writes a context with one from
    # before another write.
    return standard_methods.update(
        call, node.kind, message, request.update_mask, node.updatable, fenced=False
    )


def _delete(call: Call, node: Node, request: Any) -> Any:
    """Delete a node of ML Metadata by a long-running operation. `force` changes nothing.

    "The force deletion semantics is still undefined" [sdk]; an experiment is deleted before its
    pipeline runs.
    """
    name = canonical(call, request.name)
    current = standard_methods.get(call, node.kind, name)
    check_etag(request.etag, current.etag, name)
    context = call.without_request()
    return standard_methods.long_running(
        call,
        name,
        lambda: remove(context, node, name),
        metadata=metadata.DeleteOperationMetadata.pb()(),
        seconds=_SECONDS,
    )


def remove(call: Call, node: Node, name: str) -> None:
    """Delete a node with its lineage links; a context's children remain without a parent."""
    resources = call.store(Resources)
    if node.kind is CONTEXT:
        for child in _children(call, name):
            child.parent_contexts.remove(name)
            resources.put(child.name, child)
    call.store(Lineage).forget(name)
    resources.remove(name)


def _children(call: Call, name: str) -> list[Any]:
    """Return the ML Metadata contexts whose parent is the context of that name."""
    parent = name.rpartition(f"/{CONTEXT.collection}/")[0]
    return [
        context
        for context in call.store(Resources).below(parent, CONTEXT.collection)
        if name in context.parent_contexts
    ]


def _purge(call: Call, node: Node, request: Any) -> Any:
    """Delete the nodes that fit a purge request's filter; without `force`, only count them."""
    if not request.filter:
        raise GcpError("INVALID_ARGUMENT", "A purge needs a filter.")
    store = standard_methods.get(call, STORE, request.parent)
    names = [
        item.name
        for item in queries.matching(
            call, call.store(Resources).below(store.name, node.kind.collection), request.filter
        )
    ]
    context = call.without_request()
    response = getattr(service, f"Purge{node.kind.word}sResponse").pb()(purge_count=len(names))
    if not request.force:
        response.purge_sample.extend(names[:_SAMPLE])

    def purge() -> Any:
        for name in names if request.force else ():
            remove(context, node, name)
        return response

    purging = getattr(service, f"Purge{node.kind.word}sMetadata").pb()()
    return standard_methods.long_running(
        call, store.name, purge, metadata=purging, seconds=_SECONDS
    )


for _node in NODES:
    _answer(_node)
