"""Firestore with Google's own client, over gRPC: documents by their names, databases, time to live."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from google.api_core import exceptions
from google.cloud import firestore, firestore_admin_v1
from google.protobuf.field_mask_pb2 import FieldMask

PROJECT = "projects/shop-project"
NAME = f"{PROJECT}/databases/counts"
FIELD = f"{NAME}/collectionGroups/units/fields/until"
NATIVE = {"location_id": "us-central1", "type_": "FIRESTORE_NATIVE"}


@pytest.fixture
def admin(gcp):
    return gcp.client(firestore_admin_v1.FirestoreAdminClient)


def create(admin, identifier="counts", **settings):
    operation = admin.create_database(
        parent=PROJECT, database_id=identifier, database={**NATIVE, **settings}
    )
    assert admin.get_operation({"name": operation.operation.name}).done
    return operation.result()


@pytest.fixture
def client(gcp, admin, monkeypatch):
    """As people use it, led by the emulator's variable, with a database that is there."""
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", gcp.grpc_address)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    create(admin)
    return firestore.Client("shop-project", database="counts")


def test_a_document_is_set_merged_updated_and_deleted(client):
    document = client.collection("units").document("u1")
    assert not document.get().exists
    first = document.set(
        {
            "seen": 1,
            "nested": {"a b": 2, "c": [1, {"d": None}]},
            "at": datetime(2026, 11, 1, tzinfo=UTC),
        }
    )
    document.set({"nested": {"e`\\": b"3"}}, merge=True)
    document.update({"seen": 1.5, client.field_path("nested", "a b"): firestore.DELETE_FIELD})
    snapshot = document.get()
    at = datetime(2026, 11, 1, tzinfo=UTC)
    assert snapshot.to_dict() == {
        "seen": 1.5,
        "nested": {"c": [1, {"d": None}], "e`\\": b"3"},
        "at": at,
    }
    assert snapshot.create_time == first.update_time < snapshot.update_time
    assert document.get(["nested.`e\\`\\\\`"]).to_dict() == {"nested": {"e`\\": b"3"}}
    assert [
        found.exists for found in client.get_all([document, client.document("units/u2")])
    ].count(True) == 1
    document.delete()
    document.delete()
    assert not document.get().exists


def test_an_increment_adds_to_what_is_there_and_begins_at_its_own(client):
    document = client.document("units/u1")
    document.set({"text": "a", "half": 0.5, "most": 2**63 - 1})
    changes = {"new": 3, "text": 4, "half": 1, "most": 1}
    document.update({name: firestore.Increment(amount) for name, amount in changes.items()})
    assert document.get().to_dict() == {"new": 3, "text": 4, "half": 1.5, "most": 2**63 - 1}
    document.update(
        {
            "new": firestore.Maximum(2),
            "half": firestore.Minimum(1),
            "list": firestore.ArrayUnion([1, "a", 1.0]),
        }
    )
    assert document.get().to_dict() == {
        "new": 3,
        "text": 4,
        "half": 1,
        "most": 2**63 - 1,
        "list": [1, "a"],
    }
    document.update({"list": firestore.ArrayRemove([1]), "half": firestore.SERVER_TIMESTAMP})
    assert document.get().get("list") == ["a"]
    assert isinstance(document.get().get("half"), datetime)


def test_increments_of_threads_at_once_are_all_counted(client):
    document = client.document("units/u1")
    document.set({})
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: document.update({"n": firestore.Increment(1)}), range(100)))
    assert document.get().get("n") == 100


def test_preconditions_hold_in_googles_words(client):
    document = client.document("units/u1")
    name = f"{NAME}/documents/units/u1"
    with pytest.raises(exceptions.NotFound, match=f"No document to update: {name}"):
        document.update({"a": 1})
    document.create({"a": 1})
    with pytest.raises(exceptions.AlreadyExists, match=f"Document already exists: {name}"):
        document.create({"a": 2})
    read = client.write_option(last_update_time=document.get().update_time)
    document.update({"a": 3}, option=read)
    with pytest.raises(
        exceptions.FailedPrecondition,
        match=r"the stored version \(\d+\) does not match the required base version",
    ):
        document.update({"a": 4}, option=read)
    assert document.get().to_dict() == {"a": 3}


