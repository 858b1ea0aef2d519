"""The feature store with vertexai's own classes, led by the environment alone."""

import json

import pytest

pytestmark = pytest.mark.slow

SDK = """
import json
from google.cloud import aiplatform, bigquery
from vertexai.resources.preview import feature_store as fs

aiplatform.init(project="shop-project", location="us-central1")
warehouse = bigquery.Client("shop-project")
warehouse.create_dataset("shop")
columns = {"entity_id": "STRING", "ctr": "FLOAT64", "feature_timestamp": "TIMESTAMP"}
schema = [bigquery.SchemaField(name, kind) for name, kind in columns.items()]
rows = [{"entity_id": "i1", "ctr": ctr, "feature_timestamp": f"2026-01-0{day}T00:00:00Z"} for day, ctr in ((1, 0.25), (2, 0.5))]
warehouse.load_table_from_json(rows, "shop-project.shop.items", job_config=bigquery.LoadJobConfig(schema=schema)).result()

group = fs.FeatureGroup.create("items", fs.utils.FeatureGroupBigQuerySource(uri="bq://shop-project.shop.items"))
group.create_feature("ctr", description="clicks an impression")
shown = {"features": [feature.name for feature in group.list_features()]}
source = fs.utils.FeatureViewRegistrySource(features=["items.ctr"])
for kind in ("bigtable", "optimized"):
    store = getattr(fs.FeatureOnlineStore, f"create_{kind}_store")(f"shop_{kind}")
    view = store.create_feature_view("items", source)
    sync = view.sync()
    features = view.read(["i1"]).to_dict()["features"]
    shown[kind] = {
        "type": store.feature_online_store_type.name,
        "synced": sync.gca_resource.sync_summary.row_synced,
        "ctr": [feature["value"]["double_value"] for feature in features if feature["name"] == "ctr"],
        "syncs": len(view.list_syncs()),
        "views": [known.name for known in fs.FeatureView.list(f"shop_{kind}")],
    }
    store.delete(force=True)
shown["stores"] = [known.name for known in fs.FeatureOnlineStore.list()]
group.delete(force=True)
print("SHOWN", json.dumps(shown))
"""


def test_a_group_a_store_and_a_view_are_made_synced_and_read(gcp):
    [line] = [line for line in gcp.run(SDK).splitlines() if line.startswith("SHOWN ")]
    shown = json.loads(line.removeprefix("SHOWN "))
    view = {"synced": 1, "ctr": [0.5], "syncs": 1, "views": ["items"]}
    assert shown == {
        "features": ["ctr"],
        "bigtable": {"type": "BIGTABLE", **view},
        "optimized": {"type": "OPTIMIZED", **view},
        "stores": [],
    }
