"""Feature Store."""

import io
from functools import cache

import pyarrow.parquet as pq

from isthmus_stack.testing.jobs_kit import ROLE, until
from isthmus_stack.tests.aws.statements.account import refusal
from isthmus_stack.tests.aws.statements.table import guide, promises, reference

QUOTAS = guide("Quotas, naming rules and data types", "feature-store-quotas")
OFFLINE = guide("Feature Store offline store data format", "feature-store-offline")
GROUPS = guide("Create feature groups", "feature-store-create-feature-group")
DATASET = guide("Create a dataset from your feature groups", "feature-store-create-a-dataset")
ADD = guide("Add features and records to a feature group", "feature-store-update-feature-group")
CREATE = reference("CreateFeatureGroup")
PUT = reference("feature_store_PutRecord")
GET = reference("feature_store_GetRecord")
DELETE = reference("feature_store_DeleteRecord")
BATCH = reference("feature_store_BatchGetRecord")
FEATURES = [
    {"FeatureName": "item", "FeatureType": "String"},
    {"FeatureName": "at", "FeatureType": "String"},
    {"FeatureName": "ctr", "FeatureType": "Fractional"},
    {"FeatureName": "seen", "FeatureType": "Integral"},
]
ONE, TWO, THREE = (f"2024-01-01T00:00:0{second}Z" for second in (1, 2, 3))


def request(name, *, online=True, offline=False, features=FEATURES, **more):
    stores = {"OnlineStoreConfig": {"EnableOnlineStore": True}} if online else {}
    if offline:
        stores["OfflineStoreConfig"] = {"S3StorageConfig": {"S3Uri": "s3://bucket/features"}}
    base = {
        "FeatureGroupName": name,
        "RecordIdentifierFeatureName": "item",
        "EventTimeFeatureName": "at",
        "RoleArn": ROLE,
    }
    return {**base, "FeatureDefinitions": features, **stores, **more}


def created(aws, **more):
    name = aws.fresh("features")
    aws.sm.create_feature_group(**request(name, **more))
    wait = {"seconds": 60, "until": ("Created", "CreateFailed"), "FeatureGroupName": name}
    aws.pass_time(60)
    assert (
        aws.wait(aws.sm.describe_feature_group, "FeatureGroupStatus", **wait)["FeatureGroupStatus"]
        == "Created"
    )
    return name


@cache
def group(aws):
    """An online group that many statements write to, each under its own key."""
    return created(aws)


@cache
def both(aws):
    """A group with both stores, likewise."""
    return created(aws, offline=True)


def put(aws, name, target=None, ttl=None, **values):
    more = {**({"TargetStores": target} if target else {}), **({"TtlDuration": ttl} if ttl else {})}
    record = [{"FeatureName": key, "ValueAsString": value} for key, value in values.items()]
    aws.sagemaker_featurestore_runtime.put_record(FeatureGroupName=name, Record=record, **more)


def get(aws, name, key, **more):
    answer = aws.sagemaker_featurestore_runtime.get_record(
        FeatureGroupName=name, RecordIdentifierValueAsString=key, **more
    )
    return {value["FeatureName"]: value["ValueAsString"] for value in answer.get("Record", [])}


def delete(aws, name, key, at, **more):
    aws.sagemaker_featurestore_runtime.delete_record(
        FeatureGroupName=name, RecordIdentifierValueAsString=key, EventTime=at, **more
    )


def rows(aws, name, key):
    """The rows of a key in the offline store, from its Parquet files."""
    uri = aws.sm.describe_feature_group(FeatureGroupName=name)["OfflineStoreConfig"][
        "S3StorageConfig"
    ]["ResolvedOutputS3Uri"]
    keys = until(lambda: aws.keys(uri.removeprefix("s3://bucket/")))
    return [
        row
        for path in keys
        for row in pq.read_table(io.BytesIO(aws.body(path))).to_pylist()
        if row["item"] == key
    ]


