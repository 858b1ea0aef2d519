"""The genuine awswrangler against the stack in another process: datasets, catalogue, queries in
their three modes.
"""
# ruff: noqa: F401, F811  fixtures are imported, and arguments have their names

from decimal import Decimal

import boto3
import pandas as pd
import pytest

from isthmus_stack.testing.keys_kit import keys
from isthmus_stack.tests.aws.data_kit import BUCKET, aws, instant_process, manual_process, moved

FRAME = pd.DataFrame(
    {
        "id": [1, 2, 3, 4],
        "name": ["a", None, 'say "hi", ok', "ü"],
        "x": [0.5, None, 1e10, -2.0],
        "ok": [True, False, True, False],
        "at": pd.to_datetime(
            [
                "2024-01-01 00:00:00.123",
                "2024-01-02 01:00:00",
                "2024-01-03",
                "2024-01-03 23:59:59.999",
            ],
            format="ISO8601",
        ),
        "dt": ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-03"],
    }
)
MODES = {
    "ctas": {"ctas_approach": True},
    "unload": {"ctas_approach": False, "unload_approach": True},
    "plain": {"ctas_approach": False},
}


@pytest.fixture(scope="module")
def wr():
    """Imported by the worker that asks: 2 s of CPU."""
    return pytest.importorskip("awswrangler")


@pytest.fixture
def session(aws, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.url)
    return boto3.Session(**keys(aws.url), region_name="us-east-1")


@pytest.fixture
def dataset(wr, session):
    wr.s3.to_parquet(
        FRAME,
        path=f"s3://{BUCKET}/wr/",
        dataset=True,
        database="db",
        table="t",
        partition_cols=["dt"],
        boto3_session=session,
        use_threads=False,
    )
    return session


def read(session, sql, mode, **more):
    import awswrangler

    return awswrangler.athena.read_sql_query(
        sql,
        database="db",
        s3_output=f"s3://{BUCKET}/out-{mode}/",
        boto3_session=session,
        use_threads=False,
        **MODES[mode],
        **more,
    )


@pytest.mark.parametrize("mode", MODES)
def test_a_dataset_comes_back_with_its_types_in_every_mode(dataset, mode):
    found = read(
        dataset,
        "SELECT id, name, x, ok, at, dt, date '2024-02-29' AS day, CAST(1.25 AS decimal(6, "
        "2)) AS price FROM t ORDER BY id",
        mode,
    )
    assert found["id"].tolist() == [1, 2, 3, 4]
    assert [None if pd.isna(value) else value for value in found["name"]] == [
        "a",
        None,
        'say "hi", ok',
        "ü",
    ]
    assert found["x"].astype("float64").fillna(0.0).tolist() == [0.5, 0.0, 1e10, -2.0]
    assert found["ok"].tolist() == FRAME["ok"].tolist()
    assert found["at"].tolist() == FRAME["at"].tolist()
    assert found["dt"].tolist() == FRAME["dt"].tolist()
    assert [str(day) for day in found["day"]] == ["2024-02-29"] * 4
    assert found["price"].tolist() == [Decimal("1.25")] * 4


@pytest.mark.parametrize("mode", MODES)
def test_an_empty_result_is_an_empty_frame(wr, dataset, mode):
    if mode == "unload":
        with pytest.raises(
            wr.exceptions.EmptyDataFrame
        ):  # awswrangler's own word: no file has the types
            read(dataset, "SELECT id FROM t WHERE id > 99", mode)
        return
    assert read(dataset, "SELECT id FROM t WHERE id > 99", mode).empty


@pytest.mark.parametrize("mode", MODES)
def test_a_query_that_fails_raises_with_athenas_reason(wr, dataset, mode):
    with pytest.raises(wr.exceptions.QueryFailed, match="COLUMN_NOT_FOUND"):
        read(dataset, "SELECT nosuch FROM t", mode)


def test_the_temporary_table_of_ctas_is_gone_afterwards(wr, dataset):
    read(dataset, "SELECT id FROM t", "ctas")
    assert [
        table["Name"] for table in wr.catalog.get_tables(database="db", boto3_session=dataset)
    ] == ["t"]


def test_results_come_in_chunks(dataset):
    chunks = list(read(dataset, "SELECT id FROM t ORDER BY id", "plain", chunksize=3))
    assert [chunk["id"].tolist() for chunk in chunks] == [[1, 2, 3], [4]]


def test_parameters_of_awswrangler_reach_the_query(dataset):
    named = read(
        dataset,
        "SELECT id FROM t WHERE dt = :day AND id > :low",
        "plain",
        params={"day": "2024-01-03", "low": 3},
    )
    assert named["id"].tolist() == [4]
    marked = read(
        dataset,
        "SELECT id FROM t WHERE dt = ? ORDER BY id",
        "unload",
        params=["'2024-01-03'"],
        paramstyle="qmark",
    )
    assert marked["id"].tolist() == [3, 4]


def test_the_catalogue_knows_columns_and_partitions(wr, dataset):
    types = wr.catalog.get_table_types(database="db", table="t", boto3_session=dataset)
    assert types == {
        "id": "bigint",
        "name": "string",
        "x": "double",
        "ok": "boolean",
        "at": "timestamp",
        "dt": "string",
    }
    assert len(wr.catalog.get_partitions(database="db", table="t", boto3_session=dataset)) == 3


def test_appended_data_and_repaired_partitions_are_seen(wr, dataset):
    more = FRAME.assign(id=[11, 12, 13, 14])
    wr.s3.to_parquet(
        more,
        path=f"s3://{BUCKET}/wr/",
        dataset=True,
        mode="append",
        database="db",
        table="t",
        partition_cols=["dt"],
        boto3_session=dataset,
        use_threads=False,
    )
    assert read(dataset, "SELECT count(*) AS n FROM t", "plain")["n"].tolist() == [8]
    final = wr.athena.repair_table(
        table="t", database="db", s3_output=f"s3://{BUCKET}/r/", boto3_session=dataset
    )
    assert final == "SUCCEEDED"


def test_a_table_is_described_and_a_ctas_table_made(wr, dataset):
    described = wr.athena.describe_table(
        table="t", database="db", s3_output=f"s3://{BUCKET}/d/", boto3_session=dataset
    )
    assert described["Column Name"].tolist() == ["id", "name", "x", "ok", "at", "dt"]
    assert described["Partition"].tolist() == [False] * 5 + [True]
    wr.athena.create_ctas_table(
        sql="SELECT id, dt FROM t",
        database="db",
        ctas_table="c",
        partitioning_info=["dt"],
        s3_output=f"s3://{BUCKET}/c",
        wait=True,
        boto3_session=dataset,
    )
    assert read(dataset, "SELECT max(id) AS m FROM c WHERE dt = '2024-01-02'", "plain")[
        "m"
    ].tolist() == [2]
