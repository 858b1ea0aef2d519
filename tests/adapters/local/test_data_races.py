"""Several processes and threads on one home at once."""

import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from isthmus.adapters import targets
from isthmus.errors import Conflict, NotFound
from isthmus.events.port import Column, StreamSpec
from isthmus.feature_store.port import OnlineViewSpec, TableSpec
from isthmus.storage import wait
from isthmus.target import Profile

from . import processes

pytestmark = [pytest.mark.soak, pytest.mark.slow]

COLUMNS = (
    Column(name="event_id", type="string", required=True),
    Column(name="event_timestamp", type="timestamp", required=True),
)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


OPENER = """
from pathlib import Path
from isthmus.adapters.local.home import database

class Watched(sqlite3.Connection):
    def execute(self, sql, *values):
        try:
            return super().execute(sql, *values)
        except sqlite3.OperationalError:
            open(home + "/refused", "w").close()
            raise

connect = sqlite3.connect
sqlite3.connect = lambda *values, **options: connect(*values, factory=Watched, **options)
print(database(Path(home)).execute("PRAGMA journal_mode").fetchone()[0])
"""


def test_processes_that_open_a_new_database_while_another_writes_its_first_page_wait_for_it(home):
    home.mkdir()
    with closing(sqlite3.connect(home / "local.db", isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")  # what SQLite does within PRAGMA journal_mode = WAL
        openers = [processes.start(home, OPENER) for _ in range(4)]
        wait((home / "refused").exists, bool, deadline=timedelta(seconds=60))
        writer.execute("ROLLBACK")
    assert [processes.finish(opener) for opener in openers] == [["wal"]] * 4


def test_processes_that_open_new_databases_at_once_all_succeed(home):
    code = """
    sys.stdin.readline()
    for n in range(100):
        profile = Profile(name="local", adapter="local", project="conf", options={"home": f"{home}/{n}"})
        fresh = targets.load(profile)
        print(fresh.state.put(str(os.getpid()), b"", expect=None))
        fresh.close()
    """
    children = [processes.start(home, code) for _ in range(8)]
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    tokens = [processes.finish(child) for child in children]
    for opened in zip(*tokens, strict=True):
        assert sorted(map(int, opened)) == list(
            range(1, 9)
        )  # one counter gave each its own: they share one database


def test_of_two_processes_that_count_none_loses_an_increment(home, local):
    local.state.put("counter", b"0", expect=None)
    code = """
    for _ in range(100):
        while True:
            found = target.state.get("counter")
            try:
                print(target.state.put("counter", str(int(found.value) + 1).encode(), expect=found.token))
                break
            except Conflict:
                pass
    """
    tokens = [
        token
        for process in [processes.start(home, code) for _ in range(2)]
        for token in processes.finish(process)
    ]
    assert local.state.get("counter").value == b"200"
    assert len(set(tokens)) == 200


def test_of_two_processes_that_create_a_key_one_wins(home, local):
    code = """
    sys.stdin.readline()
    won = 0
    for n in range(50):
        try:
            target.state.put(f"k{n}", b"", expect=None)
            won += 1
        except Conflict:
            pass
    print(won)
    """
    both = [processes.start(home, code) for _ in range(2)]
    for process in both:
        process.stdin.write("go\n")
        process.stdin.flush()
    assert sum(int(processes.finish(process)[0]) for process in both) == 50


def test_two_processes_that_append_the_same_and_other_batches_agree(home, local):
    local.warehouse.apply(
        TableSpec(name="clicks_raw", columns=COLUMNS, time_column="event_timestamp")
    )
    code = """
    def rows(name):
        return pa.table({"event_id": [f"{name}-{n}" for n in range(4)],
                         "event_timestamp": pa.array([n % 2 * 86_400_000 for n in range(4)], pa.timestamp("ms"))})
    for number in range(10):
        target.warehouse.append("clicks_raw", rows(f"same{number}"), batch=f"same{number}")
        target.warehouse.append("clicks_raw", rows(f"NAME{number}"), batch=f"NAME{number}")
    """
    both = [processes.start(home, code.replace("NAME", name)) for name in ("one", "two")]
    seen = set()
    while any(process.poll() is None for process in both):
        seen.add(local.warehouse.query("SELECT count(*) AS n FROM clicks_raw", {})["n"][0].as_py())
    for process in both:
        processes.finish(process)
    assert not [number for number in seen if number % 4]
    found = local.warehouse.query(
        "SELECT count(*) AS n, count(DISTINCT event_id) AS ids FROM clicks_raw", {}
    ).to_pylist()
    assert found == [{"n": 120, "ids": 120}]


def test_a_fresh_home_can_be_opened_by_several_processes_at_once(home):
    code = """
    target.warehouse.apply(TableSpec(name="clicks_raw", time_column="event_timestamp", columns=(
        Column(name="event_id", type="string", required=True), Column(name="event_timestamp", type="timestamp", required=True))))
    target.inventory.list("conf")
    print(target.warehouse.observe("clicks_raw").rows)
    """
    assert [
        processes.finish(process) for process in [processes.start(home, code) for _ in range(4)]
    ] == [["0"]] * 4


@pytest.mark.parametrize(("limit", "value"), [("COMPACT", 40), ("COMPACT_BYTES", 100)])
def test_threads_share_an_event_log_and_readers_never_lose_an_event_to_compaction(
    home, local, monkeypatch, limit, value
):
    from isthmus.adapters.local.warehouse import spool

    monkeypatch.setattr(spool, limit, value)
    local.events.apply(StreamSpec(name="clicks_raw", columns=COLUMNS, key="event_id"))
    local.events.observe("clicks_raw")
    acknowledged, problems = [], []

    def write(name):
        for number in range(60):
            local.events.append(
                "clicks_raw", [{"event_id": f"{name}-{number}", "event_timestamp": NOW}]
            )
            acknowledged.append(1)

    def read():
        while any(writer.is_alive() for writer in writers):
            least = len(acknowledged)
            found = local.warehouse.query(
                "SELECT count(*) AS n, count(DISTINCT event_id) AS ids FROM clicks_raw", {}
            ).to_pylist()[0]
            if found["n"] < least or found["n"] != found["ids"]:
                problems.append((least, found))

    writers = [threading.Thread(target=write, args=(name,)) for name in range(4)]
    readers = [threading.Thread(target=read) for _ in range(2)]
    for thread in (*writers, *readers):
        thread.start()
    for thread in (*writers, *readers):
        thread.join()
    assert problems == []
    assert local.warehouse.observe("clicks_raw").rows == 240
    assert any(home.glob("warehouse/clicks_raw/spool-*")), "nothing was compacted"


def test_another_processes_compaction_and_appends_are_seen(home, local):
    local.events.apply(StreamSpec(name="clicks_raw", columns=COLUMNS, key="event_id"))
    local.events.append("clicks_raw", [{"event_id": "mine", "event_timestamp": NOW}])
    assert local.warehouse.observe("clicks_raw").rows == 1
    code = """
    from isthmus.adapters.local.warehouse import spool
    spool.COMPACT = 10
    for n in range(25):
        target.events.append("clicks_raw", [{"event_id": f"{n}", "event_timestamp": datetime(2026, 1, 1, tzinfo=UTC)}])
        if n == 20:
            target.warehouse.observe("clicks_raw")
    """
    processes.finish(processes.start(home, code))
    found = local.warehouse.query(
        "SELECT count(*) AS n, count(DISTINCT event_id) AS ids FROM clicks_raw", {}
    ).to_pylist()
    assert found == [{"n": 26, "ids": 26}]


def test_a_deleted_stream_keeps_its_events_in_the_table_and_takes_no_more(local):
    local.events.apply(StreamSpec(name="clicks_raw", columns=COLUMNS, key="event_id"))
    local.events.append("clicks_raw", [{"event_id": "a", "event_timestamp": NOW}])
    (stream,) = [resource for resource in local.inventory.list("conf") if resource.kind == "stream"]
    local.inventory.delete(stream)
    assert local.warehouse.observe("clicks_raw").rows == 1
    with pytest.raises(NotFound):
        local.events.append("clicks_raw", [{"event_id": "b", "event_timestamp": NOW}])


def test_a_table_made_again_by_another_target_is_not_read_from_memory(home, local):
    spec = TableSpec(name="clicks_raw", columns=COLUMNS, time_column="event_timestamp")
    local.warehouse.apply(spec)
    local.warehouse.append(
        "clicks_raw",
        pa.table({"event_id": ["old"], "event_timestamp": pa.array([0], pa.timestamp("ms"))}),
        batch="b",
    )
    assert local.warehouse.observe("clicks_raw").rows == 1
    other = targets.load(
        Profile(name="local", adapter="local", project="conf", options={"home": str(home)})
    )
    for resource in list(other.inventory.list("conf")):
        other.inventory.delete(resource)
    other.warehouse.apply(spec)
    other.warehouse.append(
        "clicks_raw",
        pa.table(
            {"event_id": ["new"], "event_timestamp": pa.array([86_400_000], pa.timestamp("ms"))}
        ),
        batch="b",
    )
    other.close()
    assert local.warehouse.query("SELECT event_id, dt FROM clicks_raw", {}).to_pylist() == [
        {"event_id": "new", "dt": "1970-01-02"}
    ]


def test_a_stale_token_of_another_thread_conflicts(local):
    token = local.state.put("k", b"", expect=None)
    results = []

    def write():
        try:
            results.append(local.state.put("k", b"x", expect=token))
        except Conflict:
            results.append(None)

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([token for token in results if token]) == 1


def test_a_reader_does_not_wait_for_a_writer(home, local):
    """Another process holds the one write lock of local.db; a fresh reader opens it and reads all
    the same.
    """
    local.state.put("k", b"1", expect=None)
    assert (local.warehouse.observe("none"), local.online.observe("none")) == (None, None)
    writer = processes.start(
        home,
        "target.state.get('k'); db = target.state._database.connection; db.execute('BEGIN "
        "IMMEDIATE'); stay()",
    )
    assert writer.stdout.readline().strip() == "here"
    reader = processes.start(
        home,
        "print(target.state.get('k').value.decode(), target.warehouse.observe('none'), "
        "target.online.observe('none'))",
    )
    assert processes.finish(reader) == ["1", "None", "None"]
    assert writer.poll() is None
    processes.finish(writer)


def test_a_view_that_another_target_deleted_is_not_found_by_a_reader_that_knew_it(local):
    features = (Column(name="n", type="int64"),)
    local.online.apply(
        OnlineViewSpec(name="history", history="history", features=features, ttl=None)
    )
    assert local.online.get({"history": ["a"], "nowhere": []}) == {"history": [None], "nowhere": []}
    another = targets.load(local.profile)
    another.inventory.delete(
        next(
            resource
            for resource in another.inventory.list("conf")
            if resource.kind == "online_view"
        )
    )
    another.close()
    with pytest.raises(NotFound, match="there is no online view history"):
        local.online.get({"history": ["a"]})
