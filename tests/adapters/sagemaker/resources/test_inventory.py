"""What carries the tags: half-made things are listed, others' are not, and a deletion that was cut
is repeated.
"""

from itertools import product

import pytest

from isthmus.errors import OutcomeUnknown, Throttled, Unavailable
from isthmus.events.port import Column, StreamSpec
from isthmus.feature_store.port import OnlineViewSpec
from isthmus.tests.adapters.flows import flows
from isthmus.tests.adapters.sagemaker.data_kit import COLUMNS, SPEC, keys, rows

CLEAR = (OutcomeUnknown, Unavailable, Throttled)
FAULTS = [
    ("cut-before", 1),
    ("cut-after", 1),
    ("throttle", 1),
    ("error", 1),
    ("cut-before", None),
]  # None: until it is cleared


def everything(target):
    target.warehouse.apply(SPEC)
    target.warehouse.append("clicks_raw", rows(1, 2, 3), batch="b1")
    target.events.apply(StreamSpec(name="clicks_raw", columns=COLUMNS, key="event_id"))
    target.online.apply(
        OnlineViewSpec(
            name="items", history="items", features=(Column(name="n", type="int64"),), ttl=None
        )
    )


def listed(target):
    return [(resource.kind, resource.name) for resource in target.inventory.list("conf")]


CALLS = {  # of each kind of resource, in the order of the list
    "online_view": [("sagemaker", "DeleteFeatureGroup"), ("s3", "DeleteObject")],
    "stream": [("firehose", "DeleteDeliveryStream"), ("kinesis", "DeleteStream")],
    "table": [("s3", "DeleteObjects"), ("glue", "DeleteTable")],
}


@pytest.mark.parametrize("ways", flows([list(product(calls, FAULTS)) for calls in CALLS.values()]))
def test_a_deletion_that_goes_wrong_stays_listed_until_it_is_done(target, stack, ways):
    everything(target)
    assert listed(target) == [
        ("online_view", "items"),
        ("stream", "clicks_raw"),
        ("table", "clicks_raw"),
    ]
    for resource, ((service, operation), (kind, times)) in zip(
        list(target.inventory.list("conf")), ways, strict=True
    ):
        stack.fault(kind=kind, service=service, operation=operation, times=times)
        try:
            target.inventory.delete(resource)
        except CLEAR:
            stack.clear_faults()
            if (
                operation != "DeleteObject"
            ):  # the last: the group that its document describes is gone
                assert (resource.kind, resource.name) in listed(target) or kind == "cut-after"
            target.inventory.delete(resource)
        stack.clear_faults()
    assert listed(target) == []
    assert keys(target) == []


def test_rows_whose_table_is_gone_are_listed_and_deleted_as_the_table(target):
    everything(target)
    target.native.client("glue").delete_table(DatabaseName="isthmus_conf", Name="clicks_raw")
    assert ("table", "clicks_raw") in listed(target)
    for resource in list(target.inventory.list("conf")):
        target.inventory.delete(resource)
    assert listed(target) == []


def test_only_what_costs_by_the_hour_has_no_zero(target):
    everything(target)
    assert {resource.kind: resource.hourly_cost for resource in target.inventory.list("conf")} == {
        "online_view": 0,
        "stream": None,
        "table": 0,
    }


def test_a_project_whose_name_begins_with_ours_is_another_one(target, profile):
    import msgspec

    from isthmus.adapters import targets

    everything(targets.load(msgspec.structs.replace(profile, project="conf_two")))
    assert listed(target) == []


def test_deleting_leaves_blobs_and_state_alone(target):
    everything(target)
    target.blobs.put(f"{target.blobs.root}/runs/r1/record.json", b"{}")
    target.state.put("views/items", b"{}", expect=None)
    for resource in list(target.inventory.list("conf")):
        target.inventory.delete(resource)
    assert keys(target) == ["runs/r1/record.json", "state/views/items"]
