"""The feature store: registry, online stores, views and their syncs, and reads by key, over both
transports.
"""

import time
from datetime import UTC, datetime

import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform_v1 as v1
from google.cloud import bigquery

from isthmus_stack.gcp.core.projects import number_of

from ....conftest import PARENT

STORE = f"{PARENT}/featureOnlineStores/shop"
LATEST = "bq://shop-project.shop.item_latest"


FIELD = bigquery.SchemaField
LATEST_SCHEMA = [
    FIELD("item_id", "STRING"),
    FIELD("ctr", "FLOAT64"),
    FIELD("clicks", "INT64"),
    FIELD("feature_timestamp", "TIMESTAMP"),
    FIELD("tags", "STRING", "REPEATED"),
]
HISTORY_SCHEMA = [
    FIELD("entity_id", "STRING"),
    FIELD("f0", "INT64"),
    FIELD("f1", "INT64"),
    FIELD("feature_timestamp", "TIMESTAMP"),
]
I1 = {
    "item_id": "i1",
    "ctr": 0.5,
    "clicks": 7,
    "feature_timestamp": "2026-01-02T00:00:00Z",
    "tags": ["a", "b"],
}
I2 = {"item_id": "i2", "clicks": 0, "feature_timestamp": "2026-01-03T00:00:00Z"}
HISTORY = [
    {"entity_id": "i1", "f0": 10, "f1": 15, "feature_timestamp": "2026-01-01T00:00:00Z"},
    {"entity_id": "i1", "f0": 20, "feature_timestamp": "2026-02-01T00:00:00Z"},
]


@pytest.fixture
def warehouse(gcp):
    """Two tables: one row an item, and an item's history."""
    client = bigquery.Client(
        "shop-project", credentials=AnonymousCredentials(), client_options={"api_endpoint": gcp.url}
    )
    client.create_dataset("shop")
    load(client, "item_latest", LATEST_SCHEMA, [I1, I2])
    load(client, "item_history", HISTORY_SCHEMA, HISTORY)
    return client


def load(warehouse, table, schema, rows):
    config = bigquery.LoadJobConfig(schema=schema, write_disposition="WRITE_TRUNCATE")
    warehouse.load_table_from_json(rows, f"shop-project.shop.{table}", job_config=config).result()


@pytest.fixture
def admin(vertex, warehouse):
    """With a store on Bigtable."""
    client = vertex(v1.FeatureOnlineStoreAdminServiceClient)
    scaling = {"min_node_count": 1, "max_node_count": 2}
    client.create_feature_online_store(
        parent=PARENT,
        feature_online_store_id="shop",
        feature_online_store={"bigtable": {"auto_scaling": scaling}},
    ).result()
    return client


@pytest.fixture
def view(admin):
    """Not synced yet."""
    source = {"uri": LATEST, "entity_id_columns": ["item_id"]}
    return (
        admin.create_feature_view(
            parent=STORE, feature_view_id="items", feature_view={"big_query_source": source}
        )
        .result()
        .name
    )


@pytest.fixture
def fetch(vertex):
    client = vertex(v1.FeatureOnlineStoreServiceClient)

    def fetch(view, *parts):
        key = {"key": parts[0]} if len(parts) == 1 else {"composite_key": {"parts": parts}}
        features = client.fetch_feature_values(feature_view=view, data_key=key).key_values.features
        return {
            feature.name: v1.FeatureValue.pb(feature.value).WhichOneof("value")
            and value_of(feature.value)
            for feature in features
        }

    return fetch


def value_of(value):
    field = v1.FeatureValue.pb(value).WhichOneof("value")
    content = getattr(value, field)
    return list(content.values) if field.endswith("_array_value") else content


def sync(admin, view):
    return admin.get_feature_view_sync(
        name=admin.sync_feature_view(feature_view=view).feature_view_sync
    )


def test_what_the_last_sync_read_is_served_and_nothing_else(warehouse, admin, view, fetch):
    with pytest.raises(exceptions.NotFound):
        fetch(view, "i1")
    done = sync(admin, view)
    assert (done.final_status.code, done.sync_summary.row_synced) == (0, 2)
    assert done.run_time.end_time.ToNanoseconds() >= done.run_time.start_time.ToNanoseconds()
    noted = int(datetime(2026, 1, 2, tzinfo=UTC).timestamp() * 1_000_000)
    assert fetch(view, "i1") == {
        "ctr": 0.5,
        "clicks": 7,
        "feature_timestamp": noted,
        "tags": ["a", "b"],
    }
    assert fetch(view, "i2")["ctr"] is None
    load(warehouse, "item_latest", LATEST_SCHEMA, [{**I1, "clicks": 8}])
    assert fetch(view, "i1")["clicks"] == 7
    sync(admin, view)
    assert fetch(view, "i1")["clicks"] == 8
    with pytest.raises(exceptions.NotFound, match="Requested entity was not found"):
        fetch(view, "i2")
    assert len(list(admin.list_feature_view_syncs(parent=view))) == 2


def test_both_formats_say_the_same(vertex, admin, view):
    sync(admin, view)
    client = vertex(v1.FeatureOnlineStoreServiceClient)
    answer = client.fetch_feature_values(
        request={
            "feature_view": view,
            "data_key": {"composite_key": {"parts": ["i1"]}},
            "data_format": "PROTO_STRUCT",
        }
    )
    struct = {
        name: list(value) if name == "tags" else value
        for name, value in answer.proto_struct.items()
    }
    assert struct == {
        "ctr": 0.5,
        "clicks": 7.0,
        "feature_timestamp": struct["feature_timestamp"],
        "tags": ["a", "b"],
    }
    with pytest.raises(exceptions.MethodNotImplemented, match="SearchNearestEntities"):
        client.search_nearest_entities(request={"feature_view": view})