def test_a_batch_is_written_whole_or_not_at_all(client):
    one, other = client.document("units/u1"), client.document("units/u2")
    batch = client.batch()
    batch.set(one, {"a": 1})
    batch.update(other, {"a": 1})
    with pytest.raises(exceptions.NotFound):
        batch.commit()
    assert not one.get().exists
    batch = client.batch()
    batch.set(one, {"a": 1})
    batch.update(one, {"a": firestore.Increment(1)})
    assert len(batch.commit()) == 2
    assert one.get().get("a") == 2


@pytest.mark.parametrize(
    ("path", "fields", "words"),
    [
        (
            "units/u1",
            {"a": "x" * (1 << 20)},
            'The value of property "a" is longer than 1048487 bytes.',
        ),
        (
            "units/u1",
            {"a": "x" * 600_000, "b": "x" * 600_000},
            (
                r"cannot be written because its size \(1,200,\d+ bytes\) exceeds the maximum "
                r"allowed size of 1,048,576 bytes."
            ),
        ),
        ("units/" + "x" * 1501, {}, "The key path element name is longer than 1500 bytes."),
        ("units/__u__", {}, 'Resource id "__u__" is invalid because it is reserved.'),
        ("__units__/u", {}, 'Collection id "__units__" is invalid because it is reserved.'),
        ("units/..", {}, 'Resource id ".." is invalid'),
        ("units/u1", {"__a__": 1}, "reserved"),
        (
            "units/u1",
            {str(n): firestore.Increment(1) for n in range(501)},
            "at most 500 field transformations",
        ),
    ],
)
def test_limits_are_refused_and_nothing_is_written(client, path, fields, words):
    with pytest.raises(exceptions.InvalidArgument, match=words):
        client.document(path).set(fields)
    assert not client.document("units/u1").get().exists


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda client: client.collection("units").get(), "Firestore.RunQuery"),
        (
            lambda client: list(client.collection("units").list_documents()),
            "Firestore.ListDocuments",
        ),
        (lambda client: client.transaction()._begin(), "Firestore.BeginTransaction"),
    ],
)
def test_what_is_not_there_is_unimplemented_by_its_name(client, call, name):
    with pytest.raises(
        exceptions.MethodNotImplemented, match=rf"{name} is not supported by the offline GCP yet"
    ):
        call(client)


def test_a_database_is_there_once_or_not_at_all(client, admin):
    with pytest.raises(exceptions.AlreadyExists, match="Database already exists"):
        create(admin)
    create(admin, "other-one")
    assert [database.name for database in admin.list_databases(parent=PROJECT).databases] == [
        NAME,
        f"{PROJECT}/databases/other-one",
    ]
    assert (
        admin.get_database(name=NAME).location_id,
        admin.get_database(name=NAME).type_.name,
    ) == ("us-central1", "FIRESTORE_NATIVE")
    client.document("units/u1").set({"a": 1})
    admin.delete_database(name=NAME).result()
    absent = "The database counts does not exist for project shop-project"
    document = client.document("units/u1")
    for call in (document.get, lambda: document.set({}), lambda: admin.get_database(name=NAME)):
        with pytest.raises(exceptions.NotFound, match=absent):
            call()
    create(admin)
    assert not client.document("units/u1").get().exists


@pytest.mark.parametrize(
    ("identifier", "settings", "words"),
    [
        ("abc", {}, "Invalid database_id"),
        ("Counts", {}, "Invalid database_id"),
        ("0" * 8 + "-0000-0000-0000-" + "0" * 12, {}, "Invalid database_id"),
        ("counts", {"location_id": ""}, "location_id is required"),
        ("counts", {"type_": None}, "type is required"),
    ],
)
def test_a_database_that_google_would_refuse_is_refused(admin, identifier, settings, words):
    with pytest.raises(exceptions.InvalidArgument, match=words):
        create(admin, identifier, **settings)


