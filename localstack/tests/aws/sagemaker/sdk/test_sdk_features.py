"""The genuine sagemaker v3 SDK's Feature Store, in a process of its own, against the stack in
another.
"""

from pathlib import Path

import pytest

from isthmus_stack.client import Stack
from isthmus_stack.testing import stacks
from isthmus_stack.tests.aws.sagemaker.sdk.sdk_kit import seen_by

pytest.importorskip("importlib.metadata").version("sagemaker")
CLIENT = Path(__file__).with_name("sdk_features_client.py")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def day(number):
    return 1704067200.0 + (number - 1) * 86400


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    stack = stacks.shared("instant")
    Stack(stack.url).reset()
    return seen_by(CLIENT, tmp_path_factory.mktemp("sdk"), stack)


def test_a_feature_group_is_created_and_waited_for(seen):
    assert seen["status"] == "Created"


def test_ingest_dataframe_leaves_the_record_of_the_latest_event_time_online(seen):
    assert seen["record"] == {"item": "a", "ctr": "0.2", "seen": "20", "event_time": str(day(3))}


def test_athena_query_reads_the_offline_store_with_types_whichever_way_it_was_ingested(seen):
    assert [
        (row["item"], row["ctr"], row["seen"], row["event_time"]) for row in seen["athena"]
    ] == [
        ("a", 0.1, 10, day(1)),
        ("a", 0.2, 20, day(3)),
        ("b", 0.5, 30, day(2)),
        ("c", 0.1, 10, day(1)),
        ("c", 0.2, 20, day(3)),
        ("d", 0.5, 30, day(2)),
    ]


def test_dataset_builders_point_in_time_join_takes_no_value_from_the_future(seen):
    joined = sorted(
        (row["item"], row["at"], row["clicked"], row["ctr.1"]) for row in seen["joined"]
    )
    assert joined == [
        ("a", day(2), 0, 0.1),
        ("a", day(4), 1, 0.1),
        ("a", day(4), 1, 0.2),
        ("b", day(4), 1, 0.5),
    ]  # an inner join, as it is


def test_dataset_builder_honours_the_range_of_event_times_and_as_of(seen):
    assert [tuple(row) for row in seen["range"]] == [
        ("a", day(1)),
        ("b", day(2)),
        ("c", day(1)),
        ("d", day(2)),
    ]
    assert seen["known"] == 6
