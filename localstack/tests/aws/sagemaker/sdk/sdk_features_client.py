"""A user of the genuine sagemaker v3 SDK's Feature Store, in a process of its own.

Writes one JSON object.
"""

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pandas as pd
from sagemaker.core.helper.session_helper import Session
from sagemaker.core.shapes import OfflineStoreConfig, OnlineStoreConfig, S3StorageConfig
from sagemaker.mlops.feature_store import FeatureGroup, ingest_dataframe
from sagemaker.mlops.feature_store.dataset_builder import DatasetBuilder
from sagemaker.mlops.feature_store.feature_utils import (
    create_athena_query,
    load_feature_definitions_from_dataframe,
)

BUCKET = "feature-bucket"
ROLE = "arn:aws:iam::123456789012:role/FeatureRole"
OUTPUT = f"s3://{BUCKET}/athena"


def day(number):
    """Seconds: with text as event time, DatasetBuilder of 3.27 calls from_unixtime with a text,
    which Athena refuses.
    """
    return datetime(2024, 1, number, tzinfo=UTC).timestamp()


def group(name, frame):
    made = FeatureGroup.create(
        feature_group_name=name,
        record_identifier_feature_name="item",
        event_time_feature_name="event_time",
        feature_definitions=load_feature_definitions_from_dataframe(frame),
        role_arn=ROLE,
        online_store_config=OnlineStoreConfig(enable_online_store=True),
        offline_store_config=OfflineStoreConfig(
            s3_storage_config=S3StorageConfig(s3_uri=f"s3://{BUCKET}/store")
        ),
        region="us-east-1",
    )
    made.wait_for_status("Created", poll=1)
    return made


def main(path):
    seen = {}
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    session = Session(boto_session=boto3.Session(), default_bucket=BUCKET)
    frame = pd.DataFrame(
        {
            "item": ["a", "a", "b"],
            "ctr": [0.1, 0.2, 0.5],
            "seen": [10, 20, 30],
            "event_time": [day(1), day(3), day(2)],
        }
    )
    items = group("items-v1", frame)
    seen["status"] = FeatureGroup.get(feature_group_name="items-v1").feature_group_status
    ingest_dataframe("items-v1", frame, max_workers=1, wait=True)
    ingest_dataframe(
        "items-v1",
        frame.assign(item=["c", "c", "d"]),
        max_workers=1,
        wait=True,
        use_batch_write_record=True,
    )
    record = items.get_record(record_identifier_value_as_string="a")
    seen["record"] = {value.feature_name: value.value_as_string for value in record.record}

    query = create_athena_query("items-v1", session)
    query.run(
        f'SELECT item, ctr, seen, event_time FROM "{query.database}"."{query.table_name}" '
        "ORDER BY item, event_time",
        OUTPUT,
    )
    query.wait()
    seen["athena"] = query.as_dataframe().to_dict("records")

    base = pd.DataFrame(
        {
            "item": ["a", "a", "b", "b"],
            "clicked": [0, 1, 1, 0],
            "at": [day(2), day(4), day(4), day(1)],
        }
    )
    built = DatasetBuilder.create(
        base=base,
        output_path=f"s3://{BUCKET}/dataset",
        session=session,
        record_identifier_feature_name="item",
        event_time_identifier_feature_name="at",
    )
    joined, text = (
        built.with_feature_group(
            items, target_feature_name_in_base="item", included_feature_names=["ctr"]
        )
        .point_in_time_accurate_join()
        .to_dataframe()
    )
    seen["joined"] = joined.astype(object).where(joined.notna(), None).to_dict("records")
    seen["query"] = text

    alone = DatasetBuilder.create(base=items, output_path=f"s3://{BUCKET}/dataset", session=session)
    latest, _ = alone.with_event_time_range(
        ending_timestamp=datetime(2024, 1, 2, 12, tzinfo=UTC)
    ).to_dataframe()
    seen["range"] = sorted(latest[["item", "event_time"]].itertuples(index=False, name=None))
    of_now = DatasetBuilder.create(
        base=items, output_path=f"s3://{BUCKET}/dataset", session=session
    )
    known, _ = of_now.as_of(
        datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=1)
    ).to_dataframe()
    seen["known"] = len(known)
    Path(path).write_text(json.dumps(seen, default=str))


if __name__ == "__main__":
    main(sys.argv[1])
