"""The whole of `isthmus train` on the Open Bandit log, through the engine; and what happens when a
trainer fails.
"""

import re
import shutil
import socket
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

import isthmus
from isthmus.errors import AlreadyExists, Denied, Invalid, IsthmusWarning, NotFound, Refused
from isthmus.events.intake.ingest import ingest
from isthmus.feature_store.offline.materialize import materialize
from isthmus.pipelines.models import predictor
from isthmus.pipelines.run_pages import runs
from isthmus.pipelines.run_pages.compare import compare
from isthmus.pipelines.run_pages.leak_comparison import leak_page
from isthmus.pipelines.runs import names as run_names
from isthmus.pipelines.runs.document import local_path
from isthmus.pipelines.runs.submission import prepare
from isthmus.pipelines.runs.watch import observe
from isthmus.pipelines.tracking import server
from isthmus.pipelines.training import promotion, training
from isthmus.pipelines.training.unstarted_runs import remove_unstarted

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[3] / "examples" / "openbandit"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ob") / "openbandit"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns(".isthmus"))
    with isthmus.open(folder / "project.yaml") as opened:
        isthmus.apply(opened)
        ingest(opened)
        materialize(opened)
        yield opened


@pytest.fixture(scope="module")
def popularity(project):
    return training.train(project, "models/popularity.yaml")


@pytest.fixture(scope="module")
def logistic(project, popularity):
    return training.train(project, "logistic")


def test_the_text_of_a_run_is_the_specification_s(logistic):
    """EXAMPLE.md, section 2, but for the run's number, git, the segments without history, which it
    does not count, and average precision, which came later.
    """
    lines = str(logistic).splitlines()
    rows = (
        "20,000 impressions, 80 clicks (0.40 %), 24-30 Nov 2019; 6 features point in time; no "
        "item history yet in 143"
    )
    assert lines[1].startswith(f"  rows          {rows}")
    assert lines[2:] == [
        "  forward       5 test days: 14,645 rows, 62 clicks",
        (
            "  auc           0.475   95 % 0.403 .. 0.541     chance 0.5; knowing every item's "
            "true rate would give about 0.53, 0.64 at most"
        ),
        "  pr auc        0.004   95 % 0.002 .. 0.006     chance about 0.004",
        (
            "  log loss      0.02786 against 0.02750 for always answering the base rate "
            "(+0.00037 +- 0.00032)"
        ),
        "  calibration   1.03 observed/expected   95 % 0.79 .. 1.32                    pass",
        (
            "  vs champion   auc -0.065   95 % -0.135 .. +0.007                            "
            "inconclusive"
        ),
        (
            "  intervals     rows taken as independent: the log names no unit, so the true "
            "intervals are wider"
        ),
        "  gate          inconclusive: it may serve as challenger, not become champion",
        (
            "registered ranker@2 (challenger)   log .isthmus/runs/r2/log.txt   report "
            ".isthmus/runs/r2/report.html"
        ),
    ]


def test_the_first_champion_needs_no_predecessor(project, popularity, logistic):
    assert (popularity.version, popularity.alias, popularity.gate) == ("ranker@1", "champion", None)
    assert project.target.registry.get("ranker", "champion").approval == "approved"
    assert project.target.registry.get("ranker", "challenger").approval == "pending"


def test_the_comparison_is_the_specification_s(project, logistic):
    assert str(compare(project, "r1", "r2")).splitlines() == [
        "               r1 popularity                  r2 logistic",
        "  version      ranker@1 champion              ranker@2 challenger",
        "  features     1                              6",
        (
            "  auc          0.540   0.461 .. 0.614         0.475   0.403 .. 0.541     -0.065   "
            "-0.135 .. +0.007"
        ),
        (
            "  pr auc       0.005   0.003 .. 0.008         0.004   0.002 .. 0.006     -0.001   "
            "-0.004 .. +0.001"
        ),
        (
            "  log loss     0.02744                        0.02786                    base rate "
            "0.02750"
        ),
        "  obs/exp      1.15    0.88 .. 1.48           1.03    0.79 .. 1.32",
        (
            "only r2   features position, item_profile.item_score, item_profile.item_category, "
            "item_history.item_ctr_7d, segment_history.segment_ctr_7d"
        ),
        (
            "intervals rows taken as independent: the log names no unit, so the true intervals "
            "are wider"
        ),
        (
            "verdict   undecided. With 62 clicks an AUC of 0.60 would be found in 80 % of cases; "
            "0.55 takes 260 clicks, 0.52 1,600."
        ),
    ]


def test_the_leak_stands_beside_the_honest_join(project, logistic):
    found = leak_page(project, "r2")
    shown = [
        f"{one.value:.3f} {one.low:.3f} {one.high:.3f}" for one in (found.honest, found.leaked)
    ]
    assert shown == ["0.469 0.390 0.551", "0.748 0.701 0.795"]
    assert found.model_leaked.low > found.model_honest.high
    assert "AUC 0.75 with the leak, 0.47 without" in found.page.read_text()


