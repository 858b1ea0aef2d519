"""The IAM permissions of Vertex AI's operations that do not follow from their names.

Source: cloud.google.com/vertex-ai/docs/general/iam-permissions. Where it names none for an RPC
(MergeVersionAliases, MutateDeployedModel), it is that of an update.
"""

from __future__ import annotations

from collections.abc import Mapping

PERMISSIONS: Mapping[str, str] = {
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
    "PredictionService.*": "endpoints.predict",
}
