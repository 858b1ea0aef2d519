"""Datasets, tables and views by the genuine client."""

import datetime as dt

import pytest
from google.api_core.exceptions import BadRequest, Conflict, NotFound, PreconditionFailed
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from isthmus_stack.gcp.core.projects import number_of

PROJECT = "shop-project"
Field = bigquery.SchemaField


def test_a_dataset_is_kept_as_it_was_made_and_goes_only_when_it_is_empty(client):
    wanted = bigquery.Dataset("shop-project.orders")
    wanted.description, wanted.labels, wanted.location = (
        "what was bought",
        {"team": "ranking"},
        "EU",
    )
    client.create_dataset(wanted)
    dataset = client.get_dataset("orders")
    assert (dataset.description, dataset.labels, dataset.location) == (
        "what was bought",
        {"team": "ranking"},
        "EU",
    )
    with pytest.raises(Conflict, match="Already Exists: Dataset shop-project:orders"):
        client.create_dataset(wanted)
    client.create_table(bigquery.Table("shop-project.orders.t", [Field("a", "INT64")]))
    with pytest.raises(BadRequest, match="still in use"):
        client.delete_dataset("orders")
    client.delete_dataset("orders", delete_contents=True)
    with pytest.raises(NotFound, match="Not found: Dataset shop-project:orders"):
        client.get_dataset("orders")


def test_datasets_are_listed_by_label_and_in_pages(client):
    for name in "abc":
        dataset = bigquery.Dataset(f"shop-project.{name}")
        dataset.labels = {"tier": "gold"} if name != "b" else {}
        client.create_dataset(dataset)
    assert [d.dataset_id for d in client.list_datasets(filter="labels.tier:gold")] == ["a", "c"]
    assert [d.dataset_id for d in client.list_datasets(page_size=1)] == ["a", "b", "c", "shop"]


def test_a_table_has_its_partitioning_clustering_and_nested_columns(client):
    nested = Field(
        "items", "RECORD", "REPEATED", fields=[Field("sku", "STRING"), Field("price", "NUMERIC")]
    )
    wanted = bigquery.Table(
        "shop-project.shop.t",
        [Field("day", "DATE", "REQUIRED"), Field("shop", "STRING", description="its id"), nested],
    )
    wanted.time_partitioning = bigquery.TimePartitioning(field="day")
    wanted.clustering_fields = ["shop"]
    client.create_table(wanted)
    table = client.get_table("shop.t")
    assert table.schema == wanted.schema
    assert (table.time_partitioning.field, table.clustering_fields, table.num_rows) == (
        "day",
        ["shop"],
        0,
    )
    wanted = bigquery.Table("shop-project.shop.wrong", [Field("a", "STRING")])
    wanted.time_partitioning = bigquery.TimePartitioning(field="a")
    with pytest.raises(BadRequest, match="must be of type TIMESTAMP, DATE or DATETIME"):
        client.create_table(wanted)


def test_a_stale_etag_changes_nothing(client):
    table = client.create_table(bigquery.Table("shop-project.shop.t", [Field("a", "INT64")]))
    stale = client.get_table("shop.t")
    table.description = "first"
    client.update_table(table, ["description"])
    stale.description = "second"
    with pytest.raises(PreconditionFailed):
        client.update_table(stale, ["description"])
    assert client.get_table("shop.t").description == "first"


def test_a_schema_may_grow_and_relax_and_nothing_else(client, rows):
    table = client.create_table(
        bigquery.Table("shop-project.shop.t", [Field("a", "INT64", "REQUIRED")])
    )
    client.insert_rows_json(table, [{"a": 1}])
    table = client.get_table("shop.t")
    table.schema = [Field("a", "INT64"), Field("b", "STRING", "REPEATED")]
    client.update_table(table, ["schema"])
    assert rows("SELECT a, b FROM shop.t") == [(1, [])]
    table = client.get_table("shop.t")
    table.schema = [Field("a", "STRING")]
    with pytest.raises(BadRequest, match="changed type from INTEGER to STRING"):
        client.update_table(table, ["schema"])


def test_an_expired_table_is_gone(client, gcp):
    table = bigquery.Table("shop-project.shop.t", [Field("a", "INT64")])
    table.expires = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    client.create_table(table)
    gcp.advance(3601)
    with pytest.raises(NotFound, match=r"Not found: Table shop-project:shop\.t"):
        client.get_table("shop.t")


def test_a_view_gives_what_its_query_gives_now(client, rows):
    client.create_table(bigquery.Table("shop-project.shop.t", [Field("a", "INT64")]))
    view = bigquery.Table("shop-project.shop.v")
    view.view_query = "SELECT a, a * 2 AS twice FROM shop.t"
    client.create_table(view)
    assert [field.name for field in client.get_table("shop.v").schema] == ["a", "twice"]
    client.insert_rows_json("shop.t", [{"a": 2}])
    assert rows("SELECT twice FROM shop.v") == [(4,)]


