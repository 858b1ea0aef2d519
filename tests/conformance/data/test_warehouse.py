"""Warehouse: append-only tables. A batch is written once, whoever repeats it."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.errors import Invalid, NotFound
from isthmus.events.port import Column
from isthmus.feature_store.port import TableSpec
from isthmus.tests.conformance.data.clicks import COLUMNS, DAY, SPEC, ids, ids_of, rows, with_column

pytestmark = pytest.mark.ports("warehouse")


def test_a_table_that_was_not_applied_is_none(target):
    assert target.warehouse.observe("clicks_raw") is None


def test_an_empty_table_has_its_columns_and_no_rows(warehouse):
    state = warehouse.observe("clicks_raw")
    assert state.columns == COLUMNS
    assert state.rows in {0, None}
    found = warehouse.query("SELECT * FROM clicks_raw", {})
    assert found.num_rows == 0
    assert found.schema.names == [*(column.name for column in COLUMNS), "dt"]
    assert found.schema.field("event_timestamp").type == pa.timestamp("ms")


def test_a_table_of_a_hundred_days_is_there_whether_or_not_its_rows_are_counted(warehouse):
    start = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1000)
    warehouse.append(
        "clicks_raw",
        rows(
            *range(100),
            event_timestamp=pa.array([start + n * DAY for n in range(100)], pa.timestamp("ms")),
        ),
        batch="b1",
    )
    state = warehouse.observe("clicks_raw")
    assert state is not None
    assert state.columns == COLUMNS
    assert state.rows in {100, None}
    counted = warehouse.query(
        "SELECT count(*) AS n, count(DISTINCT dt) AS days FROM clicks_raw", {}
    ).to_pylist()
    assert counted == [{"n": 100, "days": 100}]


def test_appended_rows_come_back_as_they_were(warehouse):
    sent = rows(*range(7))
    warehouse.append("clicks_raw", sent, batch="b1")
    found = warehouse.query(
        "SELECT event_id, event_timestamp, item, score, seen FROM clicks_raw ORDER BY item", {}
    )
    assert found.to_pylist() == sent.to_pylist()
    assert [field.type for field in found.schema] == [
        pa.string(),
        pa.timestamp("ms"),
        pa.int64(),
        pa.float64(),
        pa.bool_(),
    ]


def test_dt_is_the_utc_date_as_a_string(warehouse):
    warehouse.append("clicks_raw", rows(0, 1, 2, 3), batch="b1")
    found = warehouse.query(
        "SELECT dt, count(*) AS n FROM clicks_raw WHERE dt >= '2026-01-02' GROUP BY dt ORDER BY dt",
        {},
    )
    assert found.to_pylist() == [{"dt": "2026-01-02", "n": 1}, {"dt": "2026-01-03", "n": 1}]


def test_a_batch_again_changes_nothing(warehouse):
    for _ in range(2):
        warehouse.append("clicks_raw", rows(1, 2, 3), batch="b1")
    warehouse.append("clicks_raw", rows(4), batch="b2")
    assert ids_of(warehouse) == ["e1", "e2", "e3", "e4"]


@pytest.mark.needs("warehouse.batch_atomic")
@pytest.mark.parametrize("verb", ["append", "save"])
def test_readers_see_a_batch_of_many_dates_as_a_whole_or_not_at_all(target, verb):
    """Whatever a reader counts while a writer publishes three dates at a time, it is a multiple of
    three.
    """
    import threading

    if target.capabilities["warehouse.batch_atomic"].level == "refused":
        target.extra(
            "warehouse.batch_atomic"
        )  # nobody promises it there; what is promised: the tests of a cut append and a cut save
    target.warehouse.apply(SPEC)
    target.warehouse.apply(
        TableSpec(name="copies_raw", columns=COLUMNS, time_column="event_timestamp")
    )
    target.warehouse.append("clicks_raw", rows(0, 1, 2), batch="first")
    done, seen = threading.Event(), []

    def read():
        while not done.is_set():
            seen.append(
                target.warehouse.query("SELECT count(*) AS n FROM copies_raw", {})["n"][0].as_py()
            )

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(12):
        if verb == "append":
            target.warehouse.append("copies_raw", rows(0, 1, 2), batch=f"b{number}")
        else:
            target.warehouse.save("copies_raw", "SELECT * FROM clicks_raw", {}, batch=f"b{number}")
    done.set()
    reader.join()
    assert seen
    assert not [count for count in seen if count % 3]
    assert target.warehouse.query("SELECT count(*) AS n FROM copies_raw", {})["n"][0].as_py() == 36


def test_times_are_truncated_to_milliseconds(warehouse):
    times = pa.array([1_767_225_600_123_999_999, 1_767_225_600_000_000_001], pa.timestamp("ns"))
    warehouse.append("clicks_raw", rows(1, 2, event_timestamp=times), batch="b1")
    found = (
        warehouse.query("SELECT event_timestamp FROM clicks_raw ORDER BY event_timestamp", {})
        .column(0)
        .cast(pa.int64())
    )
    assert found.to_pylist() == [1_767_225_600_000, 1_767_225_600_123]


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (rows(1).drop_columns(["event_id"]), "event_id"),
        (rows(1, event_id=pa.array([None], pa.string())), "event_id"),
        (rows(1, event_timestamp=pa.array([None], pa.timestamp("ms"))), "event_timestamp"),
        (rows(1, colour=["red"]), "colour"),
        (rows(1, item=["seven"]), "item"),
        (rows(1, item=[1.5]), "item"),
        (rows(1, item=pa.array([2**64 - 1], pa.uint64())), "item"),
        (rows(1, score=[True]), "score"),
        (rows(1, seen=[1]), "seen"),
        (rows(1, event_timestamp=pa.array([0], pa.timestamp("ms", "UTC"))), "event_timestamp"),
        (rows(1, event_timestamp=["2026-01-01"]), "event_timestamp"),
    ],
)
def test_rows_that_do_not_fit_are_refused_by_column_and_nothing_is_written(
    target, warehouse, data, word
):
    before = [call for call in target.calls.calls if call.mutating]
    with pytest.raises(Invalid, match=word):
        warehouse.append("clicks_raw", data, batch="b1")
    assert [call for call in target.calls.calls if call.mutating] == before
    assert ids_of(warehouse) == []


def test_narrower_types_and_dictionaries_are_widened(warehouse):
    data = rows(
        1,
        item=pa.array([7], pa.int16()),
        score=pa.array([0.5], pa.float32()),
        event_id=pa.array(["x"]).dictionary_encode(),
        seen=pa.nulls(1),
    )
    warehouse.append("clicks_raw", data, batch="b1")
    found = warehouse.query("SELECT event_id, item, score, seen FROM clicks_raw", {})
    assert found.to_pylist() == [{"event_id": "x", "item": 7, "score": 0.5, "seen": None}]


def test_optional_columns_may_be_left_out_and_dt_may_come_along(warehouse):
    warehouse.append(
        "clicks_raw", rows(1, dt=["2026-01-02"]).drop_columns(["score", "seen"]), batch="b1"
    )
    assert warehouse.query("SELECT score, seen, item FROM clicks_raw", {}).to_pylist() == [
        {"score": None, "seen": None, "item": 1}
    ]


def test_a_batch_without_rows_is_a_batch(warehouse):
    for _ in range(2):
        warehouse.append("clicks_raw", rows(), batch="b1")
    assert ids_of(warehouse) == []


@pytest.mark.parametrize("batch", ["", "../x", "a/b", ".hidden", "a b", "x" * 201])
def test_a_batch_name_that_no_file_could_bear_is_invalid(warehouse, batch):
    with pytest.raises(Invalid, match="batch name"):
        warehouse.append("clicks_raw", rows(1), batch=batch)


def test_appending_to_no_table_is_not_found_and_to_a_view_invalid(warehouse):
    with pytest.raises(NotFound):
        warehouse.append("none", rows(1), batch="b")
    warehouse.apply(
        TableSpec(
            name="v",
            columns=(),
            time_column="event_timestamp",
            view_sql="SELECT event_id FROM clicks_raw",
        )
    )
    with pytest.raises(Invalid):
        warehouse.append("v", rows(1), batch="b")


def test_a_table_gains_columns_and_earlier_rows_have_nulls_in_them(warehouse):
    warehouse.append("clicks_raw", rows(1), batch="b1")
    warehouse.apply(with_column("place", "string"))
    assert warehouse.query("SELECT place FROM clicks_raw", {})["place"].to_pylist() == [None]
    warehouse.append("clicks_raw", rows(2, place=["top"]), batch="b2")
    found = warehouse.query("SELECT place, item FROM clicks_raw ORDER BY item", {})
    assert found.to_pylist() == [{"place": None, "item": 1}, {"place": "top", "item": 2}]
    assert [c.name for c in warehouse.observe("clicks_raw").columns][-1] == "place"


def test_a_new_required_column_is_required_of_new_rows_only(warehouse):
    warehouse.append("clicks_raw", rows(1), batch="b1")
    warehouse.apply(with_column("place", "string", required=True))
    with pytest.raises(Invalid, match="place"):
        warehouse.append("clicks_raw", rows(2), batch="b2")
    warehouse.append("clicks_raw", rows(2, place=["top"]), batch="b2")
    assert sorted(
        warehouse.query("SELECT place FROM clicks_raw", {})["place"].to_pylist(), key=str
    ) == [None, "top"]


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        (with_column("clicks", "int64", drop="item"), "item"),
        (with_column("score", "int64", drop="score"), "score"),
        (with_column("item", "int64", drop="item", required=True), "item"),
        (
            TableSpec(
                name="clicks_raw",
                columns=(),
                time_column="event_timestamp",
                view_sql="SELECT 1 AS one",
            ),
            "view",
        ),
    ],
)
def test_dropping_renaming_and_narrowing_are_refused_by_column(warehouse, spec, word):
    with pytest.raises(Invalid, match=word):
        warehouse.apply(spec)
    assert warehouse.observe("clicks_raw").columns == COLUMNS


@pytest.mark.parametrize(
    "spec",
    [
        TableSpec(name="Clicks", columns=COLUMNS, time_column="event_timestamp"),
        TableSpec(name="clicks", columns=COLUMNS, time_column="item"),
        TableSpec(name="clicks", columns=COLUMNS, time_column="none"),
        TableSpec(
            name="clicks",
            columns=(*COLUMNS, Column(name="dt", type="string")),
            time_column="event_timestamp",
        ),
        TableSpec(
            name="clicks",
            columns=(*COLUMNS, Column(name="Item", type="string")),
            time_column="event_timestamp",
        ),
        TableSpec(
            name="clicks",
            columns=(*COLUMNS, Column(name='a"b', type="string")),
            time_column="event_timestamp",
        ),
        TableSpec(
            name="clicks",
            columns=(),
            time_column="event_timestamp",
            view_sql="SELECT nothing FROM nowhere",
        ),
    ],
)
def test_a_spec_that_no_target_could_make_is_invalid(target, spec):
    with pytest.raises(Invalid):
        target.warehouse.apply(spec)
    assert target.warehouse.observe(spec.name) is None
    assert not [call for call in target.calls.calls if call.mutating]


def test_an_append_that_was_cut_can_be_repeated(target, warehouse, cut):
    with cut:
        warehouse.append("clicks_raw", rows(1, 2, 3), batch="b1")
    for _ in range(2):
        warehouse.append("clicks_raw", rows(1, 2, 3), batch="b1")
    assert ids_of(warehouse) == ["e1", "e2", "e3"]


def test_an_apply_that_was_cut_can_be_repeated(target, cut):
    with cut:
        target.warehouse.apply(SPEC)
    for _ in range(2):
        target.warehouse.apply(SPEC)
    target.warehouse.append("clicks_raw", rows(1), batch="b1")
    assert ids(target) == ["e1"]


finite = st.floats(allow_nan=False)


# one batch a list of rows: time in the day grid, number, text
batches = st.lists(
    st.lists(
        st.tuples(
            st.integers(0, 4 * DAY - 1),
            st.none() | st.integers(-(2**63), 2**63 - 1),
            st.none() | finite,
            st.text(max_size=4),
        ),
        max_size=30,
    ),
    min_size=1,
    max_size=3,
)


@settings(
    max_examples=8, deadline=None
)  # of many rows each: it is the batches that take their time
@given(data=batches)
def test_whatever_is_appended_is_there_once(adapter, data):
    import tempfile

    from isthmus.adapters import targets
    from isthmus.tests.conformance.places import fresh

    with tempfile.TemporaryDirectory() as home:
        target = targets.load(fresh(adapter, home))
        target.warehouse.apply(SPEC)
        expected = []
        for number, batch in enumerate(data):
            text = [
                f"{number}-{place}-{row[3]}".replace("\x00", "") for place, row in enumerate(batch)
            ]
            table = pa.table(
                {
                    "event_id": pa.array(text, pa.string()),
                    "event_timestamp": pa.array([row[0] for row in batch], pa.timestamp("ms")),
                    "item": pa.array([row[1] for row in batch], pa.int64()),
                    "score": pa.array([row[2] for row in batch], pa.float64()),
                }
            )
            expected += table.to_pylist()
            for _ in range(2):
                target.warehouse.append("clicks_raw", table, batch=f"b{number}")
        found = target.warehouse.query(
            "SELECT event_id, event_timestamp, item, score FROM clicks_raw", {}
        ).to_pylist()
        assert sorted(found, key=lambda row: row["event_id"]) == sorted(
            expected, key=lambda row: row["event_id"]
        )
        assert target.warehouse.observe("clicks_raw").rows in {len(expected), None}
        target.close()
