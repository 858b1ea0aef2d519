"""Every kind of document that is stored, by the bytes of each release: one test a kind and release."""

import ast
import json
import re
from importlib import import_module
from pathlib import Path

import msgspec
import pytest

from isthmus.adapters.local.home import FORMAT
from isthmus.core import formats
from isthmus.errors import Invalid, Refused
from isthmus.tests.test_architecture import FILES, ROOT
from isthmus_stack.run import Ready

HERE = Path(__file__).parent
KINDS = {  # the file in each release's folder -> what reads it
    "artifact": "pipelines.runs.artifacts:Manifest",
    "batch": "adapters.local.warehouse.contents:Contents",
    "cache": "pipelines.runs.cache:_Entry",
    "cost": "pipelines.runs.costs:RunCost",
    "data": "pipelines.run_pages.records:TrainingSetData",
    "dataset_export": "feature_store.datasets.exported:ExportManifest",
    "bigquery_view": "adapters.vertex.online.store:_View",
    "evaluation": "pipelines.evaluation.evaluation:Evaluation",
    "experiment_change": "endpoints.gateway.decide.live_document:Change",
    "experiment_live": "endpoints.gateway.decide.live_document:LiveExperiments",
    "experiment_looks": "experiments.results.looks:Looks",
    "experiment_results": "experiments.results.results:Results",
    "experiment_run": "experiments.design.runs:FrozenRun",
    "failed": "pipelines.runs.document:StepFailure",
    "key": "pipelines.runs.cache:KeyRecord",
    "learning_curve": "pipelines.evaluation.evaluation:LearningCurve",
    "known_folder": "core.user_state:KnownFolder",
    "model": "pipelines.models.predictor:ModelManifest",
    "monitor": "experiments.monitors.snapshot:MonitorSnapshot",
    "notes": "pipelines.run_pages.notes:Notes",
    "online_view": "adapters.local.online.store:_View",
    "raw": "events.sources.raw_copies:RawSource",
    "record": "pipelines.run_pages.records:Run",
    "rollout": "rollouts.state.states:RolloutState",
    "rollout_entry": "rollouts.state.states:HistoryEntry",
    "rollout_ids": "rollouts.state.documents:LastId",
    "rollout_minutes": "rollouts.state.documents:_WrittenMinutes",
    "run": "pipelines.runs.document:RunDocument",
    "s3_batch": "adapters.sagemaker.warehouse.batches:_Manifest",
    "s3_execution": "adapters.common.pipelines.executions:Execution",
    "s3_online": "adapters.sagemaker.online.store:_View",
    "s3_state": "adapters.common.storage.documents:StateBody",
    "simulated_time": "experiments.simulation.clock:SimulatedTime",
    "split": "endpoints.gateway.decide.sticky_split:Split",
    "state_counter": "pipelines.runs.names:Counter",
    "state_ingest": "events.intake.stamps:BatchStamp",
    "state_prediction": "pipelines.scoring.scoring:Unfinished",
    "state_project": "lifecycle.resources.applied_digests:Applied",
    "state_promotion": "pipelines.training.promotion:Promotion",
    "state_extraction": "pipelines.extraction.extraction:ExtractionState",
    "state_study": "pipelines.tuning.study:Study",
    "state_table": "feature_store.tables.static_tables:_Loaded",
    "state_traffic": "endpoints.traffic.owner_document:Owner",
    "state_view": "feature_store.offline.watermarks:Watermark",
    "step": "pipelines.runs.document:StepResult",
    "state_stream": "events.consume.checkpoint:StreamCheckpoint",
    "stream_state": "events.consume.checkpoint:StreamState",
    "supervisor": "adapters.local.endpoints.rows:SupervisorAddress",
    "table": "adapters.common.warehouse.tables:TableDocument",
    "version_replay": "experiments.replay.version_replay:VersionReplay",
}


def positives(old):
    """Format 1 had `clicks`; a record had links that nobody filled, a run document types that
    nobody read.
    """
    if isinstance(old, list):
        return [positives(inner) for inner in old]
    if not isinstance(old, dict):
        return old
    names = {"clicks": "positives", "trained_clicks": "trained_positives"}
    return {
        names.get(name, name): positives(inner)
        for name, inner in old.items()
        if name not in ("links", "parameter_types")
    }


BEFORE = {  # what was no object, or had other fields, with the fields that it has now
    "state_counter": lambda last: {"last": last}, "data": positives, "evaluation": positives, "record": positives, "run": positives,
}  # fmt: skip
RELEASES = sorted(
    folder.name for folder in HERE.iterdir() if folder.is_dir() and folder.name[0].isdigit()
)
CASES = [
    (release, name)
    for release in RELEASES
    for name in sorted(KINDS)
    if (HERE / release / f"{name}.json").exists()
]


def kind_of(name):
    module, _, struct = KINDS[name].partition(":")
    return getattr(import_module(f"isthmus.{module}"), struct)


