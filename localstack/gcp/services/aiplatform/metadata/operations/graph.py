"""MetadataService's links between nodes, and queries of lineage."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from google.cloud.aiplatform_v1.types import LineageSubgraph
from google.cloud.aiplatform_v1.types import metadata_service as service

from .....core.call import Call
from .....core.errors import GcpError
from .....core.projects import canonical
from .....core.registry import handles
from .....core.resources import standard_methods
from .....core.resources.store import Resources
from .. import queries
from ..kinds import ARTIFACT, CONTEXT, EXECUTION
from ..records import Lineage

_SERVICE = "google.cloud.aiplatform.v1.MetadataService"
_MOST_HOPS = 100
_MOST_PARENTS = 10


@handles(f"{_SERVICE}.AddContextArtifactsAndExecutions")
def add_context_artifacts_and_executions(call: Call, request: Any) -> Any:
    """Put artifacts and executions into a context.

    It answers Vertex AI's API call AddContextArtifactsAndExecutions.
    """
    context = standard_methods.get(call, CONTEXT, request.context)
    artifacts = [standard_methods.get(call, ARTIFACT, name).name for name in request.artifacts]
    executions = [standard_methods.get(call, EXECUTION, name).name for name in request.executions]
    call.store(Lineage).add_members(context.name, [*artifacts, *executions])
    return service.AddContextArtifactsAndExecutionsResponse.pb()()


@handles(f"{_SERVICE}.AddContextChildren")
def add_context_children(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call AddContextChildren: put contexts below another one."""
    resources = call.store(Resources)
    with resources.lock:
        parent = standard_methods.get(call, CONTEXT, request.context)
        children = [standard_methods.get(call, CONTEXT, name) for name in request.child_contexts]
        for child in children:
            if child.name in _ancestors(resources, parent):
                raise GcpError(
                    "INVALID_ARGUMENT",
                    f"The Context {child.name} is an ancestor of {parent.name}: it cannot be "
                    "its child.",
                )
            if parent.name not in child.parent_contexts:
                if len(child.parent_contexts) >= _MOST_PARENTS:
                    raise GcpError(
                        "FAILED_PRECONDITION",
                        f"The Context {child.name} has {_MOST_PARENTS} parents, the most "
                        "that are possible.",
                    )
                child.parent_contexts.append(parent.name)
        for child in children:  # its etag stays: the SDK goes on with the one that it has
            resources.put(child.name, child)
    return service.AddContextChildrenResponse.pb()()


@handles(f"{_SERVICE}.RemoveContextChildren")
def remove_context_children(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call RemoveContextChildren: take contexts out of another one."""
    resources = call.store(Resources)
    with resources.lock:
        parent = standard_methods.get(call, CONTEXT, request.context)
        for name in request.child_contexts:
            child = standard_methods.get(call, CONTEXT, name)
            if parent.name in child.parent_contexts:
                child.parent_contexts.remove(parent.name)
                resources.put(child.name, child)
    return service.RemoveContextChildrenResponse.pb()()


@handles(f"{_SERVICE}.AddExecutionEvents")
def add_execution_events(call: Call, request: Any) -> Any:
    """Record the inputs and outputs of an execution.

    It answers Vertex AI's API call AddExecutionEvents.
    """
    execution = standard_methods.get(call, EXECUTION, request.execution)
    for event in request.events:
        if not event.type_:
            raise GcpError("INVALID_ARGUMENT", "An event needs a type: INPUT or OUTPUT.")
        event.artifact = standard_methods.get(call, ARTIFACT, event.artifact).name
        event.execution = execution.name
        if not event.HasField("event_time"):
            event.event_time.CopyFrom(call.now_pb())
    call.store(Lineage).add_events(execution.name, request.events)
    return service.AddExecutionEventsResponse.pb()()


@handles(f"{_SERVICE}.QueryContextLineageSubgraph")
def query_context_lineage_subgraph(call: Call, request: Any) -> Any:
    """Return a context's artifacts, executions and events.

    It answers Vertex AI's API call QueryContextLineageSubgraph.
    """
    context = standard_methods.get(call, CONTEXT, request.context)
    members = call.store(Lineage).members(context.name)
    executions = [name for name in members if f"/{EXECUTION.collection}/" in name]
    events = call.store(Lineage).events(executions=executions)
    return _graph(call, [*members, *(event.artifact for event in events)], events)


@handles(f"{_SERVICE}.QueryExecutionInputsAndOutputs")
def query_execution_inputs_and_outputs(call: Call, request: Any) -> Any:
    """Return an execution's inputs and outputs.

    It answers Vertex AI's API call QueryExecutionInputsAndOutputs.
    """
    execution = standard_methods.get(call, EXECUTION, request.execution)
    events = call.store(Lineage).events(executions=[execution.name])
    return _graph(call, [execution.name, *(event.artifact for event in events)], events)


@handles(f"{_SERVICE}.QueryArtifactLineageSubgraph")
def query_artifact_lineage_subgraph(call: Call, request: Any) -> Any:
    """Return the lineage graph within `max_hops` events of an artifact.

    The filter narrows the artifacts that are shown.
    """
    lineage = call.store(Lineage)
    start = standard_methods.get(call, ARTIFACT, request.artifact).name
    artifacts, executions = {start}, set[str]()
    for hop in range(2 * min(request.max_hops or _MOST_HOPS, _MOST_HOPS)):
        if hop % 2 == 0:
            executions |= {event.execution for event in lineage.events(artifacts=artifacts)}
        else:
            artifacts |= {event.artifact for event in lineage.events(executions=executions)}
    events = lineage.events(executions=executions, artifacts=artifacts)
    graph = _graph(call, [*artifacts, *executions], events)
    if request.filter:
        fitting = queries.matching(call, list(graph.artifacts), request.filter)
        graph = _graph(call, [*(artifact.name for artifact in fitting), *executions], events)
    return graph


def _ancestors(resources: Resources, context: Any) -> Collection[str]:
    """Return the names of an ML Metadata context and of all contexts above it."""
    names = {context.name}
    for name in context.parent_contexts:
        names |= set(_ancestors(resources, resources.get(CONTEXT.word, name)))
    return names


def _graph(call: Call, names: Iterable[str], events: Iterable[Any]) -> Any:
    """Return a LineageSubgraph of the named nodes, the events, and the nodes that those link."""
    resources = call.store(Resources)
    nodes = {
        name: resources.find(name)
        for name in dict.fromkeys(canonical(call, name) for name in names)
    }
    graph = LineageSubgraph.pb()()
    for name, node in nodes.items():
        if node is not None:
            (graph.artifacts if f"/{ARTIFACT.collection}/" in name else graph.executions).append(
                node
            )
    graph.events.extend(
        event
        for event in events
        if nodes.get(event.artifact) is not None and nodes.get(event.execution) is not None
    )
    return graph