def test_the_registered_model_loads_and_serves(project, logistic):
    uri = project.target.registry.get("ranker", 2).uri
    loaded = predictor.load(local_path(uri))
    assert loaded.manifest.code == "slice"
    assert loaded.manifest.serve_as == {"position": 1}
    assert {f.name: (f.key, f.type) for f in loaded.manifest.features}["item_ctr_7d"] == (
        "item_id",
        "float64",
    )
    row = dict.fromkeys((f.name for f in loaded.manifest.features), None) | {"position": 1}
    assert 0 < loaded.predictor.predict([row])[0] < 0.05


def test_the_same_again_trains_nothing_and_is_the_same_version_also_where_mlflow_is_away(
    project, logistic, monkeypatch
):
    pytest.importorskip("mlflow")
    with socket.socket() as taken:  # and nobody listens
        taken.bind(("127.0.0.1", 0))
        away = f"http://127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setattr(server, "uri", lambda _project: away)
        with pytest.warns(
            IsthmusWarning,
            match=f"run r3 is not in MLflow: MLflow at {away} does not answer.*isthmus runs export",
        ):
            again = training.train(project, "models/logistic.yaml")
    assert (again.version, again.code, again.evaluation) == (
        logistic.version,
        logistic.code,
        logistic.evaluation,
    )
    cached = [
        step.name
        for step in observe(project, again.name).steps
        if (step.reason or "").startswith("cached")
    ]
    assert cached == ["dataset", "fit", "evaluate"]


def test_a_person_may_make_an_inconclusive_version_champion(project, logistic):
    with pytest.raises(Refused, match="its gate is inconclusive") as refusal:
        promotion.promote(project, "ranker", 2, "champion")
    assert "--because" in refusal.value.remedy
    with pytest.raises(Refused):
        promotion.promote(project, "ranker", 2, "champion", because="  ")
    promotion.promote(project, "ranker", 2, "champion", because="the old one cannot use segments")
    assert project.target.registry.get("ranker", "champion").version == 2
    assert promotion.promotions(project, "ranker")[-1].because == "the old one cannot use segments"
    promotion.promote(project, "ranker", 1, "champion")  # it has no gate
    assert [one.version for one in promotion.promotions(project, "ranker")] == [2, 1]


UNKEPT = """
class Unkept:
    def __init__(self, model):
        self.model = model

    def predict(self, rows):
        raise ValueError("not here")


def train(data, label, features):
    return Unkept(object())
"""


def test_a_step_that_fails_by_an_error_of_ours_tells_its_remedy(project, logistic):
    (project.folder / "unkept.py").write_text(UNKEPT)
    text = (project.folder / "models" / "popularity.yaml").read_text()
    (project.folder / "models" / "unkept.yaml").write_text(
        text.replace("ranker.popularity", "unkept.train")
    )
    with isthmus.open(project.folder / "project.yaml") as opened, pytest.raises(Invalid) as failure:
        training.train(opened, "unkept")
    # of the first fit, whichever step had it
    assert re.search(
        "failed in step (fit|evaluate): Unkept.model is a builtins.object, which is not JSON",
        str(failure.value),
    )
    remedy = (
        r"or give the class save\(folder\) and load\(folder\)\n((fit|evaluate) was cancelled, "
        r")?nothing was registered; log "
    )
    assert re.search(remedy, failure.value.remedy)


SLOW = """
import pathlib
import time


class Unkept:
    def __init__(self):
        self.model = object()

    def predict(self, rows):
        return [0.5] * len(rows)


def train(data, label, features):
    if data.num_rows == {rows}:
        while not pathlib.Path(__file__).with_name("evaluating").exists():
            time.sleep(0.01)
        return Unkept()
    pathlib.Path(__file__).with_name("evaluating").touch()
    time.sleep(3600)
"""


def test_a_step_that_fails_ends_what_runs_beside_it_and_what_ended_well_stays(project, logistic):
    """A model that cannot be saved is told at once, not after all periods of the evaluation."""
    (project.folder / "slow.py").write_text(SLOW.replace("{rows}", str(logistic.data.rows)))
    text = (project.folder / "models" / "popularity.yaml").read_text()
    (project.folder / "models" / "slow.yaml").write_text(
        text.replace("ranker.popularity", "slow.train")
    )
    with isthmus.open(project.folder / "project.yaml") as opened, pytest.raises(Invalid) as failure:
        training.train(opened, "slow")
    assert "failed in step fit: Unkept.model is not a parameter of Unkept.__init__" in str(
        failure.value
    )
    assert "evaluate was cancelled, nothing was registered; log " in failure.value.remedy
    name = run_names.names(project.target.blobs)[-1]
    steps = {step.name: (step.phase, step.reason) for step in observe(project, name).steps}
    assert (steps["dataset"][0], steps["evaluate"]) == ("done", ("cancelled", "fit failed"))
    (project.folder / "slow.py").write_text("from ranker import popularity as train\n")
    with isthmus.open(project.folder / "project.yaml") as opened:
        run = training.train(opened, "slow")
        assert {step.name: step.reason for step in observe(opened, run.name).steps}[
            "dataset"
        ].startswith("cached from ")