def holds(document, old):
    """Whether every member of a release's JSON value is there, with its value: what was added since
    has defaults, and nothing is lost.
    """
    if isinstance(old, dict):
        return isinstance(document, dict) and all(
            key in document and holds(document[key], inner)
            for key, inner in old.items()
            if key != "schema"
        )
    if isinstance(old, list):
        return (
            isinstance(document, list)
            and len(document) == len(old)
            and all(map(holds, document, old))
        )
    return document == old


def _nodes(word):
    """Of every file that has the word anywhere: to parse all takes seconds."""
    texts = ((path, path.read_text()) for path in FILES)
    return (
        (node, path) for path, text in texts if word in text for node in ast.walk(ast.parse(text))
    )


def stored_classes():
    """file:class of every class whose base is StoredDocument."""
    return {
        f"{'.'.join(path.relative_to(ROOT).with_suffix('').parts)}:{node.name}"
        for node, path in _nodes("StoredDocument")
        if isinstance(node, ast.ClassDef)
        and any(isinstance(base, ast.Name) and base.id == "StoredDocument" for base in node.bases)
    }


def test_every_kind_of_stored_document_has_bytes_of_a_release_here():
    assert stored_classes() == set(KINDS.values())
    assert {name for _, name in CASES} == set(KINDS)


@pytest.mark.parametrize(("release", "name"), CASES)
def test_a_releases_bytes_are_read_whole_and_written_with_their_format(release, name):
    data, kind = (HERE / release / f"{name}.json").read_bytes(), kind_of(name)
    document = formats.decode(data, kind, what=name)
    again = msgspec.json.encode(document)
    old = BEFORE.get(name, dict)(json.loads(data))
    assert holds(json.loads(again), old)
    assert json.loads(again)["schema"] == formats.schema(kind)
    assert formats.decode(again, kind, what=name) == document


@pytest.mark.parametrize("name", sorted(KINDS))
def test_a_newer_document_is_refused_by_its_name_and_both_formats(name):
    kind = kind_of(name)
    with pytest.raises(
        Refused,
        match=r"^the place was written by a newer Isthmus \(format 9; this one reads up to "
        rf"{formats.schema(kind)}\)$",
    ):
        formats.decode(b'{"schema": 9, "all": "else"}', kind, what="the place")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b'{"schema": "1"}',
        b'{"schema": null}',
        b'{"schema": 1}',
    ],
)
def test_bytes_that_are_no_document_are_said_to_be_damaged(data):
    with pytest.raises(Invalid, match=r"^the place is damaged: "):
        formats.decode(data, kind_of("state_traffic"), what="the place")


def test_a_document_of_an_older_format_is_upgraded_from_the_format_that_it_has():
    class Size(formats.StoredDocument, frozen=True, tag=3):
        metres: float
        colour: str = "red"

        @classmethod
        def upgraded(cls, old, schema, /):
            return old if schema == 2 else {"metres": old["feet"] * 0.3048}

    def read(data):
        return formats.decode(data, Size, what="size")

    assert (
        read(b'{"feet": 10}')
        == read(b'{"schema": 1, "feet": 10}')
        == read(b'{"schema": 2, "metres": 3.048}')
        == Size(3.048)
    )
    assert read(b'{"schema": 3, "metres": 1, "colour": "blue"}') == Size(1, "blue")
    assert json.loads(msgspec.json.encode(read(b'{"feet": 10}')))["schema"] == 3


def test_no_stored_document_is_decoded_without_a_look_at_its_format():
    stored = {name.partition(":")[2] for name in KINDS.values()}
    past = [
        (str(path.relative_to(ROOT)), node.lineno)
        for node, path in _nodes("decode")
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("msgspec.json.decode", "msgspec.msgpack.decode")
        if any(
            keyword.arg == "type" and ast.unparse(keyword.value) in stored
            for keyword in node.keywords
        )
    ]
    assert past == []


def test_the_page_of_what_is_stored_names_every_stored_document_with_its_format():
    text = (ROOT / "docs" / "stored.md").read_text()
    table = [
        line.split(" | ")
        for line in text.partition("\n## ")[0].splitlines()
        if line.startswith("| ")
    ]
    told = {
        (name, int(number))
        for what, number, *_ in table
        if number.isdigit()
        for name in re.findall(r"`([\w.]+)`", what)
    }
    stored = {
        (struct.partition(":")[2], formats.schema(kind_of(name))) for name, struct in KINDS.items()
    }
    assert told == stored | {("Ready", formats.schema(Ready)), ("local.db", FORMAT)}


def test_a_stacks_record_is_read_too():
    for release in (release for release in RELEASES if (HERE / release / "stack.json").exists()):
        data = (HERE / release / "stack.json").read_bytes()
        assert msgspec.json.decode(data, type=Ready).url.startswith("http://127.0.0.1:")
    assert json.loads(msgspec.json.encode(Ready("http://127.0.0.1:1", 2)))["schema"] == 1
