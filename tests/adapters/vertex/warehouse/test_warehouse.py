"""Tables in BigQuery when calls go wrong on the way, and what is particular to BigQuery."""

from itertools import product

import pyarrow as pa
import pytest

from isthmus.adapters import targets
from isthmus.errors import (
    AlreadyExists,
    Invalid,
    LimitExceeded,
    OutcomeUnknown,
    Throttled,
    Unavailable,
)
from isthmus.events.port import Column
from isthmus.feature_store.port import TableSpec
from isthmus.tests.adapters.flows import flows
from isthmus.tests.conformance.data.clicks import COLUMNS, SPEC, ids, rows

KINDS = ["cut-after", "throttle"]  # cut before: the conformance suite
CLEAR = (OutcomeUnknown, Unavailable, Throttled)
COPY = "SELECT event_id || 'x' AS event_id, event_timestamp, item FROM clicks_raw"
WIDE = TableSpec(
    name="clicks_raw",
    columns=(*COLUMNS, Column(name="place", type="string")),
    time_column="event_timestamp",
)
VIEW = TableSpec(
    name="seen",
    columns=(),
    time_column="event_timestamp",
    view_sql="SELECT event_id, item, dt FROM clicks_raw",
)


@pytest.fixture
def warehouse(target):
    target.warehouse.apply(SPEC)
    return target.warehouse


def steps(target):
    """Every effect of the port once, in an order, with what calls it makes."""
    w = target.warehouse
    return [
        (lambda: w.apply(SPEC), ["datasets.insert", "tables.insert"]),
        (lambda: w.append("clicks_raw", rows(1, 2, 3), batch="b1"), ["tables.get", "jobs.insert"]),
        (lambda: w.apply(WIDE), ["tables.list", "tables.patch"]),
        (lambda: w.apply(VIEW), ["tables.insert"]),
        (
            lambda: w.save("clicks_raw", COPY, {}, batch="s1"),
            ["jobs.insert", "jobs.getQueryResults"],
        ),
    ]


CALLS = [2, 2, 2, 1, 2]  # of each step


@pytest.mark.parametrize("ways", flows([list(product(range(calls), KINDS)) for calls in CALLS]))
def test_a_call_that_goes_wrong_once_ends_as_intended_or_in_a_clear_error_and_then_as_intended(
    target, stack, ways
):
    for (do, calls), (call, kind) in zip(steps(target), ways, strict=True):
        stack.fault(kind=kind, service="bigquery", operation=f"bigquery.{calls[call]}")
        try:
            do()
        except CLEAR:
            do()
        assert stack.faults() == (), f"{calls[call]} was not called"
    assert ids(target) == ["e1", "e1x", "e2", "e2x", "e3", "e3x"]
    assert [column.name for column in target.warehouse.observe("clicks_raw").columns][-1] == "place"


def test_a_batch_whose_job_failed_is_done_by_the_next_try(target, stack, warehouse):
    """The failed job keeps its id for good."""
    warehouse.append("clicks_raw", rows(1, 2), batch="b1")
    null = (
        "SELECT event_id, CASE WHEN item = 1 THEN event_timestamp END AS event_timestamp FROM "
        "clicks_raw"
    )
    for _ in range(2):
        with pytest.raises(Invalid, match="event_timestamp is required and null"):
            warehouse.save("clicks_raw", null, {}, batch="s1")
    stack.clear_calls()
    warehouse.save("clicks_raw", COPY, {}, batch="s1")
    assert ids(target) == ["e1", "e1x", "e2", "e2x"]
    starts = [call.status for call in stack.calls() if call.operation == "bigquery.jobs.insert"]
    assert starts == [409, 409, 200]


def test_a_batch_again_loads_nothing_though_its_rows_differ_and_one_of_a_table_made_again_does(
    target, stack, warehouse
):
    warehouse.append("clicks_raw", rows(1, 2), batch="b1")
    warehouse.append("clicks_raw", rows(7), batch="b1")
    assert ids(target) == ["e1", "e2"]
    (table,) = target.inventory.list("conf")
    target.inventory.delete(table)
    warehouse.apply(SPEC)
    warehouse.append("clicks_raw", rows(7), batch="b1")
    assert ids(target) == ["e7"]


