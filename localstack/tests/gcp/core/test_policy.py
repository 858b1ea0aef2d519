"""The least rights for what was called."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus_stack.gcp.composition import CATALOG
from isthmus_stack.gcp.core.http_messages import HttpRequest
from isthmus_stack.gcp.core.policy.permissions import permissions_of
from isthmus_stack.gcp.core.policy.roles import ROLES, smallest_roles
from isthmus_stack.gcp.core.policy.usage import UsedPermissions
from isthmus_stack.gcp.core.rpc.methods import methods_of_api

KNOWN = sorted(frozenset().union(*(role.permissions for role in ROLES.values())))


def of_call(service, operation, request=None):
    return permissions_of(CATALOG.by_service[service], operation, request)


def job(**configuration):
    body = msgspec.json.encode({"configuration": configuration})
    return HttpRequest(method="POST", host="", path="", query_lists={}, headers={}, body=body)


@pytest.mark.parametrize(
    ("service", "operation", "permissions"),
    [
        ("aiplatform", "EndpointService.CreateEndpoint", {"aiplatform.endpoints.create"}),
        ("aiplatform", "EndpointService.DeployModel", {"aiplatform.endpoints.deploy"}),
        (
            "aiplatform",
            "EndpointService.UpdateEndpoint",
            {"aiplatform.endpoints.get", "aiplatform.endpoints.update"},
        ),
        ("aiplatform", "PredictionService.RawPredict", {"aiplatform.endpoints.predict"}),
        ("aiplatform", "JobService.CancelCustomJob", {"aiplatform.customJobs.cancel"}),
        ("aiplatform", "MetadataService.ListExecutions", {"aiplatform.executions.list"}),
        (
            "aiplatform",
            "FeatureOnlineStoreAdminService.GetFeatureViewSync",
            {"aiplatform.featureViewSyncs.get"},
        ),
        ("storage", "storage.objects.insert", {"storage.objects.create", "storage.objects.delete"}),
        ("bigquerystorage", "BigQueryRead.ReadRows", {"bigquery.readsessions.getData"}),
        ("pubsub", "Publisher.Publish", {"pubsub.topics.publish"}),
        ("firestore", "Firestore.BatchGetDocuments", {"datastore.entities.get"}),
        ("firestoreadmin", "FirestoreAdmin.CreateDatabase", {"datastore.databases.create"}),
        ("firestoreadmin", "FirestoreAdmin.UpdateField", {"datastore.indexes.update"}),
        ("firestoreadmin", "Operations.GetOperation", {"datastore.operations.get"}),
        ("monitoring", "MetricService.ListTimeSeries", {"monitoring.timeSeries.list"}),
    ],
)
def test_a_call_needs_the_permissions_of_googles_pages(service, operation, permissions):
    assert of_call(service, operation) == permissions


def test_a_job_of_bigquery_needs_what_it_does_to_tables():
    def needs(**configuration):
        return {
            name.removeprefix("bigquery.")
            for name in of_call("bigquery", "bigquery.jobs.insert", job(**configuration))
        }

    assert needs(query={"query": "SELECT 1"}) == {"jobs.create", "tables.getData"}
    assert needs(query={"query": "  insert into t values (1)"}) == {
        "jobs.create",
        "tables.getData",
        "tables.create",
        "tables.updateData",
    }
    assert needs(load={"sourceUris": ["gs://b/o"]}) == {
        "jobs.create",
        "tables.create",
        "tables.updateData",
    }


def test_a_commit_of_firestore_needs_what_its_writes_do():
    from google.cloud.firestore_v1 import types

    def needs(*writes):
        request = types.CommitRequest.pb()(writes=writes)
        return {
            name.removeprefix("datastore.entities.")
            for name in of_call("firestore", "Firestore.Commit", request)
        }

    assert needs() == set()
    assert needs({"delete": "d"}) == {"delete"}
    assert needs({"update": {"name": "d"}}) == {"create", "update"}
    assert needs({"update": {"name": "d"}, "current_document": {"exists": True}}) == {"update"}
    assert needs({"update": {"name": "d"}, "current_document": {"exists": False}}) == {"create"}
    assert needs(
        {"update": {"name": "d"}, "current_document": {"update_time": {"seconds": 1}}}
    ) == {"update"}


def test_every_rpc_of_the_transports_has_a_name_and_no_permission_is_misspelt():
    """What the adapter and the SDKs call must be in a role: a permission that is in none would be a
    mistake of the rule.
    """
    called = (
        "EndpointService",
        "ModelService",
        "JobService",
        "PipelineService",
        "FeatureOnlineStoreAdminService",
        "FeatureRegistryService",
    )
    methods = [
        method.operation
        for method in methods_of_api(CATALOG.default)
        if method.operation.partition(".")[0] in called
    ]
    ours = [
        name
        for name in methods
        if any(
            noun in name
            for noun in ("Endpoint", "CustomJob", "PipelineJob", "FeatureView", "FeatureGroup")
        )
    ]
    assert len(ours) > 30
    assert {
        name: missing for name in ours if (missing := of_call("aiplatform", name) - set(KNOWN))
    } == {}


@given(needed=st.sets(st.sampled_from(KNOWN), min_size=1, max_size=6))
def test_the_roles_cover_what_is_needed_and_none_of_them_is_idle(needed):
    roles, unknown = smallest_roles(needed)
    assert unknown == frozenset()
    assert needed <= frozenset().union(*(ROLES[name].permissions for name in roles))
    for name in roles:
        others = frozenset().union(*(ROLES[other].permissions for other in roles if other != name))
        assert needed - others


def test_few_rights_are_preferred_to_few_roles():
    roles, unknown = smallest_roles(
        ["bigquery.jobs.create", "bigquery.tables.getData", "made.up.permission"]
    )
    assert roles == ("roles/bigquery.jobUser", "roles/bigquery.dataViewer")
    assert unknown == {"made.up.permission"}


def test_a_policy_has_a_custom_role_that_gcloud_takes():
    import yaml

    used = UsedPermissions()
    used.note(CATALOG.by_service["storage"], "storage.objects.get", None)
    used.note(CATALOG.by_service["storage"], "storage.objects.get", None)
    policy = used.policy()
    assert (
        yaml.safe_load(policy["custom_role"])["includedPermissions"]
        == policy["permissions"]
        == ["storage.objects.get"]
    )
    used.clear()
    assert used.policy()["permissions"] == []
