"""Tables on AWS when calls go wrong on the way, and what is particular to S3, Glue and Athena."""

from itertools import product

import pyarrow as pa
import pytest

from isthmus.adapters import targets
from isthmus.core.runtime.project import Project
from isthmus.errors import (
    AlreadyExists,
    Invalid,
    IsthmusError,
    LimitExceeded,
    OutcomeUnknown,
    Throttled,
    Unavailable,
)
from isthmus.events.port import Column
from isthmus.feature_store.port import TableSpec
from isthmus.lifecycle.resources.status import status
from isthmus.project.specs.description import Attribute, Event, ParsedProject, ProjectSpec
from isthmus.tests.adapters.flows import flows
from isthmus.tests.adapters.sagemaker.data_kit import COLUMNS, SPEC, ids, keys, rows

KINDS = ["cut-after", "throttle", "error"]  # cut before, without end: the test below
CLEAR = (OutcomeUnknown, Unavailable, Throttled)
COPY = "SELECT event_id || 'x' AS event_id, event_timestamp, item FROM clicks_raw"


@pytest.fixture
def warehouse(target):
    target.warehouse.apply(SPEC)
    return target.warehouse


def steps(target):
    """Every effect of the port once, in an order, with what calls it makes."""
    wide = TableSpec(
        name="clicks_raw",
        columns=(*COLUMNS, Column(name="place", type="string")),
        time_column="event_timestamp",
    )
    view = TableSpec(
        name="seen",
        columns=(),
        time_column="event_timestamp",
        view_sql="SELECT event_id, item, dt FROM clicks_raw",
    )
    w = target.warehouse
    return [
        (
            lambda: w.apply(SPEC),
            [("glue", "CreateDatabase"), ("glue", "CreateTable"), ("glue", "GetTable")],
        ),
        (
            lambda: w.append("clicks_raw", rows(1, 2, 3), batch="b1"),
            [("glue", "UpdateTable"), ("s3", "PutObject")],
        ),
        (lambda: w.apply(wide), [("glue", "UpdateTable"), ("glue", "GetTables")]),
        (
            lambda: w.apply(view),
            [
                ("athena", "StartQueryExecution"),
                ("athena", "GetQueryExecution"),
                ("glue", "UpdateTable"),
            ],
        ),
        (
            lambda: w.save("clicks_raw", COPY, {}, batch="s1"),
            [
                ("athena", "StartQueryExecution"),
                ("athena", "GetQueryExecution"),
                ("s3", "PutObject"),
                ("s3", "CopyObject"),
            ],
        ),
    ]


CALLS = [3, 2, 2, 3, 4]  # of each step


@pytest.mark.parametrize("ways", flows([list(product(range(calls), KINDS)) for calls in CALLS]))
def test_a_call_that_goes_wrong_once_ends_as_intended_or_in_a_clear_error_and_then_as_intended(
    target, stack, ways
):
    for (do, calls), (call, kind) in zip(steps(target), ways, strict=True):
        service, operation = calls[call]
        stack.fault(kind=kind, service=service, operation=operation)
        try:
            do()
        except CLEAR:
            do()
        assert stack.faults() == (), f"{operation} was not called"
    assert ids(target) == ["e1", "e1x", "e2", "e2x", "e3", "e3x"]
    assert ids(target, "seen") == ids(target)
    assert [column.name for column in target.warehouse.observe("clicks_raw").columns] == [
        "event_id",
        "event_timestamp",
        "item",
        "place",
    ]
    assert keys(target, "scratch/") == []


@pytest.mark.parametrize("ways", flows([range(calls) for calls in CALLS]))
def test_a_call_that_never_gets_through_is_a_clear_error_and_repeating_the_verb_ends_as_intended(
    target, stack, ways
):
    for (do, calls), call in zip(steps(target), ways, strict=True):
        service, operation = calls[call]
        stack.fault(kind="cut-before", service=service, operation=operation, times=None)
        with pytest.raises(CLEAR):
            do()
        stack.clear_faults()
        do()
        do()
    assert ids(target) == ["e1", "e1x", "e2", "e2x", "e3", "e3x"]


def test_a_save_that_is_cut_between_its_copies_copies_the_same_rows_again(target, warehouse, stack):
    """The manifest decides: rows that came since belong to no batch that was begun before them."""
    warehouse.append("clicks_raw", rows(1, 2, 3), batch="b1")
    stack.fault(kind="error", service="s3", operation="CopyObject", code="AccessDenied", status=403)
    with pytest.raises(IsthmusError):
        warehouse.save("clicks_raw", COPY, {}, batch="s1")
    warehouse.append("clicks_raw", rows(4), batch="b2")
    warehouse.save("clicks_raw", COPY, {}, batch="s1")
    assert ids(target) == ["e1", "e1x", "e2", "e2x", "e3", "e3x", "e4"]


