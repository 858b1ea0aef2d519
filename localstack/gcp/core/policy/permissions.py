"""The IAM permissions that a call needs, by its name in the log. Pure.

Sources: for Vertex AI cloud.google.com/vertex-ai/docs/general/iam-permissions, for the others the
page of each method. Where Google's pages name none for an RPC (MergeVersionAliases,
MutateDeployedModel), it is that of an update. Reading an operation that one has started needs
nothing more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_VERB = re.compile(r"(Create|Get|List|Update|Delete|Cancel|Upload|Query|Detach)(\w+)")
_CHANGES = re.compile(
    r"\s*(insert|update|delete|merge|create|drop|alter|truncate)\b", re.IGNORECASE
)
_LARGEST = 1 << 20  # bytes of a body that is looked into

# What does not follow from its name. Below the service: "" is nothing, several are separated by a
# space.
_OTHERS: Mapping[str, str] = {
    "EndpointService.DeployModel": "endpoints.deploy",
    "EndpointService.UndeployModel": "endpoints.undeploy",
    "EndpointService.MutateDeployedModel": "endpoints.update",
    "EndpointService.UpdateEndpointLongRunning": "endpoints.update",
    "ModelService.ListModelVersions": "models.list",
    "ModelService.DeleteModelVersion": "models.delete",
    "ModelService.MergeVersionAliases": "models.update",
    "ModelService.ImportModelEvaluation": "modelEvaluations.import",
    "PredictionService.Explain": "endpoints.explain",
    "FeatureOnlineStoreAdminService.SyncFeatureView": "featureViews.sync",
    "FeatureOnlineStoreService.FetchFeatureValues": "featureViews.fetchFeatureValues",
    "FeatureOnlineStoreService.SearchNearestEntities": "featureViews.searchNearestEntities",
    "FeatureOnlineStoreService.FeatureViewDirectWrite": "featureViews.directWrite",
    "MetadataService.AddContextArtifactsAndExecutions": "contexts.addContextArtifactsAndExecutions",
    "MetadataService.AddContextChildren": "contexts.addContextChildren",
    "MetadataService.AddExecutionEvents": "executions.addExecutionEvents",
    "FeatureRegistryService.BatchCreateFeatures": "features.create",
    "MetadataService.PurgeArtifacts": "artifacts.list artifacts.delete",
    "MetadataService.PurgeContexts": "contexts.list contexts.delete",
    "MetadataService.PurgeExecutions": "executions.list executions.delete",
    "MetadataService.QueryArtifactLineageSubgraph": "artifacts.get",
    "MetadataService.RemoveContextChildren": "contexts.addContextChildren",
    "MetadataService.QueryContextLineageSubgraph": "contexts.queryContextLineageSubgraph",
    "MetadataService.QueryExecutionInputsAndOutputs": "executions.queryExecutionInputsAndOutputs",
    "TensorboardService.WriteTensorboardRunData": "tensorboardRuns.write",
    "TensorboardService.WriteTensorboardExperimentData": "tensorboardExperiments.write",
    "TensorboardService.ReadTensorboardTimeSeriesData": "tensorboardTimeSeries.read",
    "TensorboardService.BatchReadTensorboardTimeSeriesData": "tensorboardTimeSeries.batchRead",
    "TensorboardService.ExportTensorboardTimeSeriesData": "tensorboardTimeSeries.read",
    "TensorboardService.BatchCreateTensorboardRuns": "tensorboardRuns.batchCreate",
    "TensorboardService.BatchCreateTensorboardTimeSeries": "tensorboardTimeSeries.batchCreate",
    "Operations.ListOperations": "operations.list",
    "storage.objects.insert": "objects.create objects.delete",  # the second one to overwrite
    "storage.objects.copy": "objects.get objects.create objects.delete",
    "storage.objects.rewrite": "objects.get objects.create objects.delete",
    "storage.objects.compose": "objects.get objects.create objects.delete",
    "storage.objects.patch": "objects.get objects.update",
    "storage.objects.update": "objects.get objects.update",
    "storage.buckets.insert": "buckets.create",
    "storage.buckets.patch": "buckets.get buckets.update",
    "storage.buckets.update": "buckets.get buckets.update",
    "bigquery.datasets.list": "datasets.get",
    "bigquery.datasets.insert": "datasets.create",
    "bigquery.datasets.patch": "datasets.get datasets.update",
    "bigquery.datasets.update": "datasets.get datasets.update",
    "bigquery.tables.insert": "tables.create",
    "bigquery.tables.patch": "tables.get tables.update",
    "bigquery.tables.update": "tables.get tables.update",
    "bigquery.tabledata.insertAll": "tables.updateData",
    "bigquery.tabledata.list": "tables.getData",
    "bigquery.jobs.get": "",
    "bigquery.jobs.getQueryResults": "",
    "bigquery.jobs.cancel": "",
    "bigquery.jobs.insert": "jobs.create",
    "bigquery.jobs.query": "jobs.create tables.getData",
    "BigQueryRead.CreateReadSession": "readsessions.create tables.getData",
    "BigQueryRead.ReadRows": "readsessions.getData",
    "BigQueryRead.SplitReadStream": "readsessions.getData",
    "Publisher.ListTopicSnapshots": "topics.get",
    "Publisher.ListTopicSubscriptions": "topics.get",
    "IAMPolicy.GetIamPolicy": "topics.getIamPolicy subscriptions.getIamPolicy",
    "IAMPolicy.SetIamPolicy": "topics.setIamPolicy subscriptions.setIamPolicy",
    "Subscriber.CreateSnapshot": "snapshots.create subscriptions.consume",
    "Publisher.Publish": "topics.publish",
    "Subscriber.CreateSubscription": "subscriptions.create topics.attachSubscription",
    "Subscriber.Pull": "subscriptions.consume",
    "Subscriber.StreamingPull": "subscriptions.consume",
    "Subscriber.Acknowledge": "subscriptions.consume",
    "Subscriber.ModifyAckDeadline": "subscriptions.consume",
    "Subscriber.ModifyPushConfig": "subscriptions.update",
    "Subscriber.Seek": "subscriptions.consume snapshots.seek",
    "Subscriber.DetachSubscription": "topics.detachSubscription",
    "Publisher.DetachSubscription": "topics.detachSubscription",
    "QueryService.QueryTimeSeries": "timeSeries.list",
    "LoggingServiceV2.WriteLogEntries": "logEntries.create",
    "Firestore.GetDocument": "entities.get",
    "Firestore.BatchGetDocuments": "entities.get",
    "FirestoreAdmin.GetDatabase": "databases.getMetadata",
    "FirestoreAdmin.GetField": "indexes.get",
    "FirestoreAdmin.UpdateField": "indexes.update",
    "Projects.SearchProjects": "",
    "Projects.GetIamPolicy": "projects.getIamPolicy",
    "Projects.SetIamPolicy": "projects.setIamPolicy",
}
# of which the permissions of a service are, where they are not its own
_BELOW = {"bigquerystorage": "bigquery", "firestore": "datastore", "firestoreadmin": "datastore"}
_COMMIT = "Firestore.Commit"
_PLURALS = {"TimeSeries": "timeSeries", "TensorboardTimeSeries": "tensorboardTimeSeries"}


def of_call(service: str, operation: str, request: Any = None) -> frozenset[str]:
    """Return the permissions that one call needs.

    `request` matters only for the calls for which `looks_into` is true.
    """
    family = _BELOW.get(service, service)
    if operation == _COMMIT:
        return frozenset(f"{family}.{name}" for name in _of_commit(request))
    names = [
        *_permission_names(operation),
        *(_of_job(request) if operation.startswith("bigquery.jobs.") else ()),
    ]
    return frozenset(f"{family}.{name}" for name in names)


def looks_into(operation: str) -> bool:
    """Return whether a call's permissions depend on its request.

    They do for BigQuery's jobs and for Firestore's commits.
    """
    return operation == _COMMIT or operation.startswith("bigquery.jobs.")


def _permission_names(operation: str) -> list[str]:
    """Return the permissions that an operation's name implies, without their service."""
    if operation in _OTHERS:
        return _OTHERS[operation].split()
    service, _, method = operation.partition(".")
    if service in ("storage", "bigquery"):
        return [method] if method else []
    if service == "PredictionService":
        return ["endpoints.predict"]
    match = _VERB.fullmatch(method)
    if match is None:
        return []
    verb, noun = match[1].lower(), match[2]
    resource = _plural(noun)
    return [f"{resource}.get", f"{resource}.update"] if verb == "update" else [f"{resource}.{verb}"]


