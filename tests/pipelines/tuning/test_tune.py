"""`isthmus tune`: a known optimum, the same trials whatever was killed, and the same on targets."""

import json
import subprocess

import pytest

import isthmus as im
from isthmus.errors import Invalid, NotFound, Refused
from isthmus.lifecycle.verbs.tune import planned
from isthmus.pipelines.runs.document import StepResult, find
from isthmus.pipelines.tuning.study import newest_study
from isthmus.tests.cli.running import create, edit, isthmus
from isthmus.tests.experiments.chain.test_chain import PROFILES, TARGETS, led_to
from isthmus.tests.pipelines.killed import kill_at
from isthmus.tests.pipelines.runs.test_costs import kept

pytestmark = pytest.mark.slow
BUDGET = "jobs: {machine: ml.m5.large, budget: 5.00 USD}"
# Predictions are the share of clicks, moved by `shift` and `tilt`: log loss is least at 0 of both.
TRAINER = """
class Shifted:
    def __init__(self, share, shift):
        self.share, self.shift = share, shift

    def predict(self, rows):
        return [min(0.99, max(0.01, self.share + self.shift))] * len(rows)


def train(data, label, features, shift=0.3, tilt=0.0):
    labels = data[label].to_pylist()
    return Shifted(sum(labels) / len(labels), abs(shift) + abs(tilt))
"""
MODEL = """model: ranker
alias: challenger
objective: ctr
features: [position]
serve_as: {position: 1}
trainer: shifted.train
tune:
  trials: 12
  parallel: 4
  metric: log_loss
  search: {shift: [-0.5, 0.5], tilt: {choices: [0.0, 0.2]}}
evaluate: {forward: 1d, after: 2d}
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    folder = create(tmp_path_factory.mktemp("tuning") / "shop")
    (folder / "profiles.yaml").write_text(PROFILES)
    (folder / "shifted.py").write_text(TRAINER)
    (folder / "models" / "shifted.yaml").write_text(MODEL)
    return folder


def opened(folder, target):
    return im.open(folder / "project.yaml", target=target, offline=target != "local")


@pytest.fixture
def shop(template, tmp_path, monkeypatch):
    """Return a function that makes a project with its events on a target."""

    def make(target="local", name="shop"):
        if target != "local":
            led_to(target, monkeypatch)
        folder = tmp_path / name
        subprocess.run(["cp", "-a", str(template), str(folder)], check=True)
        with opened(folder, target) as project:
            im.apply(project)
            im.ingest(project)
        return folder

    return make


def digits(tuned):
    """Return all of a study but its name and times."""
    return [(t.number, t.parameters, t.value) for t in tuned.trials], tuned.best.number, tuned.last


def test_it_finds_a_known_optimum_measures_it_apart_and_train_takes_the_trial(shop):
    folder = shop()
    with opened(folder, "local") as project:
        tuned = im.tune(project, "models/shifted.yaml")
        assert [trial.number for trial in tuned.trials] == list(range(1, 13))
        assert abs(tuned.best.parameters["shift"]) + tuned.best.parameters["tilt"] < 0.1
        assert tuned.best.value == min(trial.value for trial in tuned.trials) < tuned.own_value
        assert tuned.last.rows == 60
        assert tuned.last.verdict == "pass"  # 0.3 too many is told apart on one day
        assert tuned.last.difference.high < 0
        page = folder / ".isthmus" / "reports" / "t1.html"
        assert tuned.page == str(page)
        assert f"Best trial {tuned.best.number}" in page.read_text()
        assert page.read_text().count("<figure>") == 3
        with pytest.raises(NotFound, match="t1 has no trial 13"):
            isthmus_overrides(project, "t1/13")
    said = isthmus(folder, "train", "shifted", "--trial", tuned.trial, "--json").json
    (run,) = said
    assert run["parameters"] == tuned.best.parameters
    assert run["evaluation"]["periods"][-1]["rows"] == tuned.last.rows
    error = isthmus(folder, "runs", "compare", "t1/1", "r1", ok=False).err
    assert "t1/1 is a trial" in error
    edit(folder / "models/shifted.yaml", "after: 2d", "after: 3d")
    refused = isthmus(folder, "train", "shifted", "--trial", "t1/1", ok=False).err
    assert "changed since t1 tried it" in refused
    assert "changed" in isthmus(folder, "train", "shifted", "--trial", "t1/1", ok=False).err
    assert (
        "is not what t1 began with" in isthmus(folder, "tune", "shifted", "--resume", ok=False).err
    )


def isthmus_overrides(project, trial):
    from isthmus.pipelines.tuning.trial_parameters import trial_overrides

    return trial_overrides(project, "shifted", trial)


def test_no_trial_sees_the_last_day(shop):
    one, other = shop(name="one"), shop(name="other")
    with opened(one, "local") as project:
        as_it_is = im.tune(project, "shifted")
    # another project in which nobody clicks on the last day
    text = (other / "data/clicks.csv").read_text().splitlines()
    early = [line for line in text if "2026-01-07" not in line]
    assert len(early) < len(text)
    (other / "data/clicks.csv").write_text("\n".join(early) + "\n")
    subprocess.run(["rm", "-rf", str(other / ".isthmus")], check=True)
    with opened(other, "local") as project:
        im.apply(project)
        im.ingest(project)
        without = im.tune(project, "shifted")
    assert digits(as_it_is)[:2] == digits(without)[:2]
    assert as_it_is.last.best.value != without.last.best.value


def test_a_dry_run_and_what_is_refused_begin_nothing(shop):
    folder = shop()
    said = isthmus(folder, "tune", "models/shifted.yaml", "--dry-run")
    assert (
        "models/shifted.yaml   12 trials, 4 at a time, by log_loss: shift -0.5 .. 0.5, " in said.out
    )
    assert said.out.splitlines()[-1].startswith("dry run: would call ")
    with opened(folder, "local") as project:
        assert project.target.state.keys("studies/") == ()
        with pytest.raises(Invalid, match=r"history\.yaml has no tune"):
            im.tune(project, "history")
        with pytest.raises(NotFound, match=r"no study of models/shifted\.yaml to go on"):
            im.tune(project, "shifted", resume=True)
        with pytest.raises(NotFound, match="there is no study t4"):
            isthmus_overrides(project, "t4/1")
        with pytest.raises(Invalid, match="names no trial"):
            isthmus_overrides(project, "4")


def test_a_trial_that_fails_is_named_with_its_parameters_and_the_rounds_before_are_kept(shop):
    folder = shop()
    edit(
        folder / "shifted.py",
        "    labels =",
        "    if len(data) and tilt > 0.1: raise ValueError('too steep')\n    labels =",
    )
    with opened(folder, "local") as project:
        with pytest.raises(Invalid, match=r"trial \d+ \(shift .*, tilt 0.2\) failed: .*too steep"):
            im.tune(project, "shifted")
        assert newest_study(project, "shifted").study.last is None


def runs_of_trials(project):
    """Return how often each trial was run and not taken from a run before."""
    blobs, times = project.target.blobs, {}
    for info in blobs.list(f"{blobs.root}/runs/"):
        step = info.uri.removesuffix("/step.json").rpartition("/")[2]
        if info.uri.endswith("/step.json") and step.startswith("trial_"):
            result = find(blobs, info.uri, StepResult)
            times[step] = times.get(step, 0) + (result.cached_from is None)
    return times


def test_killed_in_round_3_and_resumed_it_has_the_same_trials_digit_for_digit(shop):
    folder, whole = shop(name="killed"), shop(name="whole")
    with opened(whole, "local") as project:
        expected = digits(im.tune(project, "shifted"))
    kill_at(folder, "tune", "shifted", files=[f"cache/*/trial_{n}/last.json" for n in range(9, 13)])
    finished = {path.parent.name for path in folder.glob(".isthmus/cache/*/trial_*/last.json")}
    assert {f"trial_{number}" for number in range(1, 9)} < finished
    with opened(folder, "local") as project:
        study = newest_study(project, "shifted").study
        assert (len(study.trials), study.last) == (8, None)
        tuned = im.tune(project, "shifted", resume=True)
        assert tuned.study == "t1"
        assert digits(tuned) == expected
        counts = runs_of_trials(project)
        assert sorted(counts) == sorted(f"trial_{number}" for number in range(1, 13))
        assert {counts[trial] for trial in finished} == {1}, "no finished trial ran again"
        again = im.tune(project, "shifted", resume=True)
        assert (again.study, digits(again)) == ("t1", expected)
        assert runs_of_trials(project) == counts


@pytest.mark.soak
def test_every_target_has_the_same_trials_digit_for_digit(shop):
    told = {}
    for target in TARGETS:
        folder = shop(target, name=target)
        with opened(folder, target) as project:
            told[target] = digits(im.tune(project, "shifted"))
    assert told["sagemaker"] == told["local"]
    assert told["vertex"] == told["local"]


def test_a_change_of_the_search_begins_another_study(shop):
    folder = shop()
    edit(folder / "models/shifted.yaml", "trials: 12", "trials: 4")
    with opened(folder, "local") as project:
        im.tune(project, "shifted")
    edit(folder / "models/shifted.yaml", "trials: 4", "trials: 4\n  seed: 1")
    with opened(folder, "local") as project:
        with pytest.raises(Refused, match="is not what t1 began with"):
            im.tune(project, "shifted", resume=True)
        assert im.tune(project, "shifted").study == "t2"
    said = json.loads(isthmus(folder, "tune", "shifted", "--resume", "--json").out)
    assert said["study"] == "t2"
    assert len(said["trials"]) == 4


def test_a_study_that_may_cost_more_than_the_budget_is_refused_before_anything_runs(
    shop, monkeypatch
):
    led_to("sagemaker", monkeypatch)
    folder = shop("sagemaker")
    edit(
        folder / "profiles.yaml",
        "    region: us-east-1\n",
        f"    region: us-east-1\n    {BUDGET}\n",
    )
    with opened(folder, "sagemaker") as project:
        one = im.runs.list(project)
        # an offline stack takes an unknown cost; a known one above the budget it does not
        estimate = planned(project, "shifted").estimate
        assert (estimate.billed, estimate.usd) == (True, None)
        assert estimate.unmeasured == ("shifted", "tune_shifted")
        earlier = {"target": "sagemaker"}
        kept(project.target, "r7", {"dataset": 36.0}, pipeline="shifted", **earlier)
        kept(project.target, "r8", {"trial_3": 36_000.0}, pipeline="tune_shifted", **earlier)
        # 12 trials, the file's parameters and the last period, on ml.m5.large
        assert planned(project, "shifted").estimate.seconds == 36 + 14 * 36_000
        with pytest.raises(
            Refused,
            match=r"a study of 12 trials of models/shifted\.yaml would cost about 16\.10 USD "
            r"\(504,036 s as in r7, r8 on ml\.m5\.large\), which is above 5\.00 USD",
        ):
            im.tune(project, "shifted")
        assert project.target.state.keys("studies/") == ()
        assert im.runs.list(project) == one