def test_protection_and_a_stale_etag_keep_a_database(admin):
    create(admin, delete_protection_state="DELETE_PROTECTION_ENABLED")
    with pytest.raises(exceptions.FailedPrecondition, match="protection"):
        admin.delete_database(name=NAME)
    create(admin, "other-one")
    with pytest.raises(exceptions.FailedPrecondition, match="etag"):
        admin.delete_database(request={"name": f"{PROJECT}/databases/other-one", "etag": "stale"})


def keep(admin, **settings):
    mask = FieldMask(paths=["ttl_config", "index_config"])
    return admin.update_field(
        request={"field": {"name": FIELD, **settings}, "update_mask": mask}
    ).result()


def test_a_document_vanishes_when_the_stacks_clock_has_passed_its_time_to_live(gcp, client, admin):
    assert admin.get_field(name=FIELD).index_config.uses_ancestor_config
    keep(admin, ttl_config={}, index_config={"indexes": []})
    field = admin.get_field(name=FIELD)
    assert (field.ttl_config.state.name, field.index_config.uses_ancestor_config) == (
        "ACTIVE",
        False,
    )
    now = datetime.now(UTC)
    document, timeless, elsewhere = (
        client.document(path) for path in ("units/u1", "units/u2", "others/u1")
    )
    for written in (document, elsewhere):
        written.set({"until": now + timedelta(hours=1)})
    timeless.set({"until": "never"})
    gcp.advance(3500)
    assert document.get().exists
    gcp.advance(200)
    assert [written.get().exists for written in (document, timeless, elsewhere)] == [
        False,
        True,
        True,
    ]
    document.set({"until": now + timedelta(hours=1), "n": firestore.Increment(1)}, merge=True)
    keep(admin)
    assert not admin.get_field(name=FIELD).ttl_config
    document.set({"until": now})
    assert document.get().exists


def test_a_collection_group_has_one_time_to_live(client, admin):
    keep(admin, ttl_config={})
    other = {"name": FIELD.replace("until", "other"), "ttl_config": {}}
    with pytest.raises(
        exceptions.InvalidArgument, match="has a TTL policy already, on the field until"
    ):
        admin.update_field(field=other)


def test_faults_the_log_and_the_policy_know_a_commit(gcp, client):
    document = client.document("units/u1")
    gcp.fault(kind="cut-after", service="firestore", operation="Firestore.Commit")
    with pytest.raises(exceptions.ServiceUnavailable):
        document.set({"n": firestore.Increment(1)}, retry=None)
    assert document.get().get("n") == 1
    gcp.fault(kind="throttle", service="firestore", operation="Firestore.Commit")
    with pytest.raises(exceptions.ResourceExhausted):
        document.delete(retry=None)
    calls = [call for call in gcp.calls() if call.service == "firestore"]
    assert [(call.operation, call.mutating) for call in calls] == [
        ("Firestore.Commit", True),
        ("Firestore.BatchGetDocuments", False),
        ("Firestore.Commit", True),
    ]
    assert NAME in calls[0].names
    policy = gcp.policy()
    assert {name for name in policy["permissions"] if "entities" in name} == {
        "datastore.entities.create",
        "datastore.entities.get",
        "datastore.entities.update",
    }
    assert "roles/datastore.owner" in policy["roles"]  # which alone may create a database


DOOR = """
from google.cloud import firestore, firestore_admin_v1
admin = firestore_admin_v1.FirestoreAdminClient()
database = {"location_id": "eur3", "type_": "FIRESTORE_NATIVE"}
admin.create_database(parent="projects/shop-project", database_id="(default)", database=database).result()
document = firestore.Client("shop-project").document("units/u1")
document.set({"n": firestore.Increment(2)}, merge=True)
rest = firestore_admin_v1.FirestoreAdminClient(transport="rest")
print(document.get().to_dict(), rest.get_database(name="projects/shop-project/databases/(default)").location_id)
"""


def test_a_process_that_knows_nothing_of_the_stack_reaches_it_through_the_door(gcp):
    assert gcp.run(DOOR).strip() == "{'n': 2} eur3"
