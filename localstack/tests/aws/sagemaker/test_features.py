"""Feature groups and records by boto3, against the stack in another process."""
# ruff: noqa: F401, F811  fixtures are imported, and arguments have their names

import io
import itertools

import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus_stack.tests.aws.data_kit import (
    BUCKET,
    ROLE,
    aws,
    instant_process,
    manual_process,
    moved,
)

NUMBERS = itertools.count()
FEATURES = [
    {"FeatureName": "item", "FeatureType": "String"},
    {"FeatureName": "at", "FeatureType": "String"},
    {"FeatureName": "ctr", "FeatureType": "Fractional"},
    {"FeatureName": "seen", "FeatureType": "Integral"},
]


def create(aws, name="items", *, online=True, offline=False, ttl=None, **more):
    stores = {}
    if online:
        stores["OnlineStoreConfig"] = {
            "EnableOnlineStore": True,
            **({"TtlDuration": ttl} if ttl else {}),
        }
    if offline:
        stores["OfflineStoreConfig"] = {"S3StorageConfig": {"S3Uri": f"s3://{BUCKET}/features"}}
    asked = {
        "FeatureGroupName": name,
        "RecordIdentifierFeatureName": "item",
        "EventTimeFeatureName": "at",
        "FeatureDefinitions": FEATURES,
        "RoleArn": ROLE,
    }
    return aws.sagemaker.create_feature_group(**{**asked, **stores, **more})


def record(**values):
    return [{"FeatureName": name, "ValueAsString": value} for name, value in values.items()]


def put(aws, name="items", **values):
    aws.sagemaker_featurestore_runtime.put_record(FeatureGroupName=name, Record=record(**values))


def get(aws, key="a", name="items", **more):
    answer = aws.sagemaker_featurestore_runtime.get_record(
        FeatureGroupName=name, RecordIdentifierValueAsString=key, **more
    )
    return {value["FeatureName"]: value["ValueAsString"] for value in answer.get("Record", [])}


def offline_rows(aws, name="items"):
    prefix = f"features/123456789012/sagemaker/us-east-1/offline-store/{name}-"
    return [
        row
        for key in aws.keys(prefix)
        for row in pq.read_table(io.BytesIO(aws.read(key))).to_pylist()
    ]


def code(error):
    return error.value.response["Error"]["Code"]


def test_an_online_only_group_is_created_in_time_and_then_takes_records(moved):
    create(moved)
    assert (
        moved.sagemaker.describe_feature_group(FeatureGroupName="items")["FeatureGroupStatus"]
        == "Creating"
    )
    with pytest.raises(ClientError) as error:
        put(moved, item="a", at="2024-01-01T00:00:00Z")
    assert code(error) == "ValidationError"
    moved.stack.advance(30)
    described = moved.sagemaker.describe_feature_group(FeatureGroupName="items")
    assert described["FeatureGroupStatus"] == "Created"
    assert "OfflineStoreConfig" not in described
    put(moved, item="a", at="2024-01-01T00:00:00Z", ctr="0.5")
    assert get(moved) == {"item": "a", "at": "2024-01-01T00:00:00Z", "ctr": "0.5"}


def test_a_key_that_nobody_wrote_gives_an_empty_answer(aws):
    create(aws)
    assert "Record" not in aws.sagemaker_featurestore_runtime.get_record(
        FeatureGroupName="items", RecordIdentifierValueAsString="nobody"
    )


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(minutes=st.lists(st.integers(0, 5), min_size=1, max_size=7))
def test_the_record_with_the_greatest_event_time_is_served_and_the_first_of_equals(aws, minutes):
    key = f"k{next(NUMBERS)}"  # the group is the same for all examples
    if not aws.sagemaker.list_feature_groups()["FeatureGroupSummaries"]:
        create(aws)
    for position, minute in enumerate(minutes):
        put(aws, item=key, at=f"2024-01-01T00:{minute:02d}:00Z", seen=str(position))
    assert get(aws, key)["seen"] == str(minutes.index(max(minutes)))


