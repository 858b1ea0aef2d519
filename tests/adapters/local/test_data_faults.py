"""kill -9, full disks, broken files: run again, nothing lost, nothing doubled, nothing half-written
visible.
"""

import errno
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from isthmus.adapters import targets
from isthmus.core.user_state import make
from isthmus.errors import Invalid, LimitExceeded
from isthmus.events.port import Column, StreamSpec
from isthmus.feature_store.port import OnlineViewSpec, TableSpec
from isthmus.target import Profile

from . import processes

pytestmark = [pytest.mark.soak, pytest.mark.slow]

COLUMNS = (
    Column(name="event_id", type="string", required=True),
    Column(name="event_timestamp", type="timestamp", required=True),
    Column(name="payload_digest", type="string"),
)
SPEC = TableSpec(name="clicks_raw", columns=COLUMNS, time_column="event_timestamp")
HISTORY = TableSpec(
    name="history",
    columns=(
        Column(name="entity_key", type="string", required=True),
        Column(name="event_timestamp", type="timestamp", required=True),
        Column(name="created_timestamp", type="timestamp", required=True),
        Column(name="n", type="int64"),
    ),
    time_column="event_timestamp",
)
VIEW = OnlineViewSpec(
    name="history", history="history", features=(Column(name="n", type="int64"),), ttl=None
)
DAY = 86_400_000


def rows(count):
    times = pa.array([n % 3 * DAY for n in range(count)], pa.timestamp("ms"))
    return pa.table({"event_id": [f"e{n}" for n in range(count)], "event_timestamp": times})


def count(target, table="clicks_raw"):
    return target.warehouse.query(f"SELECT count(*) AS n FROM {table}", {})["n"][0].as_py()


def leftovers(home):
    staging = make(home / "warehouse") / ".staging"
    return list(staging.iterdir()) if staging.exists() else []


@pytest.mark.parametrize("verb", ["append", "save"])
def test_a_writer_killed_between_two_dates_left_nothing_and_can_be_repeated(home, local, verb):
    local.warehouse.apply(SPEC)
    local.warehouse.append("clicks_raw", rows(30), batch="first")
    call = {
        "append": """target.warehouse.append("clicks_raw", pa.table({"event_id": ["x", "y"],
                      "event_timestamp": pa.array([0, 86_400_000], pa.timestamp("ms"))}), batch="b")""",
        "save": """target.warehouse.save("clicks_raw",
                    "SELECT event_id || 'x' AS event_id, event_timestamp FROM clicks_raw", {}, batch="b")""",
    }[verb]
    process = processes.start(
        home,
        f"""
        import pyarrow.parquet as pq
        write = pq.ParquetWriter.write_batch
        written = []
        def second(self, batch, *a, **k):
            if written: stay()
            written.append(batch)
            write(self, batch, *a, **k)
        pq.ParquetWriter.write_batch = second
        {call}
        """,
    )
    processes.kill_when_reached(process)
    assert count(local) == 30
    assert leftovers(home)
    more = 2 if verb == "append" else 30
    for _ in range(2):
        if verb == "append":
            data = pa.table(
                {"event_id": ["x", "y"], "event_timestamp": pa.array([0, DAY], pa.timestamp("ms"))}
            )
            local.warehouse.append("clicks_raw", data, batch="b")
        else:
            sql = "SELECT event_id || 'x' AS event_id, event_timestamp FROM clicks_raw"
            local.warehouse.save("clicks_raw", sql, {}, batch="b")
    assert count(local) == 30 + more


def test_what_a_killed_writer_left_behind_is_swept_by_the_next(home, local):
    from isthmus.adapters.local.files import TEMPORARY

    staging = make(home / "warehouse") / ".staging"
    dead = staging / f"{TEMPORARY}4194304-x"  # above the largest process number of Linux
    alive = staging / f"{TEMPORARY}1-x"
    for folder in (dead, alive):
        folder.mkdir(parents=True)
        (folder / "rows.parquet").write_bytes(b"half")
    local.warehouse.apply(SPEC)
    local.warehouse.append("clicks_raw", rows(1), batch="b")
    assert leftovers(home) == [alive]