@promises(
    "A record with a greater event time replaces the record that is online; an older one does not.",
    PUT,
)
def the_latest_record_is_online(aws):
    key = aws.fresh()
    for at, ctr in ((TWO, "0.2"), (THREE, "0.3"), (ONE, "0.1")):
        put(aws, group(aws), item=key, at=at, ctr=ctr)
    assert get(aws, group(aws), key)["ctr"] == "0.3"


@promises(
    "A record with the event time of the record that is online replaces it.",
    GROUPS,
    differs="the first of equals stays, as PutRecord's own page says: only a greater event time is "
    "written to both stores",
)
def an_equal_time_replaces(aws):
    key = aws.fresh()
    for ctr in ("0.1", "0.2"):
        put(aws, group(aws), item=key, at=ONE, ctr=ctr)
    assert get(aws, group(aws), key)["ctr"] == "0.2"


@promises("An older record is written to the offline store only.", PUT)
def an_older_record_is_offline(aws):
    key = aws.fresh()
    put(aws, both(aws), item=key, at=TWO, ctr="0.2")
    put(aws, both(aws), item=key, at=ONE, ctr="0.1")
    assert get(aws, both(aws), key)["ctr"] == "0.2"
    assert until(lambda: sorted(row["ctr"] for row in rows(aws, both(aws), key)) == [0.1, 0.2])


@promises("A record is put as a whole: a feature that it does not name is gone.", PUT)
def a_record_is_overwritten_whole(aws):
    key = aws.fresh()
    put(aws, group(aws), item=key, at=ONE, ctr="0.1", seen="3")
    put(aws, group(aws), item=key, at=TWO, ctr="0.2")
    assert get(aws, group(aws), key) == {"item": key, "at": TWO, "ctr": "0.2"}


@promises("TargetStores says to which stores a record goes.", PUT)
def a_record_goes_to_its_stores(aws):
    key = aws.fresh()
    put(aws, both(aws), target=["OfflineStore"], item=key, at=ONE, ctr="0.1")
    assert get(aws, both(aws), key) == {}
    assert until(lambda: rows(aws, both(aws), key))


@promises("GetRecord of a key that nobody wrote answers without a record.", GET)
def a_missing_key_has_no_record(aws):
    assert get(aws, group(aws), "nobody") == {}


@promises("FeatureNames chooses features of a record.", GET)
def features_are_chosen(aws):
    key = aws.fresh()
    put(aws, group(aws), item=key, at=ONE, ctr="0.1", seen="3")
    assert get(aws, group(aws), key, FeatureNames=["seen"]) == {"seen": "3"}


@promises("Reading a group that does not exist is ResourceNotFound.", GET)
def a_missing_group_is_not_found(aws):
    assert "ResourceNotFound" in refusal(get, aws=aws, name="nobodys", key="a")


@promises("A fractional value is a number.", QUOTAS)
def a_fraction_is_a_number(aws):
    assert "Validation" in refusal(put, aws=aws, name=group(aws), item="a", at=ONE, ctr="many")


@promises("An integral value is within 64 bits.", QUOTAS)
def an_integer_has_64_bits(aws):
    key = aws.fresh()
    put(aws, group(aws), item=key, at=ONE, seen=str(2**63 - 1))
    assert "Validation" in refusal(put, aws=aws, name=group(aws), item=key, at=TWO, seen=str(2**63))


@promises("An event time as text is ISO-8601 in UTC, to seconds or milliseconds.", QUOTAS)
def an_event_time_has_its_format(aws):
    put(aws, group(aws), item=aws.fresh(), at="2024-01-01T00:00:00.123Z")
    for at in ("2024-01-01", "2024-01-01 00:00:00", "yesterday"):
        assert "Validation" in refusal(put, aws=aws, name=group(aws), item="a", at=at)


@promises("A record has its identifier and its event time.", PUT)
def a_record_has_its_identifier_and_time(aws):
    assert "Validation" in refusal(put, aws=aws, name=group(aws), item="a")
    assert "Validation" in refusal(put, aws=aws, name=group(aws), at=ONE)