def test_a_saved_batch_again_asks_athena_nothing(warehouse, stack):
    warehouse.append("clicks_raw", rows(1, 2, 3), batch="b1")
    warehouse.save("clicks_raw", COPY, {}, batch="s1")
    stack.clear_calls()
    warehouse.save("clicks_raw", COPY, {}, batch="s1")
    assert not {"StartQueryExecution", "CopyObject", "PutObject"} & {
        call.operation for call in stack.calls()
    }


def test_a_save_whose_staged_rows_were_removed_too_early_says_so(target, warehouse, stack):
    warehouse.append("clicks_raw", rows(1), batch="b1")
    stack.fault(kind="error", service="s3", operation="CopyObject", code="AccessDenied", status=403)
    with pytest.raises(IsthmusError):
        warehouse.save("clicks_raw", COPY, {}, batch="s1")
    for key in keys(target, "scratch/"):
        target.native.client("s3").delete_object(Bucket="conformance", Key=f"conf/{key}")
    with pytest.raises(Invalid, match="scratch"):
        warehouse.save("clicks_raw", COPY, {}, batch="s1")


def test_objects_have_names_that_a_repeat_writes_again(target, warehouse):
    warehouse.append("clicks_raw", rows(1, 2, 3), batch="b1")
    before = keys(target, "warehouse/")
    warehouse.append("clicks_raw", rows(1, 2, 3), batch="b1")
    assert keys(target, "warehouse/") == before
    assert [key.split("/", 3)[3] for key in before] == [
        f"dt=2026-01-0{day}/b1.parquet" for day in (1, 2, 3)
    ]


def test_the_projected_dates_are_those_that_were_written(target, warehouse):
    def dates():
        table = target.native.client("glue").get_table(
            DatabaseName="isthmus_conf", Name="clicks_raw"
        )["Table"]
        return table["Parameters"]["projection.dt.range"].split(",")

    today = dates()[1]
    warehouse.append("clicks_raw", rows(1, 2), batch="b1")
    assert dates() == ["2026-01-02", today]
    old = rows(1).set_column(1, "event_timestamp", pa.array([0], pa.timestamp("ms")))
    warehouse.append("clicks_raw", old, batch="b2")
    assert dates() == ["1970-01-01", today]


def test_more_dates_than_one_unload_writes_are_saved_in_parts(target, warehouse, stack):
    """Athena refuses more than 100 at once; the local stack does not, so it is told to."""
    warehouse.append("clicks_raw", rows(*range(130), days=130), batch="b1")
    warehouse.apply(TableSpec(name="copies_raw", columns=COLUMNS, time_column="event_timestamp"))
    from isthmus.adapters.sagemaker.warehouse import athena

    run, began = athena.run, []

    def refusing(aws, statement, prefix):
        began.append(statement)
        if "/rows/" in statement and "BETWEEN" not in statement:
            raise LimitExceeded(
                "SQL: Athena: HIVE_TOO_MANY_OPEN_PARTITIONS: Exceeded limit of 100 open "
                "writers for partitions/buckets"
            )
        run(aws, statement, prefix)

    athena.run = refusing
    try:
        warehouse.save("copies_raw", "SELECT * FROM clicks_raw", {}, batch="s1")
    finally:
        athena.run = run
    assert len(began) == 4  # all at once, the dates, two parts
    assert sorted(ids(target, "copies_raw")) == sorted(f"e{n}" for n in range(130))


def test_status_tells_a_table_whose_rows_are_not_counted_from_one_that_is_not_made(
    target, warehouse, tmp_path
):
    events = {
        name: Event(name=name, attributes=(Attribute(name="item", type="int"),))
        for name in ("clicks", "views")
    }
    project = Project(
        ParsedProject(spec=ProjectSpec(name="conf", events=events), folder=str(tmp_path)), target
    )
    warehouse.append("clicks_raw", rows(*range(10), days=10), batch="b1")
    assert [(line.name, line.made, line.rows) for line in status(project).tables] == [
        ("clicks", True, 10),
        ("views", False, None),
    ]
    warehouse.append("clicks_raw", rows(*range(100), days=100), batch="b2")
    assert [(line.name, line.made, line.rows) for line in status(project).tables] == [
        ("clicks", True, None),
        ("views", False, None),
    ]
    said = str(status(project))
    assert "clicks               made, rows not counted\n" in said
    assert "views                not made yet (isthmus apply)\n" in said


