"""What the tests of the data services share: one stack on the instant clock, one on a clock that
tests move; clients of boto3.
"""

import time

import boto3
import pytest
from botocore.config import Config

from isthmus_stack.client import Stack
from isthmus_stack.testing import stacks
from isthmus_stack.testing.keys_kit import keys

BUCKET = "data-bucket"
ROLE = "arn:aws:iam::123456789012:role/DataRole"
PARQUET = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"


SERVICES = {"s3", "glue", "athena", "sagemaker", "sagemaker_featurestore_runtime", "kinesis", "firehose", "resourcegroupstaggingapi",
            "cloudformation"}  # fmt: skip


class Aws:
    """Clients of one stack: aws.s3, aws.athena, ..."""

    def __init__(self, url):
        self.url = url
        self.stack = Stack(url)

    def __getattr__(self, name):
        if name not in SERVICES:
            raise AttributeError(name)
        client = boto3.client(
            name.replace("_", "-"),
            endpoint_url=self.url,
            region_name="us-east-1",
            **keys(self.url),
            config=Config(retries={"total_max_attempts": 1}),
        )
        setattr(self, name, client)
        return client

    def keys(self, prefix=""):
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def read(self, key):
        return self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()

    def start(self, sql, **more):
        context = {
            "QueryExecutionContext": {"Database": "db"},
            "ResultConfiguration": {"OutputLocation": f"s3://{BUCKET}/results/"},
        }
        return self.athena.start_query_execution(QueryString=sql, **{**context, **more})[
            "QueryExecutionId"
        ]

    def execution(self, sql, **more):
        return self.finished(self.start(sql, **more))

    def finished(self, started, *, seconds=60):
        """The execution once it has ended."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            execution = self.athena.get_query_execution(QueryExecutionId=started)["QueryExecution"]
            if execution["Status"]["State"] not in ("QUEUED", "RUNNING"):
                return execution
            time.sleep(0.02)
        raise AssertionError(f"the query has not ended in {seconds} s: {execution['Query']}")

    def rows(self, sql, **more):
        """The rows without the header, as text; AssertionError with Athena's reason when the query
        fails.
        """
        execution = self.execution(sql, **more)
        assert execution["Status"]["State"] == "SUCCEEDED", execution["Status"].get(
            "StateChangeReason"
        )
        found = self.athena.get_query_results(QueryExecutionId=execution["QueryExecutionId"])[
            "ResultSet"
        ]["Rows"]
        lines = [tuple(cell.get("VarCharValue") for cell in row["Data"]) for row in found]
        return lines[1:] if execution.get("SubstatementType") == "SELECT" else lines

    def reason(self, sql, **more):
        execution = self.execution(sql, **more)
        assert execution["Status"]["State"] == "FAILED", execution["Status"]
        return execution["Status"]["StateChangeReason"]


def made(process):
    aws = Aws(process.url)
    aws.stack.reset()
    aws.s3.create_bucket(Bucket=BUCKET)
    aws.glue.create_database(DatabaseInput={"Name": "db"})
    return aws


@pytest.fixture(scope="module")
def instant_process():
    return stacks.shared("instant")


@pytest.fixture(scope="module")
def manual_process():
    return stacks.shared("manual")


@pytest.fixture
def aws(instant_process):
    return made(instant_process)


@pytest.fixture
def moved(manual_process):
    return made(manual_process)


def table_input(
    name, columns, location, *, partitions=(), parameters=None, serde=PARQUET, serde_parameters=None
):
    return {
        "Name": name,
        "TableType": "EXTERNAL_TABLE",
        "Parameters": parameters or {},
        "PartitionKeys": [{"Name": n, "Type": t} for n, t in partitions],
        "StorageDescriptor": {
            "Columns": [{"Name": n, "Type": t} for n, t in columns],
            "Location": location,
            "SerdeInfo": {"SerializationLibrary": serde, "Parameters": serde_parameters or {}},
        },
    }
