"""The stores that docs/promises.md names, and what each acknowledges.

Steps that can be repeated, and whether their effect is there.
"""

import os
import signal
from collections.abc import Callable, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

import isthmus as im
from isthmus.adapters import targets
from isthmus.adapters.local.endpoints import request_log
from isthmus.adapters.local.warehouse import spool
from isthmus.endpoints.gateway.log.delivery import deliver
from isthmus.endpoints.gateway.log.log_writer import LogWriter
from isthmus.endpoints.gateway.log.streams import EXPOSURES
from isthmus.errors import AlreadyExists
from isthmus.events.port import Column, StreamSpec
from isthmus.feature_store.port import OnlineViewSpec, TableSpec
from isthmus.project.load import load
from isthmus.target import Profile
from isthmus.tests.experiments import shop

DAY = 86_400_000
NOW = datetime(2026, 1, 1, tzinfo=UTC)
EVENT = (
    Column(name="event_id", type="string", required=True),
    Column(name="event_timestamp", type="timestamp", required=True),
)
CLICKS = TableSpec(name="clicks_raw", columns=EVENT, time_column="event_timestamp")
STREAM = StreamSpec(name="emitted", columns=EVENT, key="event_id")
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
DIGEST = "d" * 64
DRAFT = {
    "name": "bolder",
    "layer": "ranker",
    "share": "10",
    "hypothesis": "A bolder blend is clicked more often.",
    "arms": "control: {}\ntreatment: {blend: 0.9}",
    "weights": "control: 60\ntreatment: 40",
    "metric": "ctr",
}
SHOWN = {
    **dict.fromkeys(("endpoint", "unit", "variant", "version", "entity", "entity_key"), "x"),
    "event_id": "q-1",
    "event_timestamp": NOW,
    "position": 1,
    "score": 0.5,
    "propensity": 1.0,
    "explored": False,
}
LONG = bytes(range(256)) * 64  # 16 KiB: several pages


class Step(NamedTuple):
    """Something that a store says it has done when `do` returns, and whether it is so.

    All take the opened store. `is_whole`: whether what a power cut left of it is all or nothing.
    """

    do: Callable[[Any], object]
    is_done: Callable[[Any], bool]
    is_whole: Callable[[Any], bool] = lambda _: True


class Store(NamedTuple):
    """`opened` takes a folder; `begin` is done before the steps, and is durable."""

    opened: Callable[[Path], Any]
    steps: Mapping[str, Step]
    begin: Callable[[Any], object] = lambda _: None