def test_an_entity_that_comes_twice_fails_the_sync_and_the_old_rows_stay(
    warehouse, admin, view, fetch
):
    sync(admin, view)
    load(warehouse, "item_latest", LATEST_SCHEMA, [I1, I2, {**I1, "clicks": 9}])
    failed = sync(admin, view)
    assert "multiple occurrences of entity ID 'i1'" in failed.final_status.message
    assert failed.final_status.code == 3
    assert fetch(view, "i1")["clicks"] == 7


@pytest.mark.parametrize(("dense", "f1"), [(True, None), (False, 15)])
def test_features_of_the_registry_are_the_latest_ones(vertex, admin, fetch, dense, f1):
    registry = vertex(v1.FeatureRegistryServiceClient)
    source = {
        "big_query_source": {"input_uri": f"bq://{number_of('shop-project')}.shop.item_history"},
        "dense": dense,
    }
    group = registry.create_feature_group(
        parent=PARENT, feature_group_id="items", feature_group={"big_query": source}
    ).result()
    assert list(group.big_query.entity_id_columns) == ["entity_id"]
    for name, column in (("first", "f0"), ("f1", "")):
        registry.create_feature(
            parent=group.name, feature_id=name, feature={"version_column_name": column}
        ).result()
    features = {"feature_groups": [{"feature_group_id": "items", "feature_ids": ["first", "f1"]}]}
    view = admin.create_feature_view(
        request={
            "parent": STORE,
            "feature_view_id": "of_group",
            "feature_view": {"feature_registry_source": features},
            "run_sync_immediately": True,
        }
    ).result()
    [done] = admin.list_feature_view_syncs(parent=view.name)
    assert done.final_status.message == ""
    row = fetch(view.name, "i1")
    assert (row["first"], row["f1"]) == (20, f1)
    with pytest.raises(exceptions.GoogleAPICallError, match="has Features"):
        registry.delete_feature_group(name=group.name)
    with pytest.raises(exceptions.BadRequest, match="same as entity id column"):
        registry.create_feature(parent=group.name, feature_id="entity_id", feature={})
    registry.delete_feature_group(name=group.name, force=True).result()
    assert list(registry.list_feature_groups(parent=PARENT)) == []


def test_rules_of_the_service_are_kept(warehouse, admin, view):
    with pytest.raises(exceptions.GoogleAPICallError, match="has FeatureViews"):
        admin.delete_feature_online_store(name=STORE)
    with pytest.raises(exceptions.Conflict, match="already exists"):
        admin.create_feature_online_store(
            parent=PARENT, feature_online_store_id="shop", feature_online_store={"optimized": {}}
        )
    with pytest.raises(exceptions.BadRequest, match="0-9 and _"):
        admin.create_feature_view(parent=STORE, feature_view_id="Items", feature_view={})
    absent = {"uri": "bq://shop-project.shop.other", "entity_id_columns": ["item_id"]}
    with pytest.raises(exceptions.NotFound):
        admin.create_feature_view(
            parent=STORE, feature_view_id="other", feature_view={"big_query_source": absent}
        )
    wrong = {"uri": LATEST, "entity_id_columns": ["user_id"]}
    with pytest.raises(exceptions.BadRequest, match="no column user_id"):
        admin.create_feature_view(
            parent=STORE, feature_view_id="other", feature_view={"big_query_source": wrong}
        )
    read = admin.get_feature_view(name=view)
    admin.update_feature_view(
        feature_view={"name": view, "labels": {"team": "a"}}, update_mask={"paths": ["labels"]}
    ).result()
    with pytest.raises(exceptions.Conflict, match="etag"):
        admin.update_feature_view(
            feature_view={"name": view, "etag": read.etag, "labels": {"team": "b"}}
        )
    assert [
        known.name
        for known in admin.list_feature_views(request={"parent": STORE, "filter": "labels.team=a"})
    ] == [view]
    admin.delete_feature_online_store(name=STORE, force=True).result()
    with pytest.raises(exceptions.NotFound):
        admin.get_feature_view(name=view)


def test_a_view_syncs_by_cron(gcp, warehouse, admin, fetch):
    source = {"uri": LATEST, "entity_id_columns": ["item_id"]}
    with pytest.raises(exceptions.BadRequest, match="cron"):
        admin.create_feature_view(
            parent=STORE,
            feature_view_id="hourly",
            feature_view={"big_query_source": source, "sync_config": {"cron": "every hour"}},
        )
    gcp.advance(
        (90 - gcp.now().minute) % 60 * 60
    )  # half past, or the hour may begin by itself within this test
    view = admin.create_feature_view(
        parent=STORE,
        feature_view_id="hourly",
        feature_view={"big_query_source": source, "sync_config": {"cron": "0 * * * *"}},
    ).result()
    gcp.advance(3600)
    assert fetch(view.name, "i1")["clicks"] == 7
    gcp.advance(7200)
    assert len(list(admin.list_feature_view_syncs(parent=view.name))) == 3


def test_a_continuous_view_follows_its_source(warehouse, admin, fetch):
    source = {"uri": LATEST, "entity_id_columns": ["item_id"]}
    view = admin.create_feature_view(
        parent=STORE,
        feature_view_id="always",
        feature_view={"big_query_source": source, "sync_config": {"continuous": True}},
    ).result()
    load(warehouse, "item_latest", LATEST_SCHEMA, [{**I1, "clicks": 8}])
    deadline = time.monotonic() + 120

    def synced():
        [sync] = admin.list_feature_view_syncs(parent=view.name)
        return sync.sync_summary.row_synced

    while (fetch(view.name, "i1")["clicks"], synced()) != (
        8,
        1,
    ):  # what is served is replaced before the sync says so
        assert time.monotonic() < deadline
