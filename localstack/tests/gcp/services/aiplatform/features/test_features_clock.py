"""The feature store on a clock that stands still: what takes time takes it, one sync at a time."""

import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform_v1 as v1
from google.cloud import bigquery

from isthmus_stack.run import start

from ....conftest import PARENT, Gcp

STORE = f"{PARENT}/featureOnlineStores/shop"
SOURCE = {"uri": "bq://shop-project.shop.items", "entity_id_columns": ["item_id"]}


@pytest.fixture(scope="module")
def gcp():
    with start("gcp", clock="manual") as running:
        yield Gcp(running.url, "gcp")


def load(gcp, clicks):
    warehouse = bigquery.Client(
        "shop-project", credentials=AnonymousCredentials(), client_options={"api_endpoint": gcp.url}
    )
    warehouse.create_dataset("shop", exists_ok=True)
    schema = [bigquery.SchemaField("item_id", "STRING"), bigquery.SchemaField("clicks", "INT64")]
    config = bigquery.LoadJobConfig(schema=schema, write_disposition="WRITE_TRUNCATE")
    warehouse.load_table_from_json(
        [{"item_id": "i1", "clicks": clicks}], "shop-project.shop.items", job_config=config
    ).result()


def test_operations_and_syncs_end_when_their_time_has_passed(gcp):
    load(gcp, 1)
    admin, online = (
        gcp.client(v1.FeatureOnlineStoreAdminServiceClient),
        gcp.client(v1.FeatureOnlineStoreServiceClient),
    )

    def clicks(view):
        answer = online.fetch_feature_values(feature_view=view, data_key={"key": "i1"})
        return {feature.name: feature.value.int64_value for feature in answer.key_values.features}[
            "clicks"
        ]

    def create(name, **config):
        view = {"big_query_source": SOURCE, "sync_config": config}
        admin.create_feature_view(parent=STORE, feature_view_id=name, feature_view=view)
        return f"{STORE}/featureViews/{name}"

    bigtable = {"bigtable": {"auto_scaling": {"min_node_count": 1, "max_node_count": 1}}}
    making = admin.create_feature_online_store(
        parent=PARENT, feature_online_store_id="shop", feature_online_store=bigtable
    )
    assert not making.operation.done
    gcp.advance(11)
    assert making.result(timeout=60).state == v1.FeatureOnlineStore.State.STABLE

    view = create("by_hand")
    first = admin.sync_feature_view(feature_view=view).feature_view_sync
    assert not admin.get_feature_view_sync(name=first).run_time.end_time.seconds
    with pytest.raises(exceptions.FailedPrecondition, match="one at a time"):
        admin.sync_feature_view(feature_view=view)
    with pytest.raises(exceptions.NotFound):
        clicks(view)
    gcp.advance(6)
    assert admin.get_feature_view_sync(name=first).sync_summary.row_synced == 1
    assert clicks(view) == 1

    always = create("always", continuous=True)
    with pytest.raises(exceptions.FailedPrecondition, match="continuously"):
        admin.sync_feature_view(feature_view=always)
    load(gcp, 2)
    assert clicks(always) == 1
    gcp.advance(61)
    assert (clicks(always), clicks(view)) == (2, 1)
