"""Inventory over this project's labels, as each service lists them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, final

from ....errors import Invalid
from ....storage import Resource
from ....target import Target
from ...common.storage.counters import KIND as COUNTERS
from ..endpoints.labels import is_adopted
from ..events import log as events
from ..names import NAME_LABEL, is_of_variant, label_filter
from ..online import store as online
from ..session import VertexSession, session_of
from ..storage import counters
from ..warehouse import warehouse
from . import deletion

Found = dict[tuple[str, str], str]  # (kind, name) -> the provider's name

# kind -> what deletes it: absent is success. In the order in which a project is taken down: users
# before what they use.
DELETERS: dict[str, Callable[[VertexSession, str], None]] = {
    "endpoint": deletion.endpoint,
    COUNTERS: counters.remove,
    "pipeline": deletion.pipeline,
    online.KIND: online.remove,
    online.STORE: deletion.store,
    events.KIND: events.remove,
    "view": warehouse.remove,
    "table": warehouse.remove,
    "model": deletion.model,
}
_FREE = frozenset(DELETERS) - {"endpoint", online.STORE}  # cost nothing by the hour, only by use


@final
class VertexInventory:
    """The Inventory port over labels."""

    def __init__(self, target: Target) -> None:
        self._session = session_of(target)

    def list(self, project: str) -> Iterator[Resource]:
        """Yield a project's Google resources; those of any but the target's project by label."""
        session = self._session
        resources, adopted = _labelled_resources(session, project)
        if project == session.name:
            resources |= online.resources(session) | warehouse.resources(session)
            resources |= {
                (COUNTERS, endpoint): database for endpoint, database in counters.databases(session)
            }
            resources |= {(events.KIND, name): topic for name, topic in events.topics(session)}
        order = list(DELETERS)
        for kind, name in sorted(resources, key=lambda pair: (order.index(pair[0]), pair[1])):
            native = resources[kind, name]
            cost = (
                Decimal(0)
                if kind in _FREE
                else deletion.endpoint_cost(session, name)
                if kind == "endpoint"
                else None
            )
            yield Resource(
                kind=kind,
                name=name,
                native_id=native,
                hourly_cost=cost,
                console_url=_url(session, kind, native),
                adopted=native in adopted,
            )

    def delete(self, resource: Resource) -> None:
        """Delete a resource by the function for its kind, without waiting; it may be absent.

        Raises:
            Busy: Something changes or uses it.
            Invalid: There is no such kind.
        """
        deleter = DELETERS.get(resource.kind)
        if deleter is None:
            raise Invalid(
                f"{resource.kind} {resource.name}: Vertex AI's target has no such kind of resource"
            )
        with self._session.mutating(f"Delete {resource.kind}", resource.name):
            deleter(self._session, resource.name)


def _labelled_resources(session: VertexSession, project: str) -> tuple[Found, set[str]]:
    """Return a project's labelled endpoints, models and pipelines, and the names of adopted ones.

    `Found` has resource names by (kind, name). A pipeline is known by the jobs that ran it.
    """
    lists: dict[str, tuple[str, Callable[[Any], Any]]] = {
        "endpoint": (
            "ListEndpoints",
            lambda request: session.endpoints.list_endpoints(request=request),
        ),
        "model": ("ListModels", lambda request: session.models.list_models(request=request)),
        "pipeline": (
            "ListPipelineJobs",
            lambda request: session.pipelines.list_pipeline_jobs(request=request),
        ),
    }
    resources: Found = {}
    adopted: set[str] = set()
    for kind, (operation, listed) in lists.items():
        with session.reading(operation, project):
            for item in listed({"parent": session.parent, "filter": label_filter(project)}):
                if (name := dict(item.labels).get(NAME_LABEL)) and is_of_variant(
                    resources.get((kind, name), "--")
                ):
                    # of a sticky endpoint's several its own, if that is listed
                    resources[kind, name] = item.name
                    if kind == "endpoint" and is_adopted(dict(item.labels)):
                        adopted.add(item.name)
    return resources, adopted


_PAGES: dict[str, str] = {
    "endpoint": "https://console.cloud.google.com/vertex-ai/locations/{location}/endpoints/{last}?project={project}",
    "model": "https://console.cloud.google.com/vertex-ai/locations/{location}/models/{last}?project={project}",
    COUNTERS: "https://console.cloud.google.com/firestore/databases/{last}/data?project={project}",
    "stream": "https://console.cloud.google.com/cloudpubsub/topic/detail/{last}?project={project}",
}


def _url(session: VertexSession, kind: str, native: str) -> Any:
    """Return the URL of a resource's page in Google's console, or None."""
    page = _PAGES.get(kind)
    if page is None or session.offline:
        return None
    return page.format(
        location=session.location, last=native.rpartition("/")[2], project=session.project
    )