def test_a_sync_killed_in_its_transaction_changed_nothing_and_can_be_repeated(home, local):
    from datetime import UTC, datetime

    local.warehouse.apply(HISTORY)
    local.online.apply(VIEW)
    zero = pa.array([0, 0], pa.timestamp("ms"))
    first = {"entity_key": ["a", "b"], "event_timestamp": zero, "created_timestamp": zero}
    local.warehouse.append("history", pa.table(first | {"n": [1, 1]}), batch="b1")
    until = datetime(1970, 1, 2, tzinfo=UTC)
    local.online.sync(VIEW, since=None, until=until)
    hour = pa.array([3_600_000] * 2, pa.timestamp("ms"))
    local.warehouse.append(
        "history",
        pa.table(first | {"event_timestamp": hour, "created_timestamp": hour, "n": [2, 2]}),
        batch="b2",
    )
    process = processes.start(
        home,
        """
        from isthmus.adapters.local.online import store as online
        whole = online._rows
        def half(latest):
            for row in list(whole(latest))[:1]: yield row
            stay()
        online._rows = half
        view = OnlineViewSpec(name="history", history="history", features=(Column(name="n", type="int64"),), ttl=None)
        target.online.sync(view, since=None, until=datetime(1970, 1, 2, tzinfo=UTC))
        """,
    )
    processes.kill_when_reached(process)
    assert [row["n"] for row in local.online.get({"history": ["a", "b"]})["history"]] == [1, 1]
    for _ in range(2):
        local.online.sync(VIEW, since=None, until=until)
        assert [row["n"] for row in local.online.get({"history": ["a", "b"]})["history"]] == [2, 2]


def test_a_compaction_killed_after_publishing_shows_each_event_once(home, local):
    local.events.apply(StreamSpec(name="clicks_raw", columns=COLUMNS, key="event_id"))
    process = processes.start(
        home,
        """
        from isthmus.adapters.local.warehouse import spool
        spool.COMPACT = 10
        spool.remove = lambda *a, **k: stay()
        now = datetime(2026, 1, 1, tzinfo=UTC)
        target.events.append("clicks_raw", [{"event_id": str(n), "event_timestamp": now} for n in range(10)])
        target.warehouse.observe("clicks_raw")
        """,
    )
    processes.kill_when_reached(process)
    assert count(local) == 10
    assert local.warehouse.query("SELECT count(DISTINCT event_id) AS n FROM clicks_raw", {})[
        "n"
    ].to_pylist() == [10]
    assert [path.name[:6] for path in (home / "warehouse" / "clicks_raw").iterdir()] == ["spool-"]


def test_events_acknowledged_before_a_kill_are_there_after_it(home, local):
    local.events.apply(StreamSpec(name="clicks_raw", columns=COLUMNS, key="event_id"))
    process = processes.start(
        home,
        """
        now = datetime(2026, 1, 1, tzinfo=UTC)
        for n in range(25):
            target.events.append("clicks_raw", [{"event_id": str(n), "event_timestamp": now}])
        stay()
        """,
    )
    processes.kill_when_reached(process)
    assert count(local) == 25


