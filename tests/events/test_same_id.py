"""One rule for several contents under one id: whatever arrives how, in which order, how often, and
is cut where, the same one stands.
"""

import itertools
import json
import tempfile
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from isthmus.errors import OutcomeUnknown
from isthmus.events.intake.emit import emit, stream_of
from isthmus.events.intake.ingest import ingest
from isthmus.events.refusals.open_rows import quarantine, summary
from isthmus.events.tables.relations import exactly_once_view, raw_table
from isthmus.events.validation.chunks import Chunk, validate
from isthmus.project.specs.description import Attribute, Event

from ..sampled import costly
from .conftest import IMPRESSION, NOW, impression, make_project, seen

ROWS = st.tuples(st.integers(0, 1), st.integers(0, 3))  # id, content
STEPS = st.one_of(
    st.tuples(
        st.sampled_from(["ingest", "correct"]),
        st.lists(ROWS, min_size=1, max_size=3),
        st.none() | st.integers(1, 5),
    ),
    st.tuples(st.just("emit"), st.lists(ROWS, min_size=1, max_size=1), st.none()),
)


def row(number, content):
    return impression(number, item_id=content)


def digest(number, content):
    columns = {name: [value] for name, value in row(number, content).items()}
    return (
        validate(IMPRESSION, Chunk(columns=columns, rows=1), now=NOW)
        .good["payload_digest"][0]
        .as_py()
    )


class Model:
    """What should stand, said in another way: by id, the contents that had their turn, and those
    that never had.
    """

    def __init__(self):
        self.turns = defaultdict(list)
        self.losers = defaultdict(set)
        self.refused = defaultdict(
            set
        )  # of the losers: those that an ingest put into the quarantine, where they stay

    def step(self, kind, rows):
        for number in dict.fromkeys(n for n, _ in rows):
            contents = sorted(
                {content for n, content in rows if n == number},
                key=lambda content: digest(number, content),
            )
            turns, losers = self.turns[number], self.losers[number]
            if not turns or (kind == "correct" and turns[-1] != contents[0]):
                turns.append(contents[0])
            if (
                len(turns) > 1
            ):  # a single event under an id that was corrected is of the time before, and no one's fault
                losers &= self.refused[number]
                if kind == "emit":
                    continue
            losers |= set(contents)
            losers -= set(turns)
            if kind != "emit":
                self.refused[number] |= set(contents)


@pytest.mark.timeout(900)  # twenty seconds where nothing else runs
@costly(10, of=25)
@example(
    [
        ("ingest", [(0, 1)], None),
        ("emit", [(0, 2)], None),
        ("correct", [(0, 0)], None),
        ("ingest", [(0, 0), (0, 2)], None),
    ]
)
@given(st.lists(STEPS, min_size=1, max_size=6))
def test_whatever_arrives_how_often_and_cut_where_the_first_stored_or_last_corrected_content_stands_for_every_reader(
    steps,
):
    clock = (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=n) for n in itertools.count())
    model = Model()
    with (
        tempfile.TemporaryDirectory() as folder,
        make_project(Path(folder), clock=lambda: next(clock)) as project,
    ):
        project.target.events.apply(stream_of(IMPRESSION))
        for kind, rows, cut in steps:
            model.step(kind, rows)
            arrive(project, kind, [row(*r) for r in rows], cut, Path(folder))
        standing = {r["event_id"]: r["item_id"] for r in seen(project, "impression")}
        assert standing == {f"i{n}": turns[-1] for n, turns in model.turns.items()}
        open_rows = quarantine(project, "impression").to_pylist()
        assert sorted(
            (r["event_id"], json.loads(r["payload"])["item_id"]) for r in open_rows
        ) == sorted(
            (f"i{n}", content) for n, contents in model.losers.items() for content in contents
        )
        assert sum(group.count for group in summary(project, "impression")) == len(open_rows)
        again = [
            row(n, turns[-1]) for n, turns in model.turns.items()
        ]  # ingest's own look at what is stored
        assert arrive(project, "ingest", again, None, Path(folder)).already_there == len(again)


def arrive(project, kind, rows, cut, folder):
    """`cut`: the call after which it dies, once; then the same comes again."""
    if kind == "emit":
        assert emit(project, "impression", rows) == ()
        return None
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    calls = itertools.count(1)

    def die(_call):
        if next(calls) == cut:
            raise OutcomeUnknown("cut")

    project.target.calls.after = die
    try:
        (report,) = ingest(
            project, event="impression", data=path, max_bad=1, corrects=kind == "correct"
        )
    except OutcomeUnknown:
        project.target.calls.after = None
        (report,) = ingest(
            project, event="impression", data=path, max_bad=1, corrects=kind == "correct"
        )
    project.target.calls.after = None
    return report


COPIES = st.lists(
    st.fixed_dictionaries(
        {
            "event_id": st.sampled_from(["a", "b"]),
            "dt": st.sampled_from(["2026-01-01", "2026-01-02"]),
            "payload_digest": st.sampled_from(["d1", "d2", "d3"]),
            "correction": st.sampled_from([None, 0, 1, 2]),
            "stored_timestamp": st.none()
            | st.integers(0, 3).map(lambda n: datetime(2026, 1, 1) + timedelta(hours=n)),  # noqa: DTZ001
        }
    ),
    min_size=1,
    max_size=12,
)


@pytest.fixture(scope="module")
def connection():
    """One for all examples: opening it took longer than an example does."""
    with duckdb.connect() as opened:
        yield opened


@settings(max_examples=150, deadline=None)
@given(copies=COPIES, chance=st.randoms(use_true_random=False))
def test_the_view_picks_by_correction_then_stamp_then_digest_in_whatever_order_the_copies_lie(
    connection, copies, chance
):
    shuffled = copies + chance.sample(copies, len(copies) // 2)
    chance.shuffle(shuffled)
    thing = Event(name="thing", attributes=(Attribute(name="content", type="string"),))
    kinds = {
        "event_timestamp": pa.timestamp("ms"),
        "correction": pa.int64(),
        "stored_timestamp": pa.timestamp("ms"),
    }
    rows = [{**copy, "content": copy["payload_digest"]} for copy in shuffled]
    names = [*(column.name for column in raw_table(thing).columns), "dt"]
    connection.register(
        "thing_raw",
        pa.table({n: pa.array([r.get(n) for r in rows], kinds.get(n, pa.string())) for n in names}),
    )
    view = connection.sql(exactly_once_view(thing).view_sql)
    picked = {
        (dt, id_): content
        for dt, id_, content in view.select("dt", "event_id", "content").fetchall()
    }
    expected = {}
    for copy in copies:
        place = (
            -(copy["correction"] or 0),
            copy["stored_timestamp"] or datetime(1970, 1, 1),  # noqa: DTZ001
            copy["payload_digest"],
        )
        key = (copy["dt"], copy["event_id"])
        expected[key] = min(expected.get(key, place), place)
    assert picked == {key: place[-1] for key, place in expected.items()}