@promises("A record has no feature that the group does not define.", PUT)
def a_record_has_defined_features(aws):
    assert "Validation" in refusal(put, aws=aws, name=group(aws), item="a", at=ONE, price="1")


@promises("is_deleted, write_time and api_invocation_time are reserved words.", QUOTAS)
def some_names_are_reserved(aws):
    for word in ("is_deleted", "write_time", "api_invocation_time"):
        features = [*FEATURES, {"FeatureName": word, "FeatureType": "String"}]
        assert "Validation" in refusal(
            aws.sm.create_feature_group, **request(aws.fresh(), features=features)
        )


@promises("The record identifier is one of the features.", CREATE)
def the_identifier_is_a_feature(aws):
    wrong = request(aws.fresh(), RecordIdentifierFeatureName="sku")
    assert "Validation" in refusal(aws.sm.create_feature_group, **wrong)


@promises("A group has an online or an offline store, or both.", CREATE)
def a_group_has_a_store(aws):
    assert "Validation" in refusal(
        aws.sm.create_feature_group, **request(aws.fresh(), online=False)
    )


@promises("The name of a group is unique in its account and region.", CREATE)
def group_names_are_unique(aws):
    assert "ResourceInUse" in refusal(aws.sm.create_feature_group, **request(group(aws)))


@promises(
    "A soft deletion hides the record; its marker is a row of the offline store with is_deleted.",
    DELETE,
)
def a_soft_deletion_leaves_its_marker(aws):
    key = aws.fresh()
    put(aws, both(aws), item=key, at=ONE, ctr="0.1")
    delete(aws, both(aws), key, TWO)
    assert get(aws, both(aws), key) == {}
    marker = until(lambda: [row for row in rows(aws, both(aws), key) if row["is_deleted"]])
    assert (marker[0]["at"], marker[0]["ctr"]) == (TWO, None)


@promises(
    "A deletion with an event time that is not later than the record's does not delete it.", DELETE
)
def an_early_deletion_deletes_nothing(aws):
    key = aws.fresh()
    put(aws, group(aws), item=key, at=TWO, ctr="0.1")
    delete(aws, group(aws), key, ONE)
    assert get(aws, group(aws), key)["ctr"] == "0.1"


@promises("A hard deletion with such an event time is a ValidationException.", DELETE)
def an_early_hard_deletion_is_refused(aws):
    key = aws.fresh()
    put(aws, group(aws), item=key, at=TWO, ctr="0.1")
    assert "Validation" in refusal(
        delete, aws=aws, name=group(aws), key=key, at=ONE, DeletionMode="HardDelete"
    )


@promises("A record expires at its event time plus its TtlDuration.", PUT, clock="manual")
def a_record_expires(aws):
    name, now = created(aws), aws.stack.now()
    put(
        aws,
        name,
        ttl={"Unit": "Minutes", "Value": 5},
        item="a",
        at=now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        ctr="0.1",
    )
    assert get(aws, name, "a")
    aws.stack.advance(360)
    assert get(aws, name, "a") == {}


@promises(
    "The TtlDuration of a record comes before its group's.",
    reference("UpdateFeatureGroup"),
    clock="manual",
)
def a_records_own_time_to_live_comes_first(aws):
    store = {"EnableOnlineStore": True, "TtlDuration": {"Unit": "Minutes", "Value": 5}}
    name, at = created(aws, OnlineStoreConfig=store), aws.stack.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    put(aws, name, item="short", at=at, ctr="0.1")
    put(aws, name, ttl={"Unit": "Hours", "Value": 5}, item="long", at=at, ctr="0.1")
    aws.stack.advance(600)
    assert (get(aws, name, "short"), bool(get(aws, name, "long"))) == ({}, True)


@promises(
    "BatchGetRecord answers the records of several groups and leaves out what is missing.", BATCH
)
def a_batch_reads_several_groups(aws):
    key = aws.fresh()
    put(aws, group(aws), item=key, at=ONE, ctr="0.1")
    put(aws, both(aws), item=key, at=ONE, ctr="0.2")
    wanted = [
        {"FeatureGroupName": name, "RecordIdentifiersValueAsString": [key, "nobody"]}
        for name in (group(aws), both(aws))
    ]
    records = aws.sagemaker_featurestore_runtime.batch_get_record(Identifiers=wanted)["Records"]
    assert sorted(item["FeatureGroupName"] for item in records) == sorted([group(aws), both(aws)])


