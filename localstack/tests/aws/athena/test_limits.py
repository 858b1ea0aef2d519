"""What an Athena query may use, and what is left of one that is stopped.

Against stacks in processes of their own.
"""

import subprocess
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest

from isthmus_stack.aws.services.athena.errors import QueryFailed
from isthmus_stack.aws.services.athena.queries.execution import _finish, cancel
from isthmus_stack.aws.services.athena.queries.running_query import Cancelled, Running, TimedOut
from isthmus_stack.aws.services.athena.tables import writes
from isthmus_stack.aws.services.athena.tables.result import Result
from isthmus_stack.run import start_aws
from isthmus_stack.tests.aws.data_kit import BUCKET, made, table_input

MB = 1 << 20
IMPATIENT = "isthmus_stack.tests.aws.athena.impatient"
NUMBERS = "UNNEST(sequence(1, 10000))"
# 24 TB
HUGE = (
    f"SELECT a, b, c FROM {NUMBERS} AS t (a) CROSS JOIN {NUMBERS} AS u (b) CROSS JOIN {NUMBERS} "
    "AS v (c)"
)
ENDLESS = f"SELECT sum((a * b + c) % 7) AS n FROM ({HUGE})"  # holds nothing, takes hours
SORT = (
    f"SELECT * FROM ({HUGE}) ORDER BY a * b % 1009, c"  # holds hundreds of megabytes within seconds
)
HOARDING = f"SELECT count(DISTINCT a * 100000000 + b * 10000 + c) AS n FROM ({HUGE})"
EXHAUSTED = "Query exhausted resources at this scale factor"


def resident(pid):
    """RSS in bytes."""
    line = next(
        line
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("VmRSS")
    )
    return int(line.split()[1]) * 1024


def wait(condition, what, *, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not in {seconds} s: {what}"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def small_process():
    with start_aws(clock="instant", query_memory="60MB") as running:
        yield running


@pytest.fixture(scope="module")
def large_process():
    with start_aws(clock="instant", handlers=[IMPATIENT]) as running:
        yield running


@pytest.fixture
def small(small_process):
    return made(small_process)


@pytest.fixture
def large(large_process):
    return made(large_process)


@pytest.mark.parametrize(
    "sql",
    [HUGE, SORT, HOARDING, f"CREATE TABLE copy WITH (format = 'PARQUET') AS {HUGE}"],
    ids=["a huge answer", "a sort", "a set", "a table"],
)
def test_a_query_that_needs_tens_of_gigabytes_fails_and_the_stack_stays_small(
    small, small_process, sql
):
    small.rows("SELECT 1")  # the engine is loaded
    before, peak = resident(small_process.pid), 0
    started = small.start(sql)
    deadline = time.monotonic() + 120
    while small.athena.get_query_execution(QueryExecutionId=started)["QueryExecution"]["Status"][
        "State"
    ] in ("QUEUED", "RUNNING"):
        peak = max(peak, resident(small_process.pid))
        assert time.monotonic() < deadline
        time.sleep(0.02)
    status = small.finished(started)["Status"]
    assert (status["State"], status["StateChangeReason"], status["AthenaError"]["ErrorType"]) == (
        "FAILED",
        EXHAUSTED,
        0,
    )
    assert peak - before < 400 * MB
    assert small.rows("SELECT 1") == [("1",)]
    assert [key for key in small.keys("") if not key.startswith("results/")] == []
    assert small.glue.get_tables(DatabaseName="db")["TableList"] == []


def test_a_query_that_fits_runs_beside_one_that_does_not(small):
    hungry = small.start(HOARDING)
    assert small.rows(f"SELECT sum(a) FROM {NUMBERS} AS t (a)") == [("50005000",)]
    assert small.finished(hungry)["Status"]["StateChangeReason"] == EXHAUSTED


def test_a_sort_of_more_than_the_memory_spills_and_is_right(small, small_process):
    rows = (
        f"SELECT a * 300 + b AS n, CAST(a * 300 + b AS varchar) AS s FROM {NUMBERS} AS t (a) "
        "CROSS JOIN UNNEST(sequence(1, 300)) AS u (b)"
    )
    assert small.rows(f"SELECT n, s FROM ({rows}) ORDER BY s DESC LIMIT 1") == [
        ("999999", "999999")
    ]
    assert not list(Path("/proc", str(small_process.pid), "cwd", ".tmp").glob("*"))


def test_a_running_query_that_is_stopped_gives_its_memory_back(large, large_process):
    large.rows("SELECT 1")
    before = resident(large_process.pid)
    started = large.start(SORT)
    wait(lambda: resident(large_process.pid) > before + 150 * MB, "the query takes memory")
    large.athena.stop_query_execution(QueryExecutionId=started)
    assert large.finished(started)["Status"]["State"] == "CANCELLED"
    wait(lambda: resident(large_process.pid) < before + 75 * MB, "its memory is free")


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE copy WITH (format = 'PARQUET') AS {query}",
        f"UNLOAD ({{query}}) TO 's3://{BUCKET}/copy/' WITH (format = 'JSON')",
        "INSERT INTO counts {query}",
        "{query}",
    ],
    ids=["create table as", "unload", "insert", "select"],
)
def test_a_statement_that_is_stopped_leaves_nothing(large, statement):
    large.glue.create_table(
        DatabaseName="db",
        TableInput=table_input("counts", [("n", "bigint")], f"s3://{BUCKET}/counts/"),
    )
    started = large.start(statement.format(query=ENDLESS))
    assert (
        large.athena.get_query_execution(QueryExecutionId=started)["QueryExecution"]["Status"][
            "State"
        ]
        == "RUNNING"
    )
    large.athena.stop_query_execution(QueryExecutionId=started)
    assert large.finished(started)["Status"]["State"] == "CANCELLED"
    assert large.keys() == []
    assert [table["Name"] for table in large.glue.get_tables(DatabaseName="db")["TableList"]] == [
        "counts"
    ]
    large.athena.stop_query_execution(QueryExecutionId=started)  # once more is no error
    assert large.finished(started)["Status"]["State"] == "CANCELLED"


