"""A worker of a data set appends the rows of its objective, to the last digit, on any target."""

import threading
from datetime import datetime, timedelta

import pyarrow as pa
import pytest

from isthmus.core.runtime.project import Project
from isthmus.events.consume.worker import Worker
from isthmus.events.intake.emit import emit, emit_stream, stream_of
from isthmus.events.tables import relations as events
from isthmus.events.tables.column_types import arrow_type
from isthmus.events.tables.exposures import EXPOSURES_STREAM, exposures_view
from isthmus.feature_store.datasets.consumer import DatasetConsumer
from isthmus.feature_store.datasets.export import export, rows_hash
from isthmus.feature_store.datasets.exported import read_manifest
from isthmus.feature_store.offline.training_set import canonical_hash
from isthmus.feature_store.tables import relations
from isthmus.project.specs.datasets import Dataset
from isthmus.project.specs.description import (
    Attribute,
    Event,
    Objective,
    ParsedProject,
    ProjectSpec,
)
from isthmus.project.specs.examples import examples_event
from isthmus.tests.conformance.data.shown import START, exposure
from isthmus.tests.conformance.data.test_event_log import visible

pytestmark = pytest.mark.ports("events", "event_source", "warehouse")

WITHIN = timedelta(minutes=30)
SERVED = Objective(name="served_ctr", outcome="click", exposure="exposures", within=WITHIN)
DWELL = Objective(
    name="served_dwell",
    outcome="click",
    sums="seconds",
    exposure="exposures",
    within=WITHIN,
    at_most=10,
)
SPEC = ProjectSpec(
    name="conf",
    events={
        "click": Event(
            name="click",
            attributes=(
                Attribute(name="exposure_id", type="string"),
                Attribute(name="seconds", type="float", required=False),
            ),
            max_ahead=timedelta(days=1),
        ),
    },
    objectives={"served_ctr": SERVED, "served_dwell": DWELL},
    datasets={
        "served": Dataset(name="served", objective="served_ctr"),
        "dwelt": Dataset(name="dwelt", objective="served_dwell"),
    },
)
# (exposure, minutes after it, seconds)
CLICKS = [
    ("q-0", 0, 1.5),
    ("q-0", 30, 2.0),  # at the last moment that counts
    ("q-1", 30 + 1 / 60_000, 9.0),  # a millisecond after it
    ("q-2", -1, 9.0),  # before its exposure
    ("q-3", 5, 4.0),
    ("q-3", 6, None),
    ("q-4", 1, 7.25),
    ("q-4", 2, 7.25),  # more than the cap
    ("q-9", 1, 4.0),  # its exposure has no row
    ("nobody", 5, 4.0),
]
SHOWN = 6
OUTCOMES = {"served": [1, 0, 0, 1, 1, 0], "dwelt": [3.5, 0.0, 0.0, 4.0, 10.0, 0.0]}


def clicks():
    rows = []
    for number, (name, minutes, seconds) in enumerate(CLICKS):
        shown = (
            START + timedelta(minutes=int(name[-1]), milliseconds=int(name[-1]))
            if (name[-1].isdigit())
            else START
        )
        row = {"event_id": f"c{number}", "exposure_id": name}
        row["event_timestamp"] = shown + timedelta(minutes=minutes)
        rows.append(row if seconds is None else row | {"seconds": seconds})
    return rows


class Watched:
    """A consumer whose clock stands until all events were read, and who is stopped at the end."""

    def __init__(self, consumer, events, ended):
        self._consumer, self._left, self._ended = consumer, events, ended
        self.now = START

    def __getattr__(self, name):
        return getattr(self._consumer, name)

    def apply(self, state, stream, events, *, watermark):
        self._left -= len(events)
        if self._left <= 0:
            self.now = START + timedelta(days=1)
        return self._consumer.apply(state, stream, events, watermark=watermark)

    def advance(self, state, *, watermark, now):
        reaction = self._consumer.advance(state, watermark=watermark, now=now)
        if self._left <= 0 and not reaction.state.waiting and watermark > START + WITHIN:
            self._ended.set()
        return reaction