def perform(name):
    """Take all steps of a store in this folder, and tell each once it is acknowledged.

    Then comes a kill, before anything closes.
    """
    store = STORES[name]
    with store.opened(Path.cwd()) as opened:
        for step, acts in store.steps.items():
            acts.do(opened)
            print(step, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def _local(folder):
    target = targets.load(
        Profile(
            name="local",
            adapter="local",
            project="conf",
            options={"home": str(folder / ".isthmus")},
        )
    )
    try:
        yield target
    finally:
        target.close()


@contextmanager
def _home(folder):
    from isthmus_stack.core.home.home import Home

    home = Home(folder / "stack" / "home", "aws", {}, moto_answers=False)
    try:
        yield home
    finally:
        home.close()


@contextmanager
def _starter(folder):
    from isthmus.project import scaffold

    with suppress(AlreadyExists):
        scaffold.create(folder / "shop", example="starter")
    with im.open(folder / "shop" / "project.yaml") as project:
        yield project


@contextmanager
def _shop(folder):
    if not (folder / "project.yaml").exists():
        with shop.Shop(folder, shop.PROJECT.replace("share: 40%", "share: 30%")).project:
            pass
    with im.open(folder / "project.yaml") as project:
        yield project


def _put(target, key, value):
    document = target.state.get(key)
    target.state.put(key, value, expect=document.token if document else None)


def _delete(target, key):
    if document := target.state.get(key):
        target.state.delete(key, expect=document.token)


def _value(target, key):
    document = target.state.get(key)
    return document.value if document else None


def _uri(target, key):
    return f"{target.blobs.root}/{key}"


def _blob(target, key):
    uri = _uri(target, key)
    return (
        target.blobs.get(uri) if any(info.uri == uri for info in target.blobs.list(uri)) else None
    )


def _written(key, old, new):
    """A document's step."""
    return Step(
        lambda t: _put(t, key, new),
        lambda t: _value(t, key) == new,
        lambda t: _value(t, key) in (old, new),
    )


def _stored(key, old, new):
    """A blob's step."""
    return Step(
        lambda t: t.blobs.put(_uri(t, key), new),
        lambda t: _blob(t, key) == new,
        lambda t: _blob(t, key) in (old, new),
    )


def _upload(target):
    folder = Path.cwd() / "model"
    with suppress(FileExistsError):
        folder.mkdir()
    (folder / "code").mkdir(exist_ok=True)
    for name in ("model.json", "code/ranker.py", "manifest.json"):
        (folder / name).write_bytes(LONG)
    target.blobs.upload(folder, _uri(target, "models/ranker/v1"))


def _uploaded(target):
    return all(
        _blob(target, f"models/ranker/v1/{name}") == LONG
        for name in ("model.json", "code/ranker.py", "manifest.json")
    )


def _rows(start, count):
    """Rows of three days."""
    times = pa.array([n % 3 * DAY for n in range(count)], pa.timestamp("ms"))
    return pa.table({"event_id": [f"{start}-{n}" for n in range(count)], "event_timestamp": times})


def _history(n, time):
    moment = pa.array([time], pa.timestamp("ms"))
    return pa.table(
        {"entity_key": ["a"], "event_timestamp": moment, "created_timestamp": moment, "n": [n]}
    )


def _counted(target, table, prefix):
    """Distinct and all rows whose id begins so."""
    sql = (
        f"SELECT count(DISTINCT event_id) AS ids, count(*) AS n FROM {table} WHERE event_id LIKE "
        f"'{prefix}-%'"
    )
    return target.warehouse.query(sql, {}).to_pylist()[0]


def _has_batch(target, prefix, count):
    return _counted(target, "clicks_raw", prefix) == {"ids": count, "n": count}


def _append(target, prefix):
    target.events.append(
        "emitted", [{"event_id": f"{prefix}-{n}", "event_timestamp": NOW} for n in range(3)]
    )


def _has_events(target, prefix):
    return _counted(target, "emitted", prefix)["ids"] == 3


def _compact(target):
    """What a reader does once many events wait."""
    most, spool.COMPACT = spool.COMPACT, 1
    try:
        target.warehouse.observe("emitted")
    finally:
        spool.COMPACT = most


def _begin_tables(target):
    target.warehouse.apply(CLICKS)
    target.warehouse.append("clicks_raw", _rows("begin", 3), batch="begin")


def _begin_stream(target):
    target.events.apply(STREAM)
    _append(target, "begin")


def _begin_online(target):
    target.warehouse.apply(HISTORY)
    target.online.apply(VIEW)
    target.warehouse.append("history", _history(1, 0), batch="b1")
    target.online.sync(VIEW, since=None, until=NOW)
    target.warehouse.append("history", _history(2, 3_600_000), batch="b2")


def _register(target):
    return target.registry.register(
        "ranker", uri=_uri(target, "models/ranker/v1"), digest=DIGEST, image="none"
    )


def _versions(target):
    return {
        version.digest: (sorted(version.aliases), version.approval)
        for version in target.registry.versions("ranker")
    }


def _requests(target):
    return Path(target.profile.options["home"]) / "endpoints" / "home" / "requests"


def _log_requests(target):
    log = request_log.RequestLog(_requests(target))
    for _ in range(600):  # several pages
        log.write("champion", 200, 0.0123)  # a line of 33 bytes: pages end within lines


def _reads_requests(target):
    """Best effort: some may be missing; what is read was written."""
    from isthmus.endpoints.port import Window

    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    window = Window(start=hour - timedelta(hours=1), end=hour)
    target.clock = lambda: hour + timedelta(hours=2)
    _requests(target).mkdir(parents=True, exist_ok=True)
    buckets = target.metrics.read("home", Window(start=window.start, end=hour + timedelta(hours=1)))
    return (
        set(buckets) <= {"champion"}
        and sum(bucket.requests for some in buckets.values() for bucket in some) <= 1200
    )


def _emit(project):
    row = {"event_timestamp": NOW, "item_id": 1, "position": 1}
    refused = im.emit(project, "impression", [{"event_id": f"e-{n}", **row} for n in range(3)])
    assert not refused, refused


def _answer(project):
    """A gateway's log with `durable=True`: `put` returns once the rows are delivered."""
    writer = LogWriter(
        lambda stream, rows: deliver(project, stream, rows), name="home", durable=True
    )
    problems = writer.put({"exposures": [SHOWN]})
    assert not problems, problems


def _has_answered(project):
    return project.target.warehouse.query(
        "SELECT count(DISTINCT event_id) AS n FROM exposures", {}
    )["n"].to_pylist() == [1]


def _has_emitted(project):
    return project.target.warehouse.query(
        "SELECT count(DISTINCT event_id) AS n FROM events_impression", {}
    )["n"].to_pylist() == [3]


def _write_experiment(project):
    from isthmus.ui.pages.experiments import new_experiment

    if "bolder" not in project.spec.experiments:
        new_experiment.write(project, DRAFT)


def _has_experiment(project):
    return "bolder" in load(project.folder).spec.experiments


STORES: Mapping[str, Store] = {
    "a new home": Store(
        _local, {"put": Step(lambda t: _put(t, "a", b"1"), lambda t: _value(t, "a") == b"1")}
    ),
    "documents": Store(
        _local,
        {
            "put": _written("experiments/live", None, LONG),
            "overwrite": _written("traffic/home", b"old", b"new"),
            "delete": Step(
                lambda t: _delete(t, "views/old"), lambda t: _value(t, "views/old") is None
            ),
        },
        lambda t: (_put(t, "traffic/home", b"old"), _put(t, "views/old", b"old")),
    ),
    "registry": Store(
        _local,
        {
            "register": Step(_register, lambda t: DIGEST in _versions(t)),
            "alias": Step(
                lambda t: t.registry.set_alias("ranker", "champion", 1),
                lambda t: _versions(t)[DIGEST][0] == ["champion"],
            ),
            "approve": Step(
                lambda t: t.registry.set_approval("ranker", 1, "approved", "it is liked"),
                lambda t: _versions(t)[DIGEST][1] == "approved",
            ),
        },
    ),
    "events": Store(
        _local,
        {
            "append": Step(lambda t: _append(t, "one"), lambda t: _has_events(t, "one")),
            "append more": Step(lambda t: _append(t, "two"), lambda t: _has_events(t, "two")),
        },
        _begin_stream,
    ),
    "compaction": Store(
        _local,
        {
            "append": Step(lambda t: _append(t, "one"), lambda t: _has_events(t, "one")),
            "compact": Step(
                _compact, lambda t: _counted(t, "emitted", "begin") == {"ids": 3, "n": 3}
            ),
            "append more": Step(lambda t: _append(t, "two"), lambda t: _has_events(t, "two")),
            "compact again": Step(_compact, lambda t: _has_events(t, "one")),
        },
        _begin_stream,
    ),
    "batches": Store(
        _local,
        {
            "append": Step(
                lambda t: t.warehouse.append("clicks_raw", _rows("a", 30), batch="a"),
                lambda t: _has_batch(t, "a", 30),
                lambda t: _counted(t, "clicks_raw", "a")["n"] in (0, 30),
            ),
            "save": Step(
                lambda t: t.warehouse.save(
                    "clicks_raw",
                    "SELECT 's-' || event_id AS event_id, event_timestamp FROM clicks_raw",
                    {},
                    batch="s",
                ),
                lambda t: _counted(t, "clicks_raw", "s")["n"] >= 3,
            ),
        },
        _begin_tables,
    ),
    "online": Store(
        _local,
        {
            "sync": Step(
                lambda t: t.online.sync(VIEW, since=None, until=NOW),
                lambda t: t.online.get({"history": ["a"]})["history"][0]["n"] == 2,
            )
        },
        _begin_online,
    ),
    "blobs": Store(
        _local,
        {
            "put": _stored("runs/r/record.json", None, LONG),
            "overwrite": _stored("runs/note", b"old", b"new"),
            "upload": Step(_upload, _uploaded),
            "delete": Step(
                lambda t: t.blobs.delete(_uri(t, "runs/old")),
                lambda t: _blob(t, "runs/old") is None,
            ),
        },
        lambda t: [t.blobs.put(_uri(t, key), b"old") for key in ("runs/note", "runs/old")],
    ),
    "counters": Store(
        _local,
        {
            "apply": Step(
                lambda t: t.counters.apply("home"), lambda t: t.counters.observe("home") == "ready"
            ),
            "add": Step(  # best effort: a count may be lost, never more than was counted
                lambda t: t.counters.add(
                    "home", "u", {"n": 1}, until=datetime.now(UTC) + timedelta(days=1)
                ),
                lambda t: t.counters.get("home", "u").get("n", 0) <= 2,
            ),
        },
    ),
    "request log": Store(
        _local, {"log": Step(_log_requests, _reads_requests)}, lambda t: t.state.keys("")
    ),
    "emit": Store(_starter, {"emit": Step(_emit, _has_emitted)}, im.apply),
    "a durable gateway": Store(
        _starter,
        {"answer": Step(_answer, _has_answered)},
        lambda p: p.target.events.apply(EXPOSURES),
    ),
    "a page's file": Store(_shop, {"write": Step(_write_experiment, _has_experiment)}),
    "a stack's home": Store(
        _home,
        {
            "write": Step(
                lambda h: h.write("stores/a/b", LONG), lambda h: h.read("stores/a/b") == LONG
            ),
            "overwrite": Step(
                lambda h: h.write("moto/iam/old", b"new"),
                lambda h: h.read("moto/iam/old") == b"new",
                lambda h: h.read("moto/iam/old") in (b"old", b"new"),
            ),
            "remove": Step(
                lambda h: h.remove("moto/gone"), lambda h: "moto/gone" not in h.names("moto")
            ),
            "clear": Step(lambda h: h.clear("s3"), lambda h: not list(h.names("s3"))),
        },
        lambda h: [h.write(name, b"old") for name in ("moto/iam/old", "moto/gone", "s3/objects/x")],
    ),
}