def test_an_older_record_goes_to_the_offline_store_only(aws):
    create(aws, offline=True)
    put(aws, item="a", at="2024-01-02T00:00:00Z", ctr="0.2")
    put(aws, item="a", at="2024-01-01T00:00:00Z", ctr="0.1")
    assert get(aws)["ctr"] == "0.2"
    assert sorted(row["ctr"] for row in offline_rows(aws)) == [0.1, 0.2]


def test_the_offline_store_has_the_real_layout_columns_and_glue_table(moved):
    create(moved, "shop-items", offline=True)
    moved.stack.advance(10)
    put(moved, "shop-items", item="a", at="2024-01-02T03:04:05.678Z", ctr="0.25", seen="7")
    assert offline_rows(moved, "shop-items") == []
    moved.stack.advance(301)
    config = moved.sagemaker.describe_feature_group(FeatureGroupName="shop-items")[
        "OfflineStoreConfig"
    ]
    folder = config["S3StorageConfig"]["ResolvedOutputS3Uri"].removeprefix(f"s3://{BUCKET}/")
    (key,) = moved.keys(folder)
    assert key.startswith(f"{folder}/year=2024/month=01/day=02/hour=03/20240102T030405Z_")
    assert len(key.rpartition("_")[2]) == 16 + len(".parquet")
    (row,) = offline_rows(moved, "shop-items")
    assert (row["item"], row["ctr"], row["seen"], row["is_deleted"]) == ("a", 0.25, 7, False)
    assert row["write_time"] >= row["api_invocation_time"]
    catalog = config["DataCatalogConfig"]
    table = moved.glue.get_table(DatabaseName=catalog["Database"], Name=catalog["TableName"])[
        "Table"
    ]
    assert [column["Name"] for column in table["PartitionKeys"]] == ["year", "month", "day", "hour"]
    assert {c["Name"]: c["Type"] for c in table["StorageDescriptor"]["Columns"]}["ctr"] == "double"


def test_the_offline_store_is_read_by_athena(aws):
    create(aws, offline=True)
    put(aws, item="a", at="2024-01-02T00:00:00Z", ctr="0.2", seen="3")
    catalog = aws.sagemaker.describe_feature_group(FeatureGroupName="items")["OfflineStoreConfig"][
        "DataCatalogConfig"
    ]
    query = (
        "SELECT item, ctr, seen, year, is_deleted FROM "
        f"{catalog['Database']}.{catalog['TableName']} WHERE month = '01'"
    )
    assert aws.rows(query) == [("a", "0.2", "3", "2024", "false")]


def test_what_is_not_of_the_features_type_is_refused_and_nothing_is_written(aws):
    create(aws)
    for wrong in ({"seen": "1.5"}, {"ctr": "many"}, {"colour": "red"}, {"at": "yesterday"}):
        with pytest.raises(ClientError) as error:
            put(aws, **{"item": "a", "at": "2024-01-01T00:00:00Z", **wrong})
        assert code(error) == "ValidationError"
    with pytest.raises(ClientError):
        put(aws, item="a", ctr="0.5")  # no event time
    assert get(aws) == {}


def test_a_soft_deletion_hides_the_record_and_still_beats_older_writes(aws):
    create(aws, offline=True)
    runtime = aws.sagemaker_featurestore_runtime
    put(aws, item="a", at="2024-01-01T00:00:00Z", ctr="0.1")
    runtime.delete_record(
        FeatureGroupName="items",
        RecordIdentifierValueAsString="a",
        EventTime="2024-01-02T00:00:00Z",
    )
    put(aws, item="a", at="2024-01-01T12:00:00Z", ctr="0.2")
    assert get(aws) == {}
    assert runtime.list_records(FeatureGroupName="items")["RecordIdentifiers"] == []
    assert runtime.list_records(FeatureGroupName="items", IncludeSoftDeletedRecords=True)[
        "RecordIdentifiers"
    ] == ["a"]
    assert [row["ctr"] for row in offline_rows(aws) if row["is_deleted"]] == [None]