@pytest.fixture
def project(target):
    project = Project(ParsedProject(spec=SPEC, folder=""), target, clock=lambda: START)
    for table in events.tables(SPEC):
        target.warehouse.apply(table)
    target.events.apply(stream_of(SPEC.events["click"]))
    target.events.apply(EXPOSURES_STREAM)
    target.warehouse.apply(exposures_view())
    for objective in SPEC.objectives.values():
        target.warehouse.apply(relations.objective_view(SPEC, objective))
    for dataset in SPEC.datasets.values():
        event = examples_event(SPEC, dataset)
        target.warehouse.apply(events.raw_table(event))
        target.warehouse.apply(events.exactly_once_view(event))
        target.events.apply(stream_of(event))
    return project


def work(project, name, count):
    ended = threading.Event()
    consumer = Watched(DatasetConsumer(SPEC, SPEC.datasets[name]), count, ended)
    worker = Worker(project.target, consumer, now=lambda: consumer.now)
    return worker.run(ended, duration=timedelta(minutes=3))


def table(rows, kind):
    own = exposure(0)
    types = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}
    schema = [(name, types.get(type(own[name]), pa.timestamp("ms"))) for name in own]
    schema += [("outcome", kind), ("known_timestamp", pa.timestamp("ms"))]
    plain = [
        {n: v.replace(tzinfo=None) if isinstance(v, datetime) else v for n, v in row.items()}
        for row in rows
    ]
    return pa.Table.from_pylist(plain, pa.schema(schema))


@pytest.mark.needs("events.delay")
@pytest.mark.parametrize("name", OUTCOMES)
def test_the_examples_are_the_rows_of_the_objective_with_one_hash_on_every_target(
    project, name, tmp_path
):
    target, kind = project.target, pa.int64() if name == "served" else pa.float64()
    shown = [exposure(number) for number in range(SHOWN)]
    others = [exposure(9, features=None)]
    assert emit_stream(project, EXPOSURES_STREAM, [*shown, *others, shown[0]]) == ()
    assert emit(project, "click", clicks()) == ()
    report = work(project, name, len(shown) + len(others) + len(CLICKS))
    figures = report.figures
    assert (figures["examples"], figures["with an outcome"]) == (SHOWN, 3)
    assert (figures["without a row"], figures["late"]) == (1, 0)
    names = ", ".join([*exposure(0), "outcome"])
    one = f"SELECT {names}, known_timestamp FROM events_examples_{name} ORDER BY event_id"
    visible(target, one, SHOWN)
    other = (
        f"SELECT {names}, created_timestamp AS known_timestamp FROM "
        f"{SPEC.datasets[name].objective} WHERE features IS NOT NULL ORDER BY event_id"
    )
    visible(target, other, SHOWN)
    examples, batch = (target.warehouse.query(sql, {}) for sql in (one, other))
    assert examples["outcome"].to_pylist() == OUTCOMES[name]
    assert canonical_hash(examples) == canonical_hash(batch)
    expected = table(
        [
            row | {"outcome": outcome, "known_timestamp": row["event_timestamp"] + WITHIN}
            for row, outcome in zip(shown, OUTCOMES[name], strict=True)
        ],
        kind,
    )
    assert canonical_hash(examples) == canonical_hash(expected)
    exported = export(project, name, until=START + timedelta(days=1), to=tmp_path / "out")
    assert (exported.rows, exported.outcomes) == (SHOWN, 3)
    assert exported.hash == hash_of(expected, read_manifest(tmp_path / "out").columns)


def hash_of(rows, columns):
    """The hash of an export, of rows that Python made."""
    schema = pa.schema([(name, arrow_type(kind)) for name, kind in columns.items()])
    own = [{name: row.get(name) for name in columns} for row in rows.to_pylist()]
    return rows_hash(pa.Table.from_pylist(own, schema))