def test_a_table_of_somebody_else_in_the_database_is_left_alone(target, warehouse):
    target.native.client("glue").create_table(
        DatabaseName="isthmus_conf",
        TableInput={
            "Name": "theirs",
            "StorageDescriptor": {"Columns": [{"Name": "x", "Type": "bigint"}]},
        },
    )
    assert target.warehouse.observe("theirs") is None
    with pytest.raises(AlreadyExists, match="theirs"):
        warehouse.apply(TableSpec(name="theirs", columns=COLUMNS, time_column="event_timestamp"))
    assert "theirs" not in {resource.name for resource in target.inventory.list("conf")}


def test_two_processes_that_make_and_widen_one_table_both_succeed(target, profile, warehouse):
    other = targets.load(profile).warehouse
    other.apply(SPEC)
    warehouse.append("clicks_raw", rows(1), batch="b1")
    other.append("clicks_raw", rows(2, 3), batch="b2")
    assert ids(target) == ["e1", "e2", "e3"]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("ORDER BY event_id DESC", ["e3", "e2", "e1"]),
        ("ORDER BY item % 2, event_id", ["e2", "e1", "e3"]),
        ("ORDER BY 1 DESC LIMIT 2", ["e3", "e2"]),
        ("ORDER BY event_timestamp", ["e3", "e1", "e2"]),
        ("ORDER BY CASE WHEN item = 2 THEN NULL ELSE item END, event_id", ["e1", "e3", "e2"]),
        (
            "ORDER BY CASE WHEN item = 2 THEN NULL ELSE item END DESC NULLS FIRST",
            ["e2", "e3", "e1"],
        ),
    ],
)
def test_the_order_survives_athenas_unload_whatever_it_is_by(target, warehouse, order, expected):
    warehouse.append("clicks_raw", rows(1, 2, 3), batch="b1")
    found = warehouse.query(f"SELECT event_id FROM clicks_raw {order}", {})
    assert found.column_names == ["event_id"]
    assert found["event_id"].to_pylist() == expected


def test_the_order_of_groups_unions_and_stars_survives_too(target, warehouse):
    warehouse.append("clicks_raw", rows(1, 2, 3, 4, 7), batch="b1")
    counted = warehouse.query(
        "SELECT dt, count(*) AS n FROM clicks_raw GROUP BY dt ORDER BY count(*) DESC, dt", {}
    )
    assert counted["n"].to_pylist() == [3, 1, 1]
    union = (
        "SELECT event_id FROM clicks_raw WHERE item > 3 UNION ALL SELECT event_id FROM "
        "clicks_raw WHERE item < 2 ORDER BY event_id DESC"
    )
    assert warehouse.query(union, {})["event_id"].to_pylist() == ["e7", "e4", "e1"]
    star = warehouse.query("SELECT * FROM clicks_raw ORDER BY item DESC", {})
    assert star.column_names == ["event_id", "event_timestamp", "item", "dt"]
    assert star["item"].to_pylist() == [7, 4, 3, 2, 1]
    distinct = warehouse.query("SELECT DISTINCT dt FROM clicks_raw ORDER BY dt DESC", {})
    assert distinct["dt"].to_pylist() == ["2026-01-03", "2026-01-02", "2026-01-01"]


def test_columns_without_a_name_have_the_ones_that_duckdb_gives_them(warehouse):
    warehouse.append("clicks_raw", rows(1, 2), batch="b1")
    found = warehouse.query(
        "SELECT count(*), max(item) + 1, item FROM clicks_raw GROUP BY item ORDER BY item", {}
    )
    assert found.column_names == ["count_star()", "(max(item) + 1)", "item"]
    assert found.to_pylist()[0] == {"count_star()": 1, "(max(item) + 1)": 2, "item": 1}


def test_a_query_leaves_nothing_in_scratch(target, warehouse):
    warehouse.append("clicks_raw", rows(1), batch="b1")
    ids(target)
    assert keys(target, "scratch/") == []


def test_a_name_with_capitals_comes_back_as_it_was_written(target):
    spec = TableSpec(
        name="c",
        columns=(*COLUMNS, Column(name="Score", type="float64")),
        time_column="event_timestamp",
    )
    target.warehouse.apply(spec)
    target.warehouse.append("c", rows(1).append_column("Score", pa.array([0.5])), batch="b")
    found = target.warehouse.query("SELECT Score FROM c", {})
    assert (found.column_names, found["Score"].to_pylist()) == (["Score"], [0.5])


def test_what_athena_itself_refuses_is_invalid_with_its_words(warehouse):
    warehouse.append("clicks_raw", rows(1), batch="b1")
    with pytest.raises(Invalid, match="Athena"):
        warehouse.query("SELECT CAST(event_id AS BIGINT) AS n FROM clicks_raw", {})
