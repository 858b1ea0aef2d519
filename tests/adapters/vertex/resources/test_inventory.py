"""What carries the labels: a deletion that goes wrong leaves its resource listed until it is done;
others' things are let alone.
"""

import subprocess
import sys

import msgspec
import pytest

from isthmus.adapters.vertex import session
from isthmus.errors import OutcomeUnknown, Throttled, Unavailable
from isthmus.events.port import Column, StreamSpec
from isthmus.feature_store.port import OnlineViewSpec, TableSpec

COLUMNS = (
    Column(name="event_id", type="string", required=True),
    Column(name="event_timestamp", type="timestamp", required=True),
)
KEY = Column(name="entity_key", type="string", required=True)
CREATED = Column(name="created_timestamp", type="timestamp", required=True)
CALLS = {
    "endpoint": "EndpointService.DeleteEndpoint",
    "counters": "FirestoreAdmin.DeleteDatabase",
    "online_view": "FeatureOnlineStoreAdminService.DeleteFeatureView",
    "online_store": "FeatureOnlineStoreAdminService.DeleteFeatureOnlineStore",
    "stream": "Publisher.DeleteTopic",
    "table": "bigquery.tables.delete",
}


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch):
    """Retries end at once: how long the clients go on is not what is judged here."""
    monkeypatch.setattr(session, "_PATIENCE", 0.2)
    session.retry.cache_clear()
    yield
    session.retry.cache_clear()


def everything(target):
    vertex = session.session_of(target)
    target.warehouse.apply(
        TableSpec(
            name="items",
            columns=(KEY, *COLUMNS, CREATED, Column(name="n", type="int64")),
            time_column="event_timestamp",
        )
    )
    target.events.apply(StreamSpec(name="clicks_raw", columns=COLUMNS, key="event_id"))
    target.online.apply(
        OnlineViewSpec(
            name="items", history="items", features=(Column(name="n", type="int64"),), ttl=None
        )
    )
    target.counters.apply("ranker")
    for project, name in ((vertex.name, "ranker"), ("another", "theirs")):
        labels = {"isthmus_project": project, "isthmus_kind": "endpoint", "isthmus_name": name}
        endpoint = {"display_name": name, "labels": labels}
        vertex.endpoints.create_endpoint(
            parent=vertex.parent, endpoint=endpoint, endpoint_id=f"{project}-{name}"
        ).result()


def listed(target, project="conf"):
    return {(resource.kind, resource.name) for resource in target.inventory.list(project)}


@pytest.mark.parametrize("kind", ["cut-before", "throttle"])
def test_a_deletion_that_goes_wrong_stays_listed_until_it_is_done(target, stack, kind):
    everything(target)
    resources = list(target.inventory.list("conf"))
    assert {resource.kind for resource in resources} == set(CALLS)
    for resource in resources:
        stack.fault(kind=kind, operation=CALLS[resource.kind], times=None)
        with pytest.raises((OutcomeUnknown, Unavailable, Throttled)):
            target.inventory.delete(resource)
        stack.clear_faults()
        assert (resource.kind, resource.name) in listed(target)
        target.inventory.delete(resource)
        assert (resource.kind, resource.name) not in listed(target)
        target.inventory.delete(resource)
    assert listed(target) == set()
    assert listed(target, "another") == {("endpoint", "theirs")}


SERVING = """
import sys, msgspec
from datetime import UTC, datetime
from isthmus.core import pandas_later
from isthmus.adapters import targets
from isthmus.target import Profile
pandas_later.install()  # as every command does
target = targets.load(msgspec.json.decode(sys.argv[1], type=Profile))
target.online.get({"items": ["a"]})
target.events.append("clicks_raw", [{"event_id": "e1", "event_timestamp": datetime.now(UTC)}])
target.counters.get("ranker", "u")
print([name for name in ("pandas", "pyarrow", "duckdb", "google.cloud.bigquery") if name in sys.modules])
"""


def test_a_process_that_serves_imports_neither_bigquerys_client_nor_what_it_brings(target):
    everything(target)
    done = subprocess.run(
        [sys.executable, "-c", SERVING, msgspec.json.encode(target.profile).decode()],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr[-2000:]