def test_a_table_is_partitioned_by_the_day_of_its_time_and_clustered_by_dt(target, warehouse):
    warehouse.apply(WIDE)
    table = target.native.bigquery.get_table("isthmus_conf.clicks_raw")
    assert (table.time_partitioning.type_, table.time_partitioning.field) == (
        "DAY",
        "event_timestamp",
    )
    assert table.clustering_fields == ["dt"]
    assert [field.name for field in table.schema] == [
        *(column.name for column in COLUMNS),
        "dt",
        "place",
    ]


def test_a_star_is_the_declared_columns_then_dt_whatever_was_added_when(target, warehouse):
    warehouse.append("clicks_raw", rows(1), batch="b1")
    warehouse.apply(WIDE)
    assert warehouse.query("SELECT * FROM clicks_raw", {}).column_names == [
        *(column.name for column in WIDE.columns),
        "dt",
    ]
    assert (
        warehouse.query("SELECT count(*), ITEM FROM clicks_raw GROUP BY item", {}).to_pylist()[0][
            "item"
        ]
        == 1
    )


@pytest.mark.parametrize("count", [10, 20_000])
def test_a_result_is_read_in_its_order_by_rest_or_when_it_is_large_as_arrow(
    target, stack, warehouse, count
):
    warehouse.append("clicks_raw", rows(*range(count)), batch="b1")
    stack.clear_calls()
    answer = warehouse.query(
        "SELECT item, score, seen, event_timestamp FROM clicks_raw ORDER BY item DESC", {}
    )
    assert answer["item"].to_pylist() == list(range(count))[::-1]
    assert answer.schema.field("event_timestamp").type == pa.timestamp("ms")
    read = {call.operation for call in stack.calls()}
    assert ("BigQueryRead.ReadRows" in read) == (count > 5_000)


def test_a_parameter_that_is_none_is_null(warehouse):
    warehouse.append("clicks_raw", rows(1), batch="b1")
    sql = "SELECT $word AS word, $item + 1 AS item, coalesce($none, 7) AS seven FROM clicks_raw"
    answer = warehouse.query(sql, {"word": "it's @x", "item": 1, "none": None})
    assert answer.to_pylist() == [{"word": "it's @x", "item": 2, "seven": 7}]


def test_a_column_with_the_name_of_its_table_is_the_column(target):
    columns = (*COLUMNS, Column(name="ctr", type="float64"))
    target.warehouse.apply(TableSpec(name="ctr", columns=columns, time_column="event_timestamp"))
    target.warehouse.append("ctr", rows(1, ctr=[0.5]), batch="b1")
    target.warehouse.apply(
        TableSpec(
            name="rates",
            columns=(),
            time_column="event_timestamp",
            view_sql="SELECT ctr AS rate FROM ctr",
        )
    )
    assert target.warehouse.query("SELECT rate FROM rates", {}).to_pylist() == [{"rate": 0.5}]


def test_what_only_bigquery_finds_wrong_is_invalid_in_its_words(warehouse):
    warehouse.append("clicks_raw", rows(1), batch="b1")
    with pytest.raises(Invalid, match=r"(?i)overflow"):
        warehouse.query("SELECT item + 9223372036854775807 AS x FROM clicks_raw", {})


def test_a_table_of_somebody_else_in_the_dataset_is_left_alone(target, warehouse):
    target.native.bigquery.create_table("conformance.isthmus_conf.theirs")
    assert target.warehouse.observe("theirs") is None
    with pytest.raises(AlreadyExists, match="theirs"):
        warehouse.apply(TableSpec(name="theirs", columns=COLUMNS, time_column="event_timestamp"))
    assert "theirs" not in {resource.name for resource in target.inventory.list("conf")}


def test_a_view_too_long_for_bigquery_to_keep_is_refused_before_it_is_made(target, warehouse):
    many = " UNION ALL ".join(["SELECT event_id, item, score FROM clicks_raw"] * 400)
    with pytest.raises(LimitExceeded, match="16,384"):
        warehouse.apply(
            TableSpec(name="long", columns=(), time_column="event_timestamp", view_sql=many)
        )
    assert target.warehouse.observe("long") is None


def test_two_processes_that_make_and_widen_one_table_both_succeed(target, profile, warehouse):
    other = targets.load(profile).warehouse
    other.apply(WIDE)
    warehouse.append("clicks_raw", rows(1), batch="b1")
    other.append("clicks_raw", rows(2, 3, place=["a", "b"]), batch="b2")
    assert ids(target) == ["e1", "e2", "e3"]