@pytest.mark.parametrize("verb", ["append", "save"])
def test_a_full_disk_is_said_and_nothing_is_visible(home, local, monkeypatch, verb):
    local.warehouse.apply(SPEC)
    local.warehouse.append("clicks_raw", rows(30), batch="first")
    write, written = pq.ParquetWriter.write_batch, []

    def full(self, batch, *args, **kwargs):
        if written:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(batch)
        write(self, batch, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(pq.ParquetWriter, "write_batch", full)
        effect = {
            "append": lambda: local.warehouse.append("clicks_raw", rows(6), batch="b"),
            "save": lambda: local.warehouse.save(
                "clicks_raw", "SELECT * FROM clicks_raw", {}, batch="b"
            ),
        }[verb]
        with pytest.raises(LimitExceeded, match="the disk is full") as error:
            effect()
    assert error.value.remedy
    assert count(local) == 30
    assert leftovers(home) == []
    local.warehouse.append("clicks_raw", rows(6), batch="b")
    assert count(local) == 36


@pytest.fixture
def small_engine(local, monkeypatch):
    """The warehouse with three rows and 32 MiB of memory for its queries, before any ran; give it
    more of DuckDB's settings.
    """
    import duckdb

    def small(**settings):
        local.warehouse.apply(SPEC)
        local.warehouse.append("clicks_raw", rows(3), batch="first")
        connect = duckdb.connect
        monkeypatch.setattr(
            "duckdb.connect",
            lambda path, config: connect(
                path, config=config | {"memory_limit": "32MiB", **settings}
            ),
        )
        return local.warehouse

    return small


def test_a_query_that_finds_no_room_to_spill_says_that_the_disk_is_full(home, small_engine):
    warehouse = small_engine(
        max_temp_directory_size="1MiB", threads=1
    )  # it is the disk's room, unless it is set
    with pytest.raises(LimitExceeded, match="the disk is full") as error:
        warehouse.query(
            "SELECT md5(CAST(i AS VARCHAR)) AS digest, i FROM range(1000000) AS t(i) ORDER "
            "BY digest",
            {},
        )
    assert str(home / "warehouse") in str(error.value)
    assert warehouse.query("SELECT 1 AS n", {})["n"].to_pylist() == [1]


# DuckDB does not spill a list
LISTED = "(SELECT list(md5(CAST(i AS VARCHAR))) AS digests FROM range(600000) AS t(i))"


@pytest.mark.parametrize("verb", ["query", "save"])
def test_what_cannot_be_spilled_gets_more_memory(small_engine, verb):
    warehouse = small_engine()
    if verb == "query":
        assert warehouse.query(f"SELECT len(digests) AS n FROM {LISTED}", {})["n"].to_pylist() == [
            600_000
        ]
    else:
        columns = (
            "CAST(len(digests) AS VARCHAR) AS event_id, TIMESTAMP '2026-01-01 00:00:00' AS "
            "event_timestamp, digests[1] AS payload_digest"
        )
        warehouse.save("clicks_raw", f"SELECT {columns} FROM {LISTED}", {}, batch="b")
        assert warehouse.query(
            "SELECT count(*) AS n FROM clicks_raw WHERE event_id = '600000'", {}
        )["n"].to_pylist() == [1]


def test_what_does_not_fit_into_that_either_is_refused(small_engine, monkeypatch):
    monkeypatch.setattr("isthmus.adapters.local.warehouse.engine._AT_MOST", "48MiB")
    with pytest.raises(LimitExceeded, match="memory is used up"):
        small_engine().query(f"SELECT len(digests) AS n FROM {LISTED}", {})


def test_a_full_disk_while_a_blob_is_written_keeps_the_old_one(local, home, monkeypatch):
    uri = f"{local.blobs.root}/runs/r/record.json"
    local.blobs.put(uri, b"old")
    with monkeypatch.context() as patch:
        patch.setattr(
            "os.fsync",
            lambda _fd: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")),
        )
        with pytest.raises(LimitExceeded, match="the disk is full"):
            local.blobs.put(uri, b"new")
    assert local.blobs.get(uri) == b"old"
    assert [path.name for path in (home / "runs" / "r").iterdir()] == ["record.json"]


@pytest.mark.parametrize("damage", ["empty", "cut", "middle"])
def test_a_broken_parquet_file_is_named(home, local, damage):
    local.warehouse.apply(SPEC)
    local.warehouse.append("clicks_raw", rows(3000), batch="b")
    broken = sorted((home / "warehouse" / "clicks_raw" / "b").rglob("*.parquet"))[1]
    data = broken.read_bytes()
    changed = {
        "empty": b"",
        "cut": data[: len(data) // 2],
        "middle": data[:40] + b"\xff" * 300 + data[340:],
    }[damage]
    broken.write_bytes(changed)
    with pytest.raises(Invalid, match="dt=1970-01-02") as error:
        local.warehouse.query("SELECT max(event_id) AS m FROM clicks_raw", {})
    assert str(broken) in str(error.value)
    broken.write_bytes(data)
    assert count(local) == 3000


def test_a_home_whose_path_looks_like_a_partition_is_refused(tmp_path):
    target = targets.load(
        Profile(
            name="local",
            adapter="local",
            project="conf",
            options={"home": str(tmp_path / "dt=1" / "home")},
        )
    )
    with pytest.raises(Invalid, match="dt=1"):
        target.warehouse.observe("clicks_raw")


def test_a_home_whose_path_looks_like_a_pattern_works(tmp_path):
    for name in ("data[1]", "a*b?", "it's", "ü %41"):
        home = Path(tmp_path) / name / ".isthmus"
        target = targets.load(
            Profile(name="local", adapter="local", project="conf", options={"home": str(home)})
        )
        target.warehouse.apply(SPEC)
        target.warehouse.append("clicks_raw", rows(2), batch="b")
        found = target.warehouse.query(
            "SELECT event_id, dt FROM clicks_raw ORDER BY event_id", {}
        ).to_pylist()
        assert found == [
            {"event_id": "e0", "dt": "1970-01-01"},
            {"event_id": "e1", "dt": "1970-01-02"},
        ], name
        target.close()