@promises("A BatchGetRecord has 100 records at most.", QUOTAS)
def a_batch_has_a_hundred_records(aws):
    keys = [str(number) for number in range(51)]
    many = [
        {"FeatureGroupName": name, "RecordIdentifiersValueAsString": keys}
        for name in (group(aws), both(aws))
    ]
    assert "Validation" in refusal(
        aws.sagemaker_featurestore_runtime.batch_get_record, Identifiers=many
    )


@promises(
    "The offline store is Parquet below "
    "S3Uri/ACCOUNT/sagemaker/REGION/offline-store/GROUP-TIME/data, by hour of the event.",
    OFFLINE,
)
def the_offline_store_has_its_layout(aws):
    key = aws.fresh()
    put(aws, both(aws), item=key, at="2024-03-04T05:06:07Z", ctr="0.1")
    prefix = f"features/123456789012/sagemaker/us-east-1/offline-store/{both(aws)}-"
    keys = until(
        lambda: [
            item for item in aws.keys(prefix) if "/data/year=2024/month=03/day=04/hour=05/" in item
        ]
    )
    assert all(item.endswith(".parquet") for item in keys)


@promises("The offline store adds api_invocation_time, write_time and is_deleted.", OFFLINE)
def the_offline_store_adds_columns(aws):
    key = aws.fresh()
    put(aws, both(aws), item=key, at=ONE, ctr="0.1")
    (row,) = until(lambda: rows(aws, both(aws), key))
    assert row["is_deleted"] is False
    assert row["api_invocation_time"] <= row["write_time"]


@promises("A group's offline store is a table of the Glue catalog, which Athena reads.", DATASET)
def the_offline_store_is_a_table(aws):
    key = aws.fresh()
    put(aws, both(aws), item=key, at=ONE, ctr="0.5")
    catalog = aws.sm.describe_feature_group(FeatureGroupName=both(aws))["OfflineStoreConfig"][
        "DataCatalogConfig"
    ]
    until(lambda: rows(aws, both(aws), key))
    table = f'"{catalog["Database"]}"."{catalog["TableName"]}"'
    assert aws.rows(f"select ctr from {table} where item = '{key}'") == [("0.5",)]


@promises("UpdateFeatureGroup adds features; records can have them then.", ADD)
def features_are_added(aws):
    name = created(aws)
    aws.sm.update_feature_group(
        FeatureGroupName=name,
        FeatureAdditions=[{"FeatureName": "price", "FeatureType": "Fractional"}],
    )
    described = aws.wait(
        aws.sm.describe_feature_group,
        "FeatureGroupStatus",
        until=("Created",),
        FeatureGroupName=name,
    )
    assert described["LastUpdateStatus"]["Status"] == "Successful"
    put(aws, name, item="a", at=ONE, price="2.5")
    assert get(aws, name, "a")["price"] == "2.5"


@promises(
    "Deleting a group deletes what is online at once; the offline store and its table stay.",
    reference("DeleteFeatureGroup"),
)
def the_offline_store_outlives_its_group(aws):
    name = created(aws, offline=True)
    put(aws, name, item="a", at=ONE, ctr="0.1")
    until(lambda: rows(aws, name, "a"))
    catalog = aws.sm.describe_feature_group(FeatureGroupName=name)["OfflineStoreConfig"][
        "DataCatalogConfig"
    ]
    aws.sm.delete_feature_group(FeatureGroupName=name)
    assert "ResourceNotFound" in refusal(get, aws=aws, name=name, key="a")
    assert aws.keys(f"features/123456789012/sagemaker/us-east-1/offline-store/{name}-")
    assert aws.glue.get_table(DatabaseName=catalog["Database"], Name=catalog["TableName"])
