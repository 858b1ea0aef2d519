"""FeatureViewDirectWrite with Google's own client, over gRPC, from another process."""

# ruff: noqa: F811  the fixtures of test_features are arguments here

from datetime import UTC, datetime

import pytest
from google.api_core import exceptions
from google.cloud import aiplatform_v1 as v1

from ....conftest import PARENT
from .test_features import (  # noqa: F401  fixtures
    I1,
    LATEST,
    LATEST_SCHEMA,
    admin,
    fetch,
    load,
    sync,
    view,
    warehouse,
)

EARLY, LATE = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def values(gcp):
    """The client; the RPC is a stream in both directions, which REST has not."""
    return gcp.client(v1.FeatureOnlineStoreServiceClient)


def entity(key, at=None, **features):
    """An entity's values; `at` is when they were generated."""
    metadata = {} if at is None else {"metadata": {"generate_time": at}}
    fields = {int: "int64_value", float: "double_value", str: "string_value"}
    return {
        "data_key": {"key": key},
        "features": [
            {
                "name": name,
                "value": metadata | ({} if value is None else {fields[type(value)]: value}),
            }
            for name, value in features.items()
        ],
    }


def write(values, view, *requests):
    """The answers to one stream with those requests, each of some entities."""
    stream = (
        v1.FeatureViewDirectWriteRequest(feature_view=view, data_key_and_feature_values=entities)
        for entities in requests
    )
    return list(values.feature_view_direct_write(requests=stream))


def keys(answer):
    return [written.data_key.key for written in answer.write_responses]


def test_what_was_written_is_served_at_once_beside_what_was_synced(values, admin, view, fetch):
    sync(admin, view)
    answers = write(values, view, [entity("i1", clicks=8), entity("new", ctr=0.25)])
    assert [(answer.status.code, keys(answer)) for answer in answers] == [(0, ["i1", "new"])]
    assert all(written.online_store_write_time for written in answers[0].write_responses)
    assert (fetch(view, "i1")["clicks"], fetch(view, "i1")["ctr"]) == (8, 0.5)
    nothing = dict.fromkeys(("clicks", "feature_timestamp", "tags"))
    assert fetch(view, "new") == nothing | {"ctr": 0.25}


def test_an_older_value_is_ignored_and_a_null_takes_the_place_of_a_value(values, view, fetch):
    write(values, view, [entity("a", LATE, clicks=2, ctr=0.5)], [entity("a", EARLY, clicks=1)])
    assert fetch(view, "a")["clicks"] == 2
    (answer,) = write(values, view, [entity("a", EARLY, ctr=0.1)])
    assert (answer.status.code, keys(answer)) == (0, ["a"])  # it is no error
    assert fetch(view, "a")["ctr"] == 0.5
    write(values, view, [entity("a", LATE, clicks=3)])
    assert fetch(view, "a")["clicks"] == 3
    write(values, view, [entity("a", clicks=None)])  # generated now
    assert fetch(view, "a")["clicks"] is None


def test_a_sync_takes_the_most_recent_value_and_deletes_nothing(
    gcp,
    values,
    warehouse,
    admin,
    view,
    fetch,
):
    write(values, view, [entity("i1", EARLY, clicks=1), entity("new", EARLY, clicks=5)])
    sync(admin, view)
    assert (fetch(view, "i1")["clicks"], fetch(view, "new")["clicks"]) == (7, 5)
    write(values, view, [entity("i1", clicks=9)])
    assert fetch(view, "i1")["clicks"] == 9
    gcp.advance(60)
    load(warehouse, "item_latest", LATEST_SCHEMA, [{**I1, "clicks": 10}])
    sync(admin, view)
    assert (fetch(view, "i1")["clicks"], fetch(view, "new")["clicks"]) == (10, 5)


def test_a_wrong_key_has_an_answer_of_its_own_and_the_stream_goes_on(values, view, fetch):
    answers = write(
        values,
        view,
        [entity("a", clicks=1), entity("b", colour="red"), entity("c", clicks=3)],
        [entity("d", clicks=4)],
    )
    assert [(answer.status.code, keys(answer)) for answer in answers] == [
        (0, ["a", "c"]),
        (3, ["b"]),
        (0, ["d"]),
    ]
    assert "no feature 'colour'" in answers[1].status.message
    assert not answers[1].write_responses[0].online_store_write_time
    assert fetch(view, "d")["clicks"] == 4
    with pytest.raises(exceptions.NotFound):
        fetch(view, "b")


def test_only_a_view_of_a_bigtable_store_can_be_written(values, admin, view):
    with pytest.raises(exceptions.NotFound):
        write(values, f"{view}_other", [entity("a", clicks=1)])
    admin.create_feature_online_store(
        parent=PARENT, feature_online_store_id="fast", feature_online_store={"optimized": {}}
    ).result()
    fast = (
        admin.create_feature_view(
            parent=f"{PARENT}/featureOnlineStores/fast",
            feature_view_id="items",
            feature_view={"big_query_source": {"uri": LATEST, "entity_id_columns": ["item_id"]}},
        )
        .result()
        .name
    )
    with pytest.raises(exceptions.InvalidArgument, match="Bigtable only"):
        write(values, fast, [entity("a", clicks=1)])


def test_a_view_that_was_deleted_and_made_again_has_nothing_of_the_former_one(
    values,
    admin,
    view,
    fetch,
):
    write(values, view, [entity("a", clicks=1)])
    source = {"uri": LATEST, "entity_id_columns": ["item_id"]}
    admin.delete_feature_view(name=view).result()
    admin.create_feature_view(
        parent=view.partition("/featureViews/")[0],
        feature_view_id="items",
        feature_view={"big_query_source": source},
    ).result()
    with pytest.raises(exceptions.NotFound):
        fetch(view, "a")
