"""`isthmus predict` under kill -9 in its steps: resumed, no finished shard again, the batch once."""

import os
import random
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

import isthmus as im
from isthmus.errors import NotFound
from isthmus.pipelines.runs.document import StepResult, find
from isthmus.pipelines.runs.step_results import step_folder
from isthmus.storage import wait
from isthmus.tests.cli.running import create
from isthmus.tests.experiments.chain.test_chain import PROFILES, TARGETS, led_to
from isthmus.tests.pipelines.scoring.test_predict import COUNT, DECLARED, ROWS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="steps are found in /proc"),
]
SOON = timedelta(minutes=4)
SHARDS = ("score_0", "score_1")
STEP, RUNNER = "isthmus.pipelines.step", "isthmus.adapters.local.pipelines.runner"


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    folder = create(tmp_path_factory.mktemp("killed") / "shop")
    (folder / "profiles.yaml").write_text(PROFILES)
    (folder / "predictions").mkdir()
    (folder / "predictions" / "nightly.sql").write_text(ROWS)
    with (folder / "project.yaml").open("a") as file:
        file.write(DECLARED.replace("shards: 4", f"shards: {len(SHARDS)}"))
    return folder


def opened(folder, target):
    return im.open(folder / "project.yaml", target=target, offline=target != "local")


@pytest.fixture
def trained(template, tmp_path, monkeypatch):
    """Return a function that makes a project on a target, with a model."""

    def make(target):
        led_to(target, monkeypatch)
        folder = tmp_path / "shop"
        subprocess.run(["cp", "-a", str(template), str(folder)], check=True)
        with opened(folder, target) as project:
            im.apply(project)
            im.ingest(project)
            im.materialize(project)
            im.train(project, "models/history.yaml")
        return folder

    return make


def processes(module, place, *words):
    """Return the Python processes of a module that have these words, by their ids.

    `place` tells this project's from those of others: its folder, which is in the command line, or
    the URL of its stack, which is in the environment. A stack's job also has shells around it, and
    their command lines hold the same words.
    """
    return {
        int(path.name)
        for path in Path("/proc").glob("[0-9]*")
        if (line := texts_of(path / "cmdline"))
        and Path(line[0]).name.startswith("python")
        and {module, *words} <= set(line)
        and any(place in text for text in (*line, *texts_of(path / "environ")))
    }


def texts_of(path):
    """Return the texts of a process's command line or environment; none if it has ended."""
    try:
        return path.read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def killed(folder, target, step, *, whole=False, command=False, delay=0.0):
    """Begin to score, kill a step once it works, and with `whole` whoever waits for it, too.

    With `command` the command alone is killed, and the step works on.

    A step works from when it has told its key to when it has told its result. It returns the run
    and what the command said.
    """
    with opened(folder, target) as project:
        blobs = project.target.blobs
        number = 1 + max(
            int(info.uri.split("/runs/r")[1].split("/")[0])
            for info in blobs.list(f"{blobs.root}/runs/r")
            if info.uri.split("/runs/r")[1].split("/")[0].isdigit()
        )
        run = f"r{number}"
        uri = step_folder(blobs, run, step)
        place = {
            "local": str(folder),
            "sagemaker": os.environ.get("AWS_ENDPOINT_URL"),
            "vertex": os.environ.get("GCP_ENDPOINT_URL"),
        }[target]
        words = ["predict", "nightly", "--target", target]
        child = subprocess.Popen(
            [sys.executable, "-m", "isthmus", *words, *["--offline"] * (target != "local")],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:

            def works():
                assert child.poll() is None, child.communicate()
                pids = processes(STEP, place, f"{blobs.root}/runs/{run}/run.json", step)
                return pids if pids and exists(blobs, f"{uri}/key.json") else set()

            (pid,) = wait(works, bool, deadline=SOON, sleep=lambda _: time.sleep(0.005))
            if delay:
                time.sleep(delay)  # another moment of the step, in the soak
            os.kill(child.pid if command else pid, signal.SIGKILL)
            if whole:
                for other in {child.pid, *processes(RUNNER, place)}:
                    os.kill(other, signal.SIGKILL)
            said = child.communicate(timeout=SOON.total_seconds())[1]
        finally:
            child.kill()
            child.wait()
    return run, said


def exists(blobs, uri):
    try:
        blobs.get(uri)
    except NotFound:
        return False
    return True


def scorings(project):
    """Return how often each shard was scored and not taken from a run before, in all runs."""
    blobs, times = project.target.blobs, dict.fromkeys(SHARDS, 0)
    uris = {info.uri for info in blobs.list(f"{blobs.root}/runs/")}
    for uri in uris:
        step = uri.removesuffix("/step.json").rpartition("/")[2]
        if uri.endswith("/step.json") and step in times:
            result = find(blobs, uri, StepResult)
            times[step] += result is not None and result.cached_from is None
    return times


def check_whole(folder, target):
    """Score to the end: the batch is there once, and no shard was scored twice."""
    with opened(folder, target) as project:
        before = scorings(project)
        scored = im.predict(project, "nightly")
        assert scored.resumed
        assert scored.cached == sum(before.values())
        assert scorings(project) == dict.fromkeys(SHARDS, 1)
        assert im.query(project, COUNT).to_pylist() == [{"n": 10}]
        again = im.predict(project, "nightly")
        assert (again.resumed, again.cached) == (False, len(SHARDS))
        assert im.query(project, COUNT).to_pylist() == [{"n": 10}]


def test_a_killed_step_ends_the_command_and_a_repeat_goes_on_with_the_batch(trained):
    folder = trained("local")
    _, said = killed(folder, "local", "publish")
    assert "failed in step publish: killed by SIGKILL" in said
    assert "go on with it by isthmus predict nightly; --as-of begins another" in said
    check_whole(folder, "local")


@pytest.mark.soak
@pytest.mark.parametrize(
    ("target", "whole"),
    [*((target, False) for target in TARGETS), ("local", True)],  # a cloud's run outlives a command
)
def test_killed_in_every_step_one_after_the_other_no_finished_shard_is_scored_again(
    trained, target, whole
):
    folder, chance = trained(target), random.Random(f"{target} {whole}")
    for step in ("rows", *SHARDS, "publish"):
        with opened(folder, target) as project:
            if scorings(project).get(step):  # it ended before the other shard was killed
                continue
        killed(folder, target, step, whole=whole, delay=chance.uniform(0, 0.01))
    check_whole(folder, target)


@pytest.mark.soak
@pytest.mark.parametrize("target", [target for target in TARGETS if target != "local"])
def test_a_clouds_run_outlives_its_command_and_a_repeat_beside_it_adds_no_second_batch(
    trained, target
):
    folder = trained(target)
    run, said = killed(folder, target, "rows", command=True)
    assert "Traceback" not in said
    with opened(folder, target) as project:
        published = f"{step_folder(project.target.blobs, run, 'publish')}/step.json"
        assert not exists(project.target.blobs, published)
        scored = im.predict(project, "nightly")  # while the first run goes on
        assert scored.resumed
        assert scored.run != run
        wait(lambda: exists(project.target.blobs, published), bool, deadline=SOON)
        assert im.query(project, COUNT).to_pylist() == [{"n": 10}]
        again = im.predict(project, "nightly")
        assert (again.resumed, again.cached) == (False, len(SHARDS))
        assert im.query(project, COUNT).to_pylist() == [{"n": 10}]