def test_a_deletion_with_an_older_time_does_not_delete(aws):
    create(aws)
    runtime = aws.sagemaker_featurestore_runtime
    put(aws, item="a", at="2024-01-02T00:00:00Z", ctr="0.1")
    older = {
        "FeatureGroupName": "items",
        "RecordIdentifierValueAsString": "a",
        "EventTime": "2024-01-01T00:00:00Z",
    }
    runtime.delete_record(**older)
    with pytest.raises(ClientError) as error:
        runtime.delete_record(**older, DeletionMode="HardDelete")
    assert code(error) == "ValidationError"
    assert get(aws)["ctr"] == "0.1"


def test_after_a_hard_deletion_any_event_time_is_served(aws):
    create(aws)
    put(aws, item="a", at="2024-01-02T00:00:00Z", ctr="0.1")
    aws.sagemaker_featurestore_runtime.delete_record(
        FeatureGroupName="items",
        RecordIdentifierValueAsString="a",
        EventTime="2024-01-03T00:00:00Z",
        DeletionMode="HardDelete",
    )
    put(aws, item="a", at="2023-01-01T00:00:00Z", ctr="0.9")
    assert get(aws)["ctr"] == "0.9"


def test_a_record_expires_at_event_time_plus_ttl(moved):
    create(moved, ttl={"Unit": "Hours", "Value": 1})
    moved.stack.advance(10)
    now = moved.stack.now()
    put(moved, item="a", at=f"{now:%Y-%m-%dT%H:%M:%S}Z")
    runtime = moved.sagemaker_featurestore_runtime
    answer = runtime.get_record(
        FeatureGroupName="items",
        RecordIdentifierValueAsString="a",
        ExpirationTimeResponse="Enabled",
    )
    assert answer["ExpiresAt"] > f"{now:%Y-%m-%dT%H:%M}"
    moved.stack.advance(3601)
    assert get(moved) == {}


def test_a_batch_of_reads_leaves_out_what_is_missing_and_reports_what_is_wrong(aws):
    create(aws)
    for key in ("a", "b"):
        put(aws, item=key, at="2024-01-01T00:00:00Z", ctr="0.5")
    answer = aws.sagemaker_featurestore_runtime.batch_get_record(
        Identifiers=[
            {
                "FeatureGroupName": "items",
                "RecordIdentifiersValueAsString": ["b", "nobody", "a"],
                "FeatureNames": ["ctr"],
            },
            {"FeatureGroupName": "absent", "RecordIdentifiersValueAsString": ["a"]},
        ]
    )
    assert [(r["RecordIdentifierValueAsString"], r["Record"]) for r in answer["Records"]] == [
        ("b", [{"FeatureName": "ctr", "ValueAsString": "0.5"}]),
        ("a", [{"FeatureName": "ctr", "ValueAsString": "0.5"}]),
    ]
    assert [error["ErrorCode"] for error in answer["Errors"]] == ["ResourceNotFound"]
    assert answer["UnprocessedIdentifiers"] == []


def test_more_than_a_hundred_records_in_a_batch_are_refused(aws):
    create(aws)
    keys = [str(number) for number in range(60)]
    asked = [{"FeatureGroupName": "items", "RecordIdentifiersValueAsString": keys}] * 2
    with pytest.raises(ClientError) as error:
        aws.sagemaker_featurestore_runtime.batch_get_record(Identifiers=asked)
    assert code(error) == "ValidationError"


def test_a_batch_of_writes_writes_the_good_entries_and_names_the_bad(aws):
    create(aws)
    good = {
        "FeatureGroupName": "items",
        "Record": record(item="a", at="2024-01-01T00:00:00Z", seen="1"),
    }
    bad = {
        "FeatureGroupName": "items",
        "Record": record(item="b", at="2024-01-01T00:00:00Z", seen="one"),
    }
    answer = aws.sagemaker_featurestore_runtime.batch_write_record(Entries=[good, bad])
    assert [error["Entry"]["Record"][0]["ValueAsString"] for error in answer["Errors"]] == ["b"]
    assert answer["UnprocessedEntries"] == []
    assert get(aws)["seen"] == "1"


