"""What holds for every batch: order, chunks, repetition, a kill at any point."""

import hashlib
import itertools
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.errors import OutcomeUnknown, Unavailable
from isthmus.events.intake import settlement as settle
from isthmus.events.intake.emit import emit
from isthmus.events.intake.ingest import ingest
from isthmus.events.refusals.open_rows import quarantine
from isthmus.events.sources import arrow
from isthmus.events.sources import text_files as text
from isthmus.events.sources.origins import open_source
from isthmus.events.tables import lookup
from isthmus.events.validation.chunks import validate
from isthmus.project.reading.fence import fence
from isthmus.project.specs.description import Attribute, Event

from ..sampled import EVERY, costly
from .conftest import IMPRESSION, NOW, click, impression, make_project, raw_count, seen

pytestmark = pytest.mark.soak

QUICK = costly(
    4, of=12, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

# Few ids, so that copies and late references are frequent; one item is out of bounds. An id has one
# content: of several the first stands.
IMPRESSIONS = st.builds(
    lambda n, item: ("impression", impression(n, item_id=item)),
    st.integers(0, 3),
    st.sampled_from([1, 99]),
)
CLICKS = st.builds(
    lambda n, shown, day: (
        "click",
        click(
            100 * n + 10 * shown + day,
            item_id=n,
            impression_id=f"i{shown}",
            event_timestamp=(NOW - timedelta(days=day)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        ),
    ),
    st.integers(0, 2),
    st.integers(0, 4),
    st.integers(1, 2),
)


def ingest_rows(project, event, rows, folder):
    path = Path(folder) / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return ingest(project, event=event, data=path, max_bad=1)


def outcome(batches):
    with tempfile.TemporaryDirectory() as folder, make_project(Path(folder)) as project:
        for event, rows in batches:
            ingest_rows(project, event, rows, folder)
        return ending(project)


def ending(project):
    open_rows = {
        event: sorted(
            (r["payload_digest"], r["attribute"])
            for r in quarantine(project, event, limit=1000).to_pylist()
        )
        for event in ("impression", "click")
    }
    return seen(project, "impression"), seen(project, "click"), open_rows


def test_a_batch_judged_in_parts_ends_as_one_judged_at_once(monkeypatch):
    """Copies, other contents, and clicks before their impressions, on two dates; then everything
    comes again.
    """
    chance = random.Random(0)
    day = [
        (NOW - timedelta(days=back, hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ") for back in range(2)
    ]
    shown = [
        impression(n, item_id=chance.randrange(2), event_timestamp=day[n % 2])
        for n in range(20)
        for _ in range(1 + n % 2)
    ]
    clicks = [
        click(n, impression_id=f"i{chance.randrange(30)}", event_timestamp=day[0])
        for n in range(12)
    ]
    batches = [("click", clicks), ("impression", shown[:20]), ("impression", shown)]
    whole = outcome(batches)
    for place, name, size in ((lookup, "BY_ID", 1), (lookup, "PART", 8), (settle, "_JUDGED", 6)):
        monkeypatch.setattr(place, name, size)
    assert outcome(batches) == whole
    impressions, stored_clicks, open_rows = whole
    assert 0 < len(stored_clicks) < len(clicks)
    assert 0 < len(open_rows["impression"]) < len(impressions)


@pytest.mark.slow
@QUICK
@given(
    st.lists(IMPRESSIONS | CLICKS, min_size=1, max_size=8),
    st.randoms(use_true_random=False),
    st.integers(1, 4),
)
def test_any_order_chunking_and_repetition_gives_the_same_events_and_the_same_open_quarantine(
    events, chance, size
):
    in_one = [
        (name, [row for event, row in events if event == name]) for name in ("impression", "click")
    ]
    shuffled = events + chance.sample(events, len(events) // 2)
    chance.shuffle(shuffled)
    chunks = [shuffled[start : start + size] for start in range(0, len(shuffled), size)]
    batches = [
        (name, [row for event, row in chunk if event == name])
        for chunk in chunks
        for name in ("click", "impression")
    ]
    assert outcome([b for b in in_one if b[1]]) == outcome([b for b in batches if b[1]])


DAY = (NOW - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
SHOWN = [impression(n) for n in range(2)]
CLICKED = [
    click(1, impression_id=f"i{n}", event_timestamp=DAY) for n in range(2)
]  # under one id: one of them must lose
TOGETHER = [("impression", SHOWN), ("click", CLICKED)]


@pytest.mark.slow
@pytest.mark.parametrize("first", range(4))
def test_of_two_clicks_under_one_id_the_one_that_could_be_stored_first_stands_in_every_order_of_arrival(
    first,
):
    """Two of the six orders that begin with one arrival; all with ISTHMUS_EVERY_EXAMPLE=1."""
    arrivals = [(event, [row]) for event, rows in TOGETHER for row in rows]
    orders = [*itertools.permutations(arrivals[:first] + arrivals[first + 1 :])]
    for rest in orders if EVERY else orders[first % 3 :: 3]:
        order = [arrivals[first], *rest]
        complete = [
            max(order.index(("impression", [SHOWN[n]])), order.index(("click", [CLICKED[n]])))
            for n in range(2)
        ]
        _, clicks, open_rows = outcome(order)
        assert [row["impression_id"] for row in clicks] == [f"i{complete.index(min(complete))}"]
        assert [attribute for _, attribute in open_rows["click"]] == ["event_id"]


@pytest.mark.parametrize("waits", range(2))
def test_a_row_that_an_earlier_release_let_wait_is_read_and_kept_once_and_may_still_lose(
    tmp_path, waits
):
    other = 1 - waits
    with make_project(tmp_path / "now") as project:
        ingest_rows(project, "click", [CLICKED[waits]], tmp_path)
        waiting = project.target.warehouse.query("SELECT * FROM quarantine_click", {}).drop_columns(
            ["dt"]
        )
    (digest,) = waiting["payload_digest"].to_pylist()
    with make_project(tmp_path / "then") as project:
        named_by_payloads = hashlib.blake2b(digest.encode(), digest_size=16).hexdigest()
        project.target.warehouse.append(
            "quarantine_click", waiting, batch=f"ingest-{named_by_payloads}"
        )
        ingest_rows(project, "click", [CLICKED[waits]], tmp_path)
        assert quarantine(project, "click")["attribute"].to_pylist() == ["impression_id"]
        for event, row in (
            ("impression", SHOWN[other]),
            ("click", CLICKED[other]),
            ("impression", SHOWN[waits]),
        ):
            ingest_rows(project, event, [row], tmp_path)
        assert [row["impression_id"] for row in seen(project, "click")] == [f"i{other}"]
        assert quarantine(project, "click")["attribute"].to_pylist() == ["event_id"]


@pytest.mark.parametrize("seed", range(2))
def test_a_small_chunk_changes_nothing(tmp_path, monkeypatch, seed):
    chance = random.Random(seed)
    rows = [impression(chance.randrange(40), item_id=chance.choice([1, 2, 99])) for _ in range(200)]
    results = []
    for size in (7, 100_000):
        monkeypatch.setattr(text, "ROWS", size)
        folder = tmp_path / str(size)
        folder.mkdir()
        with make_project(folder) as project:
            (report,) = ingest_rows(project, "impression", rows, folder)
            results.append(
                (
                    report.stored,
                    report.already_there,
                    report.quarantined,
                    seen(project, "impression"),
                )
            )
    assert results[0] == results[1]


ATTRIBUTES = (
    Attribute(name="count", type="int", min=-5, max=5),
    Attribute(name="share", type="float", min=0, max=1, required=False),
    Attribute(name="flag", type="bool", required=False),
    Attribute(name="kind", type="string", allowed=("a", "b"), required=False),
    Attribute(name="at", type="timestamp", required=False),
)
THING = Event(name="thing", attributes=ATTRIBUTES)
ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-7, 7),
    st.sampled_from([2**63, -(2**63), 10**30, 0.5, 1.0, -0.0, 1e300]),
    st.sampled_from(
        [
            "",
            "a",
            "b",
            "c",
            "1",
            "true",
            "2019-11-30",
            "2019-11-30T10:00:00Z",
            "2019-11-30 10:00:00.123456+09:00",
        ]
    ),
    st.sampled_from(
        [
            "2019-11-30T10:00:00",
            "2019-13-45T10:00:00Z",
            "2019-11-30T10:00+0200",
            "1969-12-31T23:59:59.9999Z",
            "0001-01-01T00:00:00+09:00",
        ]
    ),
    st.text(max_size=3),
    st.lists(st.integers(), max_size=1),
)
ROWS = st.fixed_dictionaries(
    {
        "event_id": st.sampled_from(["x", "y", "", None, 3]),
        "event_timestamp": st.sampled_from(
            ["2019-11-30T10:00:00Z", "2019-11-30T10:00:00.1234+01:00"]
        )
        | ANYTHING,
    },
    optional={a.name: ANYTHING for a in ATTRIBUTES},
)


@settings(max_examples=150, deadline=None)
@given(st.lists(ROWS, min_size=1, max_size=6))
def test_a_column_at_a_time_and_a_row_at_a_time_say_the_same(rows):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        (chunk,) = open_source(fence(Path(folder)), THING, path, Path(folder) / "stage").chunks()
    checked = validate(THING, chunk, now=NOW)
    reasons = {bad.row: f"{bad.attribute} {bad.fault}" for bad in checked.bad}
    digests = iter(checked.good["payload_digest"].to_pylist())

    for index, row in enumerate(rows):
        accepted, refused = _emitted(row)
        assert reasons.get(index) == refused
        if refused is None:
            assert next(digests) == accepted["payload_digest"]


class _Recorder:
    def __init__(self):
        self.rows = []

    def append(self, _stream, rows):
        self.rows += rows
        return ()


class _Project:
    def __init__(self):
        self.spec = type("Spec", (), {"events": {"thing": THING}})
        self.target = type("Target", (), {"events": _Recorder()})

    def now(self):
        return NOW

    wall = log_time = now


def _emitted(row):
    project = _Project()
    refused = emit(project, "thing", [row])
    return (None, refused[0].reason) if refused else (project.target.events.rows[0], None)


# --- faults

WHOLE = [
    impression(n, event_timestamp=(NOW - timedelta(days=1 + n % 5)).strftime("%Y-%m-%dT%H:%M:%SZ"))
    for n in range(60)
]

KILLED = """
import os, signal, sys, traceback
from pathlib import Path
import duckdb, pyarrow.parquet, sqlglot
from isthmus.adapters.local import events, warehouse
from isthmus.adapters.local.storage import state
from isthmus.tests.events.conftest import make_project
from isthmus.events.intake.ingest import ingest

def killed(folder, cut, place):
    project = make_project(folder)
    seen = 0
    def kill(call):
        nonlocal seen
        seen += 1
        if seen == cut:
            os.kill(os.getpid(), signal.SIGKILL)
    setattr(project.target.calls, place, kill)
    ingest(project, event="impression", data=folder / "rows.jsonl", max_bad=1)

for line in sys.stdin:
    folder, cut, place = line.rstrip("\\n").split("\\t")
    if not (child := os.fork()):
        code = 1
        try:
            killed(Path(folder), int(cut), place)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def killed_ingest():
    """Ingest in a process that ends at its nth call: its exit code.

    It is forked from one that has imported all, which takes longer.
    """
    with subprocess.Popen(
        [sys.executable, "-c", KILLED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def run(folder, cut, place):
            process.stdin.write(f"{folder}\t{cut}\t{place}\n")
            process.stdin.flush()
            return int(process.stdout.readline())

        yield run
        process.stdin.close()


@pytest.fixture(scope="module")
def whole_batch(tmp_path_factory):
    """A project's folder with a batch, three of it bad, that was not ingested yet: to be copied."""
    folder = tmp_path_factory.mktemp("whole")
    bad = [impression(1000 + n, item_id=412) for n in range(3)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in WHOLE + bad))
    with make_project(folder):
        return folder


@pytest.mark.slow
@pytest.mark.parametrize("place", ["before", "after"])
def test_killed_at_any_step_and_run_again_nothing_is_lost_and_nothing_doubled(
    tmp_path, whole_batch, killed_ingest, place
):
    ended = False
    for cut in range(1, 12):
        folder = shutil.copytree(whole_batch, tmp_path / str(cut))
        code = killed_ingest(folder, cut, place)
        assert code in (0, -signal.SIGKILL)
        ended = code == 0
        with make_project(folder) as project:
            (report,) = ingest(project, event="impression", data=folder / "rows.jsonl", max_bad=1)
            assert report.stored + report.already_there == 60
            assert raw_count(project, "impression") == 60
            assert quarantine(project, "impression").num_rows == 3
            assert not list((folder / ".isthmus" / "tmp").glob("ingest-*"))
        if ended:
            break
    assert cut > 2
    assert ended


@pytest.fixture(scope="module")
def waiting_clicks(tmp_path_factory):
    """A project's folder in which three clicks wait for their impressions: to be copied."""
    folder = tmp_path_factory.mktemp("waiting")
    with make_project(folder) as project:
        ingest_rows(project, "click", [click(n) for n in range(3)], folder)
    return folder


@pytest.mark.parametrize(
    ("place", "error"), [("before", Unavailable("cut")), ("after", OutcomeUnknown("cut"))]
)
def test_cut_at_every_late_reference_and_run_again_nothing_is_lost_and_nothing_doubled(
    tmp_path, waiting_clicks, place, error
):
    for cut in range(1, 9):
        folder = shutil.copytree(waiting_clicks, tmp_path / str(cut))
        with make_project(folder) as project:
            calls = iter(range(1, 100))

            def fail(_call, calls=calls, cut=cut):
                if next(calls) == cut:
                    raise error

            setattr(project.target.calls, place, fail)
            try:
                ingest_rows(project, "impression", [impression(n) for n in range(3)], folder)
                complete = True
            except type(error):
                complete = False
            setattr(project.target.calls, place, None)
            ingest_rows(project, "impression", [impression(n) for n in range(3)], folder)
            assert (raw_count(project, "impression"), raw_count(project, "click")) == (3, 3)
            assert quarantine(project, "click").num_rows == 0
        if complete:
            break
    assert cut > 2
    assert complete


def test_a_large_file_is_read_in_bounded_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr(arrow, "ROWS", 50)
    table = pa.Table.from_pylist(
        [
            {**row, "event_timestamp": datetime.fromisoformat(row["event_timestamp"])}
            for row in WHOLE * 4
        ]
    )
    sizes = [
        chunk.rows
        for chunk in open_source(fence(tmp_path), IMPRESSION, table, tmp_path / "stage").chunks()
    ]
    assert max(sizes) <= 50
    assert sum(sizes) == 240