def test_rows_are_checked_one_by_one_and_an_insert_id_counts_once(client, rows):
    client.create_table(
        bigquery.Table(
            "shop-project.shop.t", [Field("a", "INT64", "REQUIRED"), Field("b", "STRING")]
        )
    )
    assert client.insert_rows_json("shop.t", [{"a": 1}, {"a": 2}], row_ids=["x", "y"]) == []
    assert client.insert_rows_json("shop.t", [{"a": 1}], row_ids=["x"]) == []
    wrong = client.insert_rows_json("shop.t", [{"a": 3}, {"a": "no"}, {"b": "c"}, {"a": 4, "z": 1}])
    assert [(entry["index"], entry["errors"][0]["reason"]) for entry in wrong] == [
        (0, "stopped"), (1, "invalid"), (2, "invalid"), (3, "invalid"),
    ]  # fmt: skip
    assert wrong[3]["errors"][0]["message"] == "no such field: z."
    assert rows("SELECT a FROM shop.t ORDER BY a") == [(1,), (2,)]
    assert (
        len(client.insert_rows_json("shop.t", [{"a": 3}, {"a": "no"}], skip_invalid_rows=True)) == 1
    )
    assert rows("SELECT count(*) FROM shop.t") == [(3,)]


def test_a_projects_number_stands_for_its_id(client, gcp, storage_read):
    """All that a job of Vertex AI is told of its project is CLOUD_ML_PROJECT_ID, which is the
    number.
    """
    number = number_of(PROJECT)
    numbered = bigquery.Client(
        project=number, credentials=AnonymousCredentials(), client_options={"api_endpoint": gcp.url}
    )
    numbered.load_table_from_json([{"x": 1}, {"x": 2}], "shop.t").result()
    assert client.get_table("shop.t").num_rows == 2
    assert [
        row.x
        for row in numbered.query_and_wait(
            f"SELECT x FROM shop.t UNION ALL SELECT x + 1 FROM `{number}.shop.t` ORDER BY 1"
        )
    ] == [
        1,
        2,
        2,
        3,
    ]
    assert numbered.list_rows("shop.t").to_arrow(bqstorage_client=storage_read).num_rows == 2
    assert numbered.get_dataset("shop").project == PROJECT
    numbered.query_and_wait(f"CREATE TABLE `{number}.shop.own` (projectId STRING)")
    assert numbered.insert_rows_json("shop.own", [{"projectId": number}]) == []
    assert [tuple(row) for row in client.query_and_wait("SELECT * FROM shop.own")] == [(number,)], (
        "what a row holds is nobody's name"
    )
    tables = numbered.query_and_wait(
        f"SELECT table_catalog, table_name FROM `{number}`.shop.INFORMATION_SCHEMA.TABLES "
        "ORDER BY 2"
    )
    assert [tuple(row) for row in tables] == [(PROJECT, "own"), (PROJECT, "t")]
    numbered.query_and_wait(f"DROP SCHEMA `{number}`.shop CASCADE")
    assert list(client.list_datasets()) == []
    numbered.close()


def test_a_decorator_writes_one_partition_and_leaves_the_others(client, rows):
    client.query_and_wait(
        "CREATE TABLE shop.t (moment TIMESTAMP, n INT64) PARTITION BY DATE(moment)"
    )

    def write(sql, disposition, partition="20240102"):
        config = bigquery.QueryJobConfig(
            destination=f"shop-project.shop.t${partition}", write_disposition=disposition
        )
        client.query_and_wait(sql, job_config=config)

    one, two = (
        "SELECT TIMESTAMP '2024-01-0{} 23:59:59+00' AS moment, {} AS n".format(*pair)
        for pair in ((1, 1), (2, 2))
    )
    write(one, "WRITE_APPEND", "20240101")
    write(two, "WRITE_EMPTY")
    write(two, "WRITE_APPEND")
    assert rows("SELECT n FROM shop.t ORDER BY n") == [(1,), (2,), (2,)]
    write(two.replace("2 AS n", "3 AS n"), "WRITE_TRUNCATE")
    for sql, disposition, partition, words in (
        (one, "WRITE_APPEND", "20240102", "belong to different partitions"),
        (two, "WRITE_TRUNCATE", "202401", "needs 8 digits"),
    ):
        with pytest.raises(BadRequest, match=words):
            write(sql, disposition, partition)
    with pytest.raises(Conflict, match="Already Exists"):
        write(two, "WRITE_EMPTY")
    assert rows("SELECT n FROM shop.t ORDER BY n") == [(1,), (3,)]
    with pytest.raises(BadRequest, match="Invalid table ID"):
        client.create_table("shop-project.shop.other$20240101")
