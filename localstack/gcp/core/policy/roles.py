"""Google's predefined roles: their sizes, and the permissions in them that a call here can need.

Facts of August 2026; those of datastore's roles are from an older copy. From
cloud.google.com/iam/docs/roles-permissions, by way of github.com/iann0036/iam-dataset. Roles of
single resources, of service agents and of products that this stack does not offer are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations

import msgspec

_MOST = 3  # roles of one service, beyond which a custom role is the better answer


class Role(msgspec.Struct, frozen=True, kw_only=True):
    """A predefined role."""

    size: int  # permissions that it grants
    permissions: frozenset[str]


def smallest_roles(needed: Iterable[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return the predefined IAM roles that grant `needed` with the fewest extra permissions.

    Each service is solved by itself, as one service's role grants nothing of weight in another.

    Returns:
        The roles' names, and the permissions that no role of the table has.
    """
    permissions = frozenset(needed)
    grantable = frozenset[str]().union(*(role.permissions for role in ROLES.values()))
    roles: dict[str, None] = {}
    for service in sorted({permission.partition(".")[0] for permission in permissions & grantable}):
        own = {
            permission
            for permission in permissions & grantable
            if permission.startswith(f"{service}.")
        }
        roles |= dict.fromkeys(_cover(own - _permissions_of(roles)))
    for name in list(roles):  # what a later service's role grants, too
        others = [other for other in roles if other != name]
        if permissions & grantable <= _permissions_of(others):
            del roles[name]
    return tuple(roles), permissions - grantable


def _permissions_of(roles: Iterable[str]) -> frozenset[str]:
    """Return all permissions that these predefined roles grant together."""
    return frozenset[str]().union(*(ROLES[name].permissions for name in roles))


def _cover(needed: frozenset[str] | set[str]) -> tuple[str, ...]:
    """Return at most three roles that grant all of `needed` with the fewest permissions."""
    helpful = [name for name, role in ROLES.items() if role.permissions & needed]
    sets = (names for count in range(_MOST + 1) for names in combinations(helpful, count))
    covers = (names for names in sets if needed <= _permissions_of(names))
    return min(
        covers, key=lambda names: sum(ROLES[name].size for name in names), default=tuple(helpful)
    )


def _role(size: int, text: str) -> Role:
    """Return a predefined IAM role that has `size` permissions in all.

    `text` lists those that calls to this stack can need, such as "jobs create get; tables get".
    """
    parts = (words.split() for words in text.split("; "))
    return Role(
        size=size,
        permissions=frozenset(f"{resource}.{verb}" for resource, *verbs in parts for verb in verbs),
    )


_AIPLATFORM_USER = (  # of those that a call here can need, aiplatform.admin grants no more
    "aiplatform.artifacts create delete get list update; aiplatform.contexts "
    "addContextArtifactsAndExecutions addContextChildren create delete get list "
    "queryContextLineageSubgraph update; aiplatform.customJobs cancel create delete get list; "
    "aiplatform.datasets create delete get list update; aiplatform.endpoints create delete "
    "deploy explain get list predict undeploy update; aiplatform.executions addExecutionEvents "
    "create delete get list queryExecutionInputsAndOutputs update; aiplatform.featureGroups "
    "create delete get list update; aiplatform.featureOnlineStores create delete get list "
    "update; aiplatform.featureViewSyncs get list; aiplatform.featureViews create delete "
    "directWrite fetchFeatureValues get list searchNearestEntities sync update; "
    "aiplatform.features create delete get list update; aiplatform.metadataSchemas create get "
    "list; aiplatform.metadataStores create delete get list; aiplatform.models delete get list "
    "update upload; aiplatform.pipelineJobs cancel create delete get list; aiplatform.schedules "
    "create delete get list update; aiplatform.tensorboardExperiments create delete get list "
    "update write; aiplatform.tensorboardRuns batchCreate create delete get list update write; "
    "aiplatform.tensorboardTimeSeries batchCreate batchRead create delete get list read update; "
    "aiplatform.tensorboards create delete get list update; resourcemanager.projects get list"
)