def _plural(noun: str) -> str:
    if noun in _PLURALS:
        return _PLURALS[noun]
    name = noun[0].lower() + noun[1:]
    return name if name.endswith("s") else f"{name[:-1]}ies" if name.endswith("y") else f"{name}s"


def _of_commit(request: Any) -> Iterator[str]:
    """Yield what a commit's writes may do to documents.

    A write without a precondition may create a document, and may change one.
    """
    for write in request.writes:
        condition = write.current_document
        exists = condition.exists if condition.WhichOneof("condition_type") == "exists" else None
        timed = condition.WhichOneof("condition_type") == "update_time"
        if write.WhichOneof("operation") == "delete":
            yield "entities.delete"
            continue
        if exists is not True and not timed:
            yield "entities.create"
        if exists is not False:
            yield "entities.update"


def _of_job(request: Any) -> Iterator[str]:
    """Yield what a BigQuery job does to tables."""
    body = getattr(request, "body", b"")
    part = getattr(request, "method", "") == "PUT"  # of a resumable upload
    if not body or part or len(body) > _LARGEST or not body.lstrip().startswith(b"{"):
        if body:  # rows that are uploaded with it
            yield from ("tables.create", "tables.updateData")
        return
    content = request.json()
    configuration = content.get("configuration") or {"query": content}
    if "load" in configuration or "copy" in configuration:
        yield from ("tables.create", "tables.updateData")
    if "copy" in configuration or "extract" in configuration:
        yield "tables.getData"
    query = configuration.get("query")
    if isinstance(query, dict) and query.get("query"):
        yield "tables.getData"
        if query.get("destinationTable") or _CHANGES.match(str(query["query"])):
            yield from ("tables.create", "tables.updateData")