@pytest.fixture
def moved():
    with start_aws(clock="manual", handlers=[IMPATIENT]) as running:
        yield made(running)


def test_a_query_ends_after_thirty_minutes_of_the_clock(moved):
    started = moved.start(ENDLESS)
    moved.stack.advance(29 * 60)
    assert (
        moved.athena.get_query_execution(QueryExecutionId=started)["QueryExecution"]["Status"][
            "State"
        ]
        == "RUNNING"
    )
    moved.stack.advance(62)
    status = moved.athena.get_query_execution(QueryExecutionId=started)["QueryExecution"]["Status"]
    assert (status["State"], status["StateChangeReason"], status["AthenaError"]["ErrorType"]) == (
        "FAILED",
        "Query timeout",
        206,
    )


def test_a_reset_ends_what_runs(large, large_process):
    large.start(ENDLESS)
    again = made(large_process)
    assert again.rows("SELECT 1") == [("1",)]
    assert again.keys("copy") == []


def test_a_stack_that_is_told_to_end_does_not_wait_for_its_queries(tmp_path):
    with start_aws(clock="instant") as running:
        aws = made(running)
        aws.start(HOARDING)
        running._process.terminate()
        assert running._process.wait(120) == 0
        assert "Traceback" not in running.log.read_text()


def test_a_size_that_is_none_is_refused_by_name():
    import sys

    command = [sys.executable, "-m", "isthmus_stack.aws", "--query-memory", "lots"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "lots is not a size: write 256MB or 2GB" in done.stderr


class Objects:
    """As much of an S3 client as writes need."""

    def __init__(self):
        self.stored = {}

    def put_object(self, *, Bucket, Key, Body):  # noqa: N803
        self.stored[Bucket, Key] = Body

    def delete_object(self, *, Bucket, Key):  # noqa: N803
        del self.stored[Bucket, Key]


@pytest.mark.parametrize("stopped_at", range(6))
def test_a_write_that_is_stopped_at_any_file_leaves_none(stopped_at):
    s3, asked = Objects(), []
    rows = pa.table({"0": [1, 2, 3, 4], "1": ["a", "b", "c", "d"]})
    result = Result(names=("n", "dt"), types=("BIGINT", "VARCHAR"), rows=rows)

    def keep(last):
        asked.append(last)
        if len(asked) > stopped_at:
            raise Cancelled

    def write():
        from datetime import UTC, datetime

        form = writes.Format("PARQUET", "SNAPPY")
        return writes.write(
            s3, result, "s3://b/t", form, partitioned_by=("dt",), now=datetime.now(UTC), keep=keep
        )

    if stopped_at == 5:
        assert len(write().files) == len(s3.stored) == 4
        assert asked == [False] * 4 + [True]
        return
    with pytest.raises(Cancelled):
        write()
    assert s3.stored == {}


def test_what_is_kept_cannot_be_stopped_and_what_is_stopped_cannot_be_kept(tmp_path):
    kept = Running(memory=MB, folder=tmp_path / "a")
    kept.keep()
    assert not kept.stop(Cancelled())
    kept.check()
    stopped = Running(memory=MB, folder=tmp_path / "b")
    assert stopped.stop(TimedOut())
    assert stopped.stop(Cancelled())  # the first reason stays
    for touch in (stopped.check, stopped.keep):
        with pytest.raises(QueryFailed, match=r"^Query timeout$"):
            touch()


def test_a_query_that_is_still_being_translated_is_cancelled_at_once(tmp_path):
    running, translating, through = (
        Running(memory=MB, folder=tmp_path / "a"),
        threading.Event(),
        threading.Event(),
    )
    thread = threading.Thread(
        target=running.run, args=(lambda: (translating.set(), through.wait(120)),), daemon=True
    )
    thread.start()
    assert translating.wait(60)
    query = SimpleNamespace(running=running, state="RUNNING")
    cancel(SimpleNamespace(clock=SimpleNamespace(now=time.time)), query)
    assert (query.state, query.reason, thread.is_alive()) == (
        "CANCELLED",
        "Query cancelled by user",
        True,
    )
    with pytest.raises(Cancelled), running.database():
        raise AssertionError("a query that is over has opened a database")
    through.set()
    thread.join(60)


def test_a_query_that_has_ended_stays_what_it_is_though_it_is_cancelled_at_that_moment():
    query, told = SimpleNamespace(state="RUNNING"), []

    def cancelled():
        _finish(SimpleNamespace(clock=SimpleNamespace(now=time.time)), query, "CANCELLED")
        told.append(query.state)

    other = threading.Thread(target=cancelled, daemon=True)

    def now():
        other.start()
        other.join(0.2)  # it is through, or waits

    _finish(SimpleNamespace(clock=SimpleNamespace(now=now)), query, "SUCCEEDED")
    other.join(60)
    assert [query.state] == told == ["SUCCEEDED"]
