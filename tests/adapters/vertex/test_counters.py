"""Counters in Firestore: what is made there, and calls that go wrong on the way."""

from datetime import UTC, datetime, timedelta

import pytest
from google.api_core import exceptions

from isthmus.adapters.vertex import names, session
from isthmus.adapters.vertex.storage import counters
from isthmus.errors import Denied, NotFound, Throttled
from isthmus.tests.adapters.vertex.test_errors import disabled_by_grpc

DATABASE = "projects/conformance/databases/isthmus-conf--ranker"


def until():
    return datetime.now(UTC) + timedelta(hours=25)


def field(target, name):
    return target.native.firestore_admin.get_field(
        name=f"{DATABASE}/collectionGroups/units/fields/{name}"
    )


def test_the_database_is_where_the_target_is_with_a_time_to_live_and_no_index(target):
    target.counters.apply("ranker")
    (made,) = target.native.firestore_admin.list_databases(parent="projects/conformance").databases
    assert (made.name, made.location_id) == (DATABASE, "us-central1")
    assert field(target, "until").ttl_config
    assert [list(field(target, name).index_config.indexes) for name in ("*", "until")] == [[], []]
    assert not field(target, "*").index_config.uses_ancestor_config


def test_what_was_left_half_made_is_creating_until_it_is_applied_again(target, stack):
    stack.fault(kind="error", code="INVALID_ARGUMENT", operation="FirestoreAdmin.UpdateField")
    with pytest.raises(Exception, match="a fault that was asked for"):
        target.counters.apply("ranker")
    assert target.counters.observe("ranker") == "creating"
    target.counters.apply("ranker")
    assert target.counters.observe("ranker") == "ready"


@pytest.mark.parametrize("operation", ["CreateDatabase", "UpdateField", "GetField"])
@pytest.mark.parametrize("kind", ["cut-after", "throttle"])
def test_a_reply_that_is_lost_makes_nothing_twice_and_leaves_nothing_out(
    target, stack, operation, kind
):
    stack.fault(kind=kind, operation=f"FirestoreAdmin.{operation}")
    target.counters.apply("ranker")
    assert target.counters.observe("ranker") == "ready"
    assert field(target, "until").ttl_config


@pytest.mark.parametrize(
    ("fault", "count"),
    [
        ({"kind": "cut-after"}, 2),
        ({"kind": "throttle"}, 1),
        ({"kind": "error", "code": "ABORTED"}, 1),
    ],
)
def test_an_addition_is_repeated_so_that_it_counts_at_least_once(target, stack, fault, count):
    target.counters.apply("ranker")
    stack.fault(operation="Firestore.Commit", **fault)
    target.counters.add("ranker", "u", {"a": 1}, until=until())
    stack.fault(operation="Firestore.BatchGetDocuments", **fault)
    assert target.counters.get("ranker", "u") == {"a": count}


def test_a_store_that_stays_away_is_given_up_in_seconds(target, stack, monkeypatch):
    target.counters.apply("ranker")
    monkeypatch.setattr(
        counters, "_client", lambda session: session.client("firestore", retrying=False)
    )
    monkeypatch.setattr(counters, "_OFFLINE", 0.2)
    stack.fault(kind="throttle", service="firestore", times=None)
    for call in (
        lambda: target.counters.get("ranker", "u"),
        lambda: target.counters.add("ranker", "u", {"a": 1}, until=until()),
    ):
        with pytest.raises(Throttled):
            call()


def test_a_stack_gets_longer_than_google_cloud_as_it_shares_its_machine(target, stack, monkeypatch):
    target.counters.apply("ranker")
    monkeypatch.setattr(counters, "_WITHIN", 1e-6)
    monkeypatch.setattr(counters, "_PATIENCE", 0.0)
    stack.fault(kind="throttle", operation="Firestore.Commit")
    target.counters.add("ranker", "u", {"a": 1}, until=until())
    assert target.counters.get("ranker", "u") == {"a": 1}


def test_a_unit_is_not_named_in_firestore(target, stack):
    target.counters.apply("ranker")
    target.counters.add("ranker", "ada@example.com", {"a": 1}, until=until())
    (call,) = [call for call in stack.calls() if call.operation == "Firestore.Commit"]
    assert not any("ada" in name for name in call.names)
    document = (
        next(counters._commits(DATABASE, "ada@example.com", {"a": 1}, (), until())).writes[0].update
    )
    assert document.name.startswith(f"{DATABASE}/documents/units/")
    assert "ada" not in str(document)


def test_a_database_whose_name_ends_alike_is_of_another_project():
    assert names.database("shop", "b_ranker") != names.database("shop_b", "ranker")
    for project, endpoint in (("shop", "b_ranker"), ("shop_b", "ranker"), ("a", "b")):
        assert names.endpoint_of(project, names.database(project, endpoint)) == endpoint
    assert names.endpoint_of("shop", names.database("shop_b", "ranker")) is None
    assert names.endpoint_of("shop", "(default)") is None


def test_where_the_api_is_not_enabled_nothing_is_listed_and_a_denial_is_one(target, monkeypatch):
    opened = session.session_of(target)
    answers = {"disabled": disabled_by_grpc(), "denied": exceptions.PermissionDenied("no rights")}

    def refuse(name):
        def list_databases(**_):
            raise answers[name]

        monkeypatch.setattr(opened.firestore_admin, "list_databases", list_databases)

    refuse("disabled")
    assert list(target.inventory.list("conf")) == []
    with pytest.raises(NotFound):
        target.counters.get("ranker", "u")
    refuse("denied")
    with pytest.raises(Denied):
        list(target.inventory.list("conf"))