def test_a_trainer_that_raises_registers_nothing_and_is_found_again(project, logistic):
    (project.folder / "wrong.py").write_text(
        "def train(data, label, features):\n    return {}['weights']\n"
    )
    text = (project.folder / "models" / "popularity.yaml").read_text()
    (project.folder / "models" / "wrong.yaml").write_text(
        text.replace("ranker.popularity", "wrong.train")
    )
    before = project.target.registry.versions("ranker")
    with isthmus.open(project.folder / "project.yaml") as opened, pytest.raises(Invalid) as failure:
        training.train(opened, "wrong")
    assert "wrong.train raised KeyError: 'weights' (wrong.py, line 2)" in str(failure.value)
    name = run_names.names(project.target.blobs)[-1]
    assert failure.value.remedy.endswith(
        f"nothing was registered; log .isthmus/runs/{name}/log.txt"
    )
    assert (
        "KeyError: 'weights'"
        in (project.folder / ".isthmus" / "runs" / name / "log.txt").read_text()
    )
    assert project.target.registry.versions("ranker") == before
    record = runs.get_run(project, name)
    assert (record.status, record.version) == ("failed", None)
    with pytest.raises(Invalid, match="there is nothing to compare"):
        compare(project, "r1", name)


def written(project):
    return {path.parent.name for path in project.folder.glob(".isthmus/runs/*/run.json")}


@pytest.fixture
def unstarted(project):
    """Call it: a train that is stopped before it starts its run, whose name it returns.

    At the end all such runs are removed.
    """

    def cut(call):
        if call.operation == "pipelines.submit":
            raise InterruptedError

    def stopped():
        before = written(project)
        project.target.calls.before = cut
        with pytest.raises(InterruptedError):
            training.train(project, "logistic")
        project.target.calls.before = None
        (name,) = written(project) - before
        return name

    yield stopped
    remove_unstarted(project)


def test_a_run_that_was_written_and_never_started_is_removed_by_the_next_train(
    project, logistic, unstarted
):
    before = written(project)
    first = unstarted()
    second = unstarted()
    assert first != second, "the second train took the first one's away"
    assert written(project) - {second} == before, "and no run that was started"


def test_a_run_that_no_train_of_this_folder_wrote_is_left_alone(project, logistic):
    """It may be compiled, or another checkout's that is about to start."""
    name = run_names.next_name(project)
    prepare(project, training.pipeline(project, project.spec.models["logistic"]), run=name)
    remove_unstarted(project)
    assert name in written(project)
    shutil.rmtree(project.folder / ".isthmus" / "runs" / name)


def test_a_run_that_was_compiled_under_the_next_name_stands_in_a_trains_way_and_is_left_alone(
    project, logistic
):
    taken = f"r{int(run_names.next_name(project)[1:]) + 1}"
    prepare(project, training.pipeline(project, project.spec.models["logistic"]), run=taken)
    with pytest.raises(AlreadyExists, match=f"run {taken} exists"):
        training.train(project, "logistic", note="mine")
    remove_unstarted(project)
    assert taken in written(project)
    assert not (project.folder / ".isthmus" / "runs" / taken / "notes.json").exists()
    shutil.rmtree(project.folder / ".isthmus" / "runs" / taken)


def test_on_a_cloud_such_a_run_goes_once_ten_minutes_have_passed(
    project, logistic, unstarted, monkeypatch
):
    """What was started just before the kill may not be in the provider's list yet."""
    name = unstarted()
    monkeypatch.setattr(
        project.target, "adapter", msgspec.structs.replace(project.target.adapter, remote=True)
    )
    remove_unstarted(project)
    assert name in written(project)
    later = project.wall() + timedelta(minutes=10)
    monkeypatch.setattr(project, "wall", lambda: later)
    remove_unstarted(project)
    assert name not in written(project)


def test_who_may_not_remove_such_a_run_is_told_of_it_and_trains(
    project, logistic, unstarted, monkeypatch
):
    def denied(_uri):
        raise Denied("s3:DeleteObject is not allowed")

    name = unstarted()
    with monkeypatch.context() as patch:
        patch.setattr(project.target.blobs, "delete", denied)
        with pytest.warns(IsthmusWarning, match=f"run {name} was written and never started"):
            remove_unstarted(project)
    assert name in written(project)


def test_a_window_back_from_now_is_as_long_as_it_says_also_where_a_millisecond_begins():
    moments = (
        datetime(2026, 1, 31, 23, 59, 59, 999_000, tzinfo=UTC) + timedelta(milliseconds=number)
        for number in count()
    )
    model = SimpleNamespace(window=None, window_length=timedelta(days=28))
    start, end = training.window(SimpleNamespace(now=lambda: next(moments)), model)
    assert end - start == timedelta(days=28)


def test_an_unknown_configuration_says_what_there_is(project):
    with pytest.raises(NotFound, match=r"models/popularity\.yaml") as refusal:
        training.train(project, "models/logistik.yaml")
    assert refusal.value.remedy == "did you mean logistic?"