def test_new_features_are_usable_after_an_update_and_reach_the_glue_table(aws):
    create(aws, offline=True)
    aws.sagemaker.update_feature_group(
        FeatureGroupName="items",
        FeatureAdditions=[{"FeatureName": "price", "FeatureType": "Fractional"}],
    )
    described = aws.sagemaker.describe_feature_group(FeatureGroupName="items")
    assert described["LastUpdateStatus"] == {"Status": "Successful"}
    put(aws, item="a", at="2024-01-01T00:00:00Z", price="9.5")
    catalog = described["OfflineStoreConfig"]["DataCatalogConfig"]
    assert aws.rows(f"SELECT price FROM {catalog['Database']}.{catalog['TableName']}") == [("9.5",)]


def test_groups_are_listed_deleted_and_missed(aws):
    create(aws, "items")
    create(aws, "users")
    names = [
        group["FeatureGroupName"]
        for group in aws.sagemaker.list_feature_groups(NameContains="us")["FeatureGroupSummaries"]
    ]
    assert names == ["users"]
    aws.sagemaker.delete_feature_group(FeatureGroupName="users")
    with pytest.raises(ClientError) as error:
        aws.sagemaker.describe_feature_group(FeatureGroupName="users")
    assert code(error) == "ResourceNotFound"
    with pytest.raises(ClientError) as error:
        create(aws, "items")
    assert code(error) == "ResourceInUse"


@pytest.mark.parametrize(
    "change",
    [
        {"EventTimeFeatureName": "nothing"},
        {"EventTimeFeatureName": "seen"},
        {"FeatureDefinitions": [*FEATURES, {"FeatureName": "write_time", "FeatureType": "String"}]},
        {"FeatureDefinitions": [*FEATURES, FEATURES[0]]},
        {"OnlineStoreConfig": {"EnableOnlineStore": False}},
    ],
)
def test_a_group_that_cannot_be_is_refused(aws, change):
    with pytest.raises(ClientError) as error:
        create(aws, **change)
    assert code(error) == "ValidationException"


def catalogued(table, database="shop", catalog="AwsDataCatalog"):
    names = {"TableName": table, "Database": database, "Catalog": catalog}
    return {"S3StorageConfig": {"S3Uri": f"s3://{BUCKET}/features"}, "DataCatalogConfig": names}


def test_a_group_whose_table_is_there_already_fails_with_a_reason_and_leaves_it(aws):
    create(aws, OfflineStoreConfig=catalogued("prices"))
    assert (
        aws.sagemaker.describe_feature_group(FeatureGroupName="items")["FeatureGroupStatus"]
        == "Created"
    )
    table = aws.glue.get_table(DatabaseName="shop", Name="prices")["Table"]
    create(aws, "users", OfflineStoreConfig=catalogued("prices"))
    described = aws.sagemaker.describe_feature_group(FeatureGroupName="users")
    assert described["FeatureGroupStatus"] == "CreateFailed"
    assert "already exists" in described["FailureReason"]
    assert aws.glue.get_table(DatabaseName="shop", Name="prices")["Table"] == table


def test_a_group_fails_on_a_table_that_has_no_place_in_s3_too(aws):
    aws.glue.create_database(DatabaseInput={"Name": "shop"})
    aws.glue.create_table(DatabaseName="shop", TableInput={"Name": "prices"})
    create(aws, OfflineStoreConfig=catalogued("prices"))
    assert (
        aws.sagemaker.describe_feature_group(FeatureGroupName="items")["FeatureGroupStatus"]
        == "CreateFailed"
    )


@pytest.mark.parametrize(
    "names",
    [
        ("the-prices",),
        ("Prices",),
        ("1st",),
        ("prices", "the shop"),
        ("prices", "shop", "MyCatalog"),
        ("p" * 253,),
    ],
)
def test_a_table_that_athena_would_not_take_is_refused(aws, names):
    with pytest.raises(ClientError) as error:
        create(aws, OfflineStoreConfig=catalogued(*names))
    assert code(error) == "ValidationException"
    assert aws.sagemaker.list_feature_groups()["FeatureGroupSummaries"] == []


def test_an_offline_store_without_its_bucket_fails_with_a_reason(aws):
    create(aws, OfflineStoreConfig={"S3StorageConfig": {"S3Uri": "s3://nobody-has-this/x"}})
    described = aws.sagemaker.describe_feature_group(FeatureGroupName="items")
    assert described["FeatureGroupStatus"] == "CreateFailed"
    assert "nobody-has-this" in described["FailureReason"]