ROLES: Mapping[str, Role] = {
    "roles/aiplatform.viewer": _role(
        189,
        "aiplatform.artifacts get list; aiplatform.contexts get list queryContextLineageSubgraph; "
        "aiplatform.customJobs get list; aiplatform.datasets get list; aiplatform.endpoints get "
        "list; aiplatform.executions get list queryExecutionInputsAndOutputs; "
        "aiplatform.featureGroups get list; aiplatform.featureOnlineStores get list; "
        "aiplatform.featureViewSyncs get list; aiplatform.featureViews fetchFeatureValues get "
        "list searchNearestEntities; aiplatform.features get list; aiplatform.metadataSchemas "
        "get list; aiplatform.metadataStores get list; aiplatform.models get list; "
        "aiplatform.pipelineJobs get list; aiplatform.schedules get list; "
        "aiplatform.tensorboardExperiments get list; aiplatform.tensorboardRuns get list; "
        "aiplatform.tensorboardTimeSeries batchRead get list read; aiplatform.tensorboards get "
        "list; resourcemanager.projects get list",
    ),
    "roles/aiplatform.user": _role(446, _AIPLATFORM_USER),
    "roles/aiplatform.admin": _role(474, _AIPLATFORM_USER),
    "roles/aiplatform.featurestoreAdmin": _role(
        68,
        "aiplatform.featureGroups create delete get list update; "
        "aiplatform.featureOnlineStores create delete get list update; "
        "aiplatform.featureViewSyncs get list; aiplatform.featureViews create delete "
        "directWrite fetchFeatureValues get list "
        "searchNearestEntities sync update; aiplatform.features create delete get list "
        "update; resourcemanager.projects get list",
    ),
    "roles/storage.objectViewer": _role(
        8, "resourcemanager.projects get list; storage.objects get list"
    ),
    "roles/storage.objectCreator": _role(
        10, "resourcemanager.projects get list; storage.objects create"
    ),
    "roles/storage.objectUser": _role(
        27,
        "monitoring.timeSeries create; resourcemanager.projects get list; storage.objects "
        "create delete get list update",
    ),
    "roles/storage.objectAdmin": _role(
        31,
        "monitoring.timeSeries create; resourcemanager.projects get list; storage.objects create "
        "delete get getIamPolicy list setIamPolicy update",
    ),
    "roles/storage.admin": _role(
        104,
        "monitoring.metricDescriptors list; monitoring.timeSeries create list; "
        "resourcemanager.projects get list; storage.buckets "
        "create delete get getIamPolicy list setIamPolicy update; storage.objects create "
        "delete get getIamPolicy list setIamPolicy "
        "update",
    ),
    "roles/storage.bucketViewer": _role(2, "storage.buckets get list"),
    "roles/bigquery.jobUser": _role(9, "bigquery.jobs create; resourcemanager.projects get list"),
    "roles/bigquery.user": _role(
        41,
        "bigquery.datasets create get; bigquery.jobs create list; bigquery.readsessions "
        "create getData; bigquery.tables list; "
        "resourcemanager.projects get list",
    ),
    "roles/bigquery.dataViewer": _role(
        23,
        "bigquery.datasets get; bigquery.tables get getData list; resourcemanager.projects "
        "get list",
    ),
    "roles/bigquery.dataEditor": _role(
        59,
        "bigquery.datasets create get; bigquery.tables create delete get getData list update "
        "updateData; resourcemanager.projects get list",
    ),
    "roles/bigquery.dataOwner": _role(
        92,
        "bigquery.datasets create delete get update; bigquery.tables create delete get getData "
        "list update updateData; resourcemanager.projects get list",
    ),
    "roles/bigquery.readSessionUser": _role(
        5, "bigquery.readsessions create getData; resourcemanager.projects get list"
    ),
    "roles/bigquery.admin": _role(
        245,
        "bigquery.datasets create delete get update; bigquery.jobs create delete list; "
        "bigquery.readsessions create getData; "
        "bigquery.tables create delete get getData list update updateData; "
        "resourcemanager.projects get list",
    ),
    "roles/pubsub.viewer": _role(
        28,
        "pubsub.schemas get list; pubsub.snapshots get list; pubsub.subscriptions get list; "
        "pubsub.topics get list; resourcemanager.projects get",
    ),
    "roles/pubsub.publisher": _role(1, "pubsub.topics publish"),
    "roles/pubsub.subscriber": _role(
        3, "pubsub.subscriptions consume; pubsub.topics attachSubscription"
    ),
    "roles/pubsub.editor": _role(
        59,
        "pubsub.schemas create delete get list; pubsub.snapshots create delete get list "
        "update; pubsub.subscriptions consume create "
        "delete get list update; pubsub.topics attachSubscription create delete "
        "detachSubscription get list publish update; "
        "resourcemanager.projects get",
    ),
    "roles/pubsub.admin": _role(
        67,
        "pubsub.schemas create delete get list; pubsub.snapshots create delete get list "
        "update; pubsub.subscriptions consume create "
        "delete get list update; pubsub.topics attachSubscription create delete "
        "detachSubscription get list publish update; "
        "resourcemanager.projects get",
    ),
    "roles/datastore.viewer": _role(
        14,
        "datastore.databases getMetadata list; datastore.entities get list; "
        "datastore.indexes get list; resourcemanager.projects get list",
    ),
    "roles/datastore.user": _role(
        16,
        "datastore.databases getMetadata; datastore.entities create delete get list update; "
        "datastore.indexes list; resourcemanager.projects get list",
    ),
    "roles/datastore.indexAdmin": _role(
        8, "datastore.indexes create delete get list update; resourcemanager.projects get list"
    ),
    "roles/datastore.owner": _role(
        38,
        "datastore.databases create delete getMetadata list update; datastore.entities create "
        "delete get list update; datastore.indexes create delete get list update; "
        "datastore.operations get list; resourcemanager.projects get list",
    ),
    "roles/monitoring.viewer": _role(
        35,
        "monitoring.metricDescriptors get list; monitoring.timeSeries list; "
        "resourcemanager.projects get list",
    ),
    "roles/monitoring.metricWriter": _role(
        6, "monitoring.metricDescriptors create get list; monitoring.timeSeries create"
    ),
    "roles/monitoring.editor": _role(
        80,
        "monitoring.metricDescriptors create delete get list; monitoring.timeSeries create "
        "list; resourcemanager.projects get list",
    ),
    "roles/logging.viewer": _role(
        28, "logging.logEntries list; logging.logs list; resourcemanager.projects get"
    ),
    "roles/logging.logWriter": _role(2, "logging.logEntries create"),
    "roles/logging.admin": _role(
        80,
        "logging.logEntries create list; logging.logs delete list; resourcemanager.projects "
        "get list",
    ),
    "roles/browser": _role(
        6,
        "resourcemanager.folders get list; resourcemanager.organizations get; "
        "resourcemanager.projects get list",
    ),
}
