"""Inventory: what carries the project's tag, and the one place that deletes."""

import pytest

from isthmus.errors import Invalid
from isthmus.events.port import Column, StreamSpec
from isthmus.feature_store.port import OnlineViewSpec, TableSpec
from isthmus.storage import Resource

pytestmark = pytest.mark.ports("inventory", "warehouse", "events", "online")

COLUMNS = (
    Column(name="event_id", type="string", required=True),
    Column(name="event_timestamp", type="timestamp", required=True),
)
HISTORY = (
    Column(name="entity_key", type="string", required=True),
    Column(name="event_timestamp", type="timestamp", required=True),
    Column(name="created_timestamp", type="timestamp", required=True),
    Column(name="clicks", type="int64"),
)


def everything(target):
    target.warehouse.apply(
        TableSpec(name="clicks_raw", columns=COLUMNS, time_column="event_timestamp")
    )
    target.warehouse.apply(
        TableSpec(
            name="events_click",
            columns=(),
            time_column="event_timestamp",
            view_sql="SELECT event_id, dt FROM clicks_raw",
        )
    )
    target.events.apply(StreamSpec(name="exposures_raw", columns=COLUMNS, key="event_id"))
    target.warehouse.apply(
        TableSpec(name="item_history", columns=HISTORY, time_column="event_timestamp")
    )
    target.online.apply(
        OnlineViewSpec(
            name="item_history",
            history="item_history",
            features=(Column(name="clicks", type="int64"),),
            ttl=None,
        )
    )


def listed(target):
    return {(resource.kind, resource.name) for resource in target.inventory.list("conf")}


def test_what_the_ports_made_is_listed_and_only_for_its_project(target):
    everything(target)
    everything(target)
    names = [name for _, name in listed(target)]
    shared = {"conf"}  # what a cloud makes once for all views of a project bears its name
    assert {"clicks_raw", "events_click", "exposures_raw", "item_history"} == set(names) - shared
    assert list(target.inventory.list("another")) == []


def test_deleting_in_the_listed_order_leaves_nothing(target):
    everything(target)
    for resource in list(target.inventory.list("conf")):
        target.inventory.delete(resource)
    assert listed(target) == set()
    assert target.warehouse.observe("clicks_raw") is None
    assert target.warehouse.observe("events_click") is None
    assert target.events.observe("exposures_raw") is None
    assert target.online.observe("item_history") is None


def test_deleting_what_is_absent_succeeds(target):
    everything(target)
    for resource in list(target.inventory.list("conf")):
        target.inventory.delete(resource)
        target.inventory.delete(resource)
    assert listed(target) == set()


def test_a_kind_that_the_target_has_not_is_invalid(target):
    with pytest.raises(Invalid):
        target.inventory.delete(Resource(kind="volcano", name="x", native_id="x"))


def test_a_delete_that_was_cut_can_be_repeated(target, cut):
    everything(target)
    for resource in list(target.inventory.list("conf")):
        with cut:
            target.inventory.delete(resource)
        target.inventory.delete(resource)
    assert listed(target) == set()


def test_a_table_that_is_made_again_after_its_deletion_is_empty(target):
    import pyarrow as pa

    everything(target)
    rows = pa.table({"event_id": ["a"], "event_timestamp": pa.array([0], pa.timestamp("ms"))})
    target.warehouse.append("clicks_raw", rows, batch="b")
    for resource in list(target.inventory.list("conf")):
        target.inventory.delete(resource)
    everything(target)
    assert target.warehouse.observe("clicks_raw").rows == 0
    target.warehouse.append("clicks_raw", rows, batch="b")
    assert target.warehouse.observe("clicks_raw").rows == 1
