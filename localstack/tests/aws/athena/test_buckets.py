"""CREATE TABLE AS with bucketed_by: rows by Hive's hash, a file a bucket."""
# ruff: noqa: F401, F811  fixtures are imported, and arguments have their names

from datetime import date

import pytest

from isthmus_stack.aws.services.athena.tables.buckets import bucket
from isthmus_stack.tests.aws.data_kit import BUCKET, aws, instant_process


@pytest.mark.parametrize(
    ("values", "kinds", "number"),
    [
        (["abc"], ["string"], 96354 % 1000),  # as Java's "abc".hashCode()
        (
            ["é"],
            ["string"],
            (31 * (0xC3 - 256) + (0xA9 - 256)) % (1 << 31) % 1000,
        ),  # of UTF-8's bytes, which have signs
        (
            ["test string"],
            ["string"],
            -318923937 % (1 << 31) % 1000,
        ),  # these three as Trino's tests have them
        (["test string"], ["varchar(15)"], -189841218 % (1 << 31) % 1000),
        ([""], ["varchar(15)"], 1),
        ([7], ["int"], 7),
        ([-5], ["int"], (-5 & 0x7FFFFFFF) % 1000),
        ([-5], ["bigint"], 4),
        ([1 << 32], ["bigint"], 1),
        ([True], ["boolean"], 1),
        ([None], ["string"], 0),
        ([date(1970, 1, 11)], ["date"], 10),
        ([1.0], ["double"], 0x3FF00000 % 1000),
        ([1.0], ["float"], 0x3F800000 % 1000),
        ([7, "abc"], ["int", "string"], (31 * 7 + 96354) % 1000),
    ],
)
def test_a_bucket_is_hives(values, kinds, number):
    assert bucket(values, kinds, 1000) == number


def made_of(properties, query="SELECT n, n % 2 AS dt FROM UNNEST(sequence(1, 9)) AS t (n)"):
    return (
        f"CREATE TABLE made WITH (external_location = 's3://{BUCKET}/made/', {properties}) AS "
        f"{query}"
    )


def test_a_table_that_a_query_makes_has_a_file_a_bucket(aws):
    aws.rows(made_of("bucketed_by = ARRAY['n'], bucket_count = 4, partitioned_by = ARRAY['dt']"))
    files = [key for key in aws.keys("made/") if "bucket-" in key]
    assert sorted(key.split("/")[1] + key[-2:] for key in files) == [
        "dt=000",
        "dt=002",
        "dt=101",
        "dt=103",
    ]
    table = aws.glue.get_table(DatabaseName="db", Name="made")["Table"]
    assert (
        table["StorageDescriptor"]["NumberOfBuckets"],
        table["StorageDescriptor"]["BucketColumns"],
    ) == (4, ["n"])
    assert len(aws.glue.get_partitions(DatabaseName="db", TableName="made")["Partitions"]) == 2
    assert aws.rows("SELECT sum(n), count(*) FROM made WHERE n <> 5") == [("40", "8")]


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ("bucketed_by = ARRAY['n']", "Must specify 'bucket_count' along with 'bucketed_by'"),
        ("bucketed_by = ARRAY['n'], bucket_count = 0", "bucket_count must be greater than zero"),
        (
            "bucketed_by = ARRAY['m'], bucket_count = 2",
            "Bucketing columns [m] not present in schema",
        ),
        (
            "bucketed_by = ARRAY['dt'], bucket_count = 2, partitioned_by = ARRAY['dt']",
            "Bucketing columns [dt] not present",
        ),
    ],
)
def test_buckets_that_cannot_be_are_refused(aws, properties, reason):
    assert reason in aws.reason(made_of(properties))
    assert aws.keys("made/") == []


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (
            "timestamp '2024-01-01 00:00:00'",
            "NOT_SUPPORTED: Cannot create a table bucketed on an unsupported type",
        ),
        (
            "CAST('a' AS char(2))",
            "NOT_SUPPORTED: Cannot create a table bucketed on an unsupported type",
        ),
        ("ARRAY[1]", "does not run bucketed_by a column of type array<int>; Athena does"),
    ],
)
def test_a_type_that_is_not_hashed_is_refused(aws, value, words):
    assert words in aws.reason(
        made_of("bucketed_by = ARRAY['n'], bucket_count = 2", f"SELECT {value} AS n, 1 AS m")
    )
