"""One step: what its command or function is given, what it may return, and how its failure reads."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from datetime import timedelta
from types import SimpleNamespace

import pytest

from isthmus.adapters.local.processes import start_time
from isthmus.pipelines.graphs.graph import Artifact, Pipeline, Step
from isthmus.pipelines.port import Output
from isthmus.pipelines.runs.document import local_path
from isthmus.pipelines.runs.submission import submit
from isthmus.pipelines.runs.watch import artifact_uri, failure, log, observe, values
from isthmus.pipelines.step.supervision import Supervisor
from isthmus.storage import wait
from isthmus.tests.cli.running import tree
from isthmus.tests.pipelines.runs.traced import SOON, make, phases, run, trace, tracing

pytestmark = pytest.mark.slow

ALL = tuple(Output(name=kind, type=kind) for kind in ("float", "int", "bool", "string"))


@pytest.fixture
def project(tmp_path):
    made = make(tmp_path)
    yield made
    made.target.close()


def function(project, name, source, step="fit", **fields):
    (project.folder / f"{name}.py").write_text(source)
    return Step(name=step, function=f"{name}:{step}", **fields)


def reason(state, step="fit"):
    return next(found.reason for found in state.steps if found.name == step)


def test_a_function_gets_its_context_and_returns_values_and_folders(project):
    source = """
def fit(context):
    context.log(f"{context.run} {context.step} {context.parameters}")
    assert context.target.blobs.root.endswith(".isthmus")
    assert context.inputs["rows"].read_text() == "a,b"
    context.outputs["model"].joinpath("deep").mkdir()
    context.outputs["model"].joinpath("deep", "w").write_text("1")
    for name, value in {"float": 1, "int": 2, "bool": True, "string": "x"}.items():
        context.set(name, value)
"""
    data = project.folder / "rows.csv"
    data.write_text("a,b")
    step = function(
        project,
        "step_given",
        source,
        outputs=ALL,
        artifacts=("model",),
        inputs={"rows": data.as_uri()},
        parameters={"deep": {"type": "value"}},
    )
    state = run(project, "r1", step)
    assert state.phase == "done", log(project, "r1", "fit")
    found = values(project, "r1", "fit")
    assert found == {"float": 1.0, "int": 2, "bool": True, "string": "x"}
    assert isinstance(found["float"], float)
    assert (local_path(artifact_uri(project, "r1", "fit", "model")) / "deep/w").read_text() == "1"
    assert "r1 fit {'deep': {'type': 'value'}}" in log(project, "r1", "fit")


def test_a_function_that_raises_fails_with_its_error_and_its_traceback_in_the_log(project):
    state = run(
        project, "r1", function(project, "step_raises", "def fit(context):\n    {}['item_ctr']\n")
    )
    assert state.phase == "failed"
    assert reason(state) == "KeyError: 'item_ctr'"
    assert (failure(project, "r1", "fit").error, failure(project, "r1", "fit").message) == (
        "KeyError",
        "'item_ctr'",
    )
    assert 'step_raises.py", line 2, in fit' in log(project, "r1", "fit")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("pass", "ended without its output score (float)"),
        ("context.set('score', 'high')", "output score is declared as float, not 'high'"),
        ("context.set('scores', 1.0)", "has no output 'scores' (it declares score)"),
        ("raise SystemExit(4)", "SystemExit: 4"),
        ("import time; time.sleep(600)", "did not end within 0.5 s"),
        ("import no_such_thing", "No module named 'no_such_thing'"),
    ],
)
def test_a_function_that_does_not_keep_its_word_fails_in_words(project, line, words):
    limit = timedelta(seconds=0.5) if "within" in words else SOON
    step = function(
        project,
        "step_breaks",
        f"def fit(context):\n    {line}\n",
        outputs=(Output(name="score", type="float"),),
        timeout=limit,
    )
    assert words in reason(run(project, "r1", step))


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ('{"score": "high"}', "its output score is 'high', which is not of type float"),
        ('{"score": 1, "more": 2}', "it returned more, which it does not declare"),
        ("[1]", "not one JSON object"),
        ("{half", "not one JSON object"),
    ],
)
def test_values_of_a_command_are_checked(project, written, words):
    step = Step(
        name="fit",
        command=("sh", "-c", f"printf '%s' '{written}' > {{values}}"),
        outputs=(Output(name="score", type="float"),),
    )
    assert words in reason(run(project, "r1", step))


def test_a_command_that_is_not_there_says_which(project):
    assert "cannot run no-such-trainer" in reason(
        run(project, "r1", Step(name="fit", command=("no-such-trainer",)))
    )


def test_a_command_runs_in_the_projects_folder_and_sees_the_folders_of_others(project):
    write = Step(
        name="write",
        command=("sh", "-c", "pwd; echo data > {outputs.rows}/part"),
        artifacts=("rows",),
    )
    read = Step(
        name="read",
        command=("sh", "-c", "cat {inputs.rows}/part"),
        inputs={"rows": Artifact("write", "rows")},
    )
    run(project, "r1", write, read)
    assert log(project, "r1", "write") == f"{project.folder}\n"
    assert log(project, "r1", "read") == "data\n"


def test_each_attempt_begins_with_empty_folders(project):
    source = (
        "assert not any(pathlib.Path(sys.argv[3]).iterdir()); pathlib.Path(sys.argv[3], "
        "'half').touch()\n"
    )
    twice = source + "sys.exit(len(open(sys.argv[1]).read().split()) < 2)"
    state = run(
        project,
        "r1",
        tracing(
            project, "fit", twice, arguments=("{outputs.model}",), artifacts=("model",), attempts=3
        ),
    )
    assert state.phase == "done"
    assert trace(project) == ["fit", "fit"]
    assert "attempt 1 of 3 failed: exit 1" in log(project, "r1", "fit")


def test_what_a_command_leaves_running_is_ended(project):
    leave = (
        "import subprocess; c = subprocess.Popen([sys.executable, '-c', 'import time; "
        "time.sleep(600)']); print(c.pid, flush=True)"
    )
    run(project, "r1", tracing(project, "fit", leave))
    left = int(log(project, "r1", "fit"))
    wait(lambda: start_time(left), lambda found: found is None, deadline=SOON)


def test_what_a_killed_step_had_just_started_is_ended(project):
    """As a command is when the step is killed before it knows of it."""
    source = """
import os, pathlib, signal, subprocess
def fit(context):
    started = subprocess.Popen(["sleep", "600"], process_group=0)
    pathlib.Path("pid").write_text(str(started.pid))
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert reason(run(project, "r1", function(project, "step_dies", source))) == "killed by SIGKILL"
    left = int((project.folder / "pid").read_text())
    wait(lambda: start_time(left), lambda found: found is None, deadline=SOON)


def test_a_step_whose_runner_dies_ends_the_command_that_it_is_starting(monkeypatch):
    done = []
    monkeypatch.setattr(os, "killpg", lambda *killed: done.append(killed))
    monkeypatch.setattr(os, "_exit", done.append)
    supervisor, (lifeline, runner) = Supervisor(), os.pipe()
    watching = threading.Thread(target=supervisor._watch, args=(lifeline,))

    def command():
        watching.start()
        os.close(runner)
        watching.join(0.2)  # it must not end; one that does takes no time
        return SimpleNamespace(pid=7)

    supervisor.start(command)
    watching.join()
    os.close(lifeline)
    assert done == [(7, signal.SIGKILL), 75]


def test_a_log_can_be_read_while_the_step_runs(project):
    wait_for = (
        "import time; print('half way', flush=True)\nwhile not "
        "pathlib.Path(sys.argv[3]).exists(): time.sleep(0.01)"
    )
    gate = project.folder / "gate"
    started = submit(
        project, _one(tracing(project, "fit", wait_for, arguments=(str(gate),))), run="r1"
    )
    file = project.folder / ".isthmus/runs/r1/fit/log.txt"
    wait(
        lambda: file.exists() and file.read_text(),
        lambda text: "half way" in (text or ""),
        deadline=SOON,
    )
    assert phases(observe(project, "r1")) == {"fit": "running"}
    gate.touch()
    wait(
        lambda: project.target.pipelines.observe(started.run_id),
        lambda state: state.phase == "done",
        deadline=SOON,
    )


def test_a_provider_reads_outputs_from_the_files_that_it_named(project, tmp_path):
    """SageMaker's conditions read a folder's outputs.json, Vertex's one file an output.

    Asked again, a finished step only writes them.
    """
    step = Step(
        name="fit",
        command=("sh", "-c", "echo '{\"score\": 0.5}' > {values}"),
        outputs=(Output(name="score", type="float"),),
    )
    run(project, "r1", step)
    uri = f"{project.target.blobs.root}/runs/r1/run.json"
    folder, file = tmp_path / "sagemaker", tmp_path / "vertex" / "score"
    command = [
        sys.executable,
        "-m",
        "isthmus.pipelines.step",
        "--run",
        uri,
        "--step",
        "fit",
        "--output-dir",
        folder,
    ]
    subprocess.run([*command, "--output", "score", file], check=True)
    assert json.loads((folder / "outputs.json").read_text()) == {"score": 0.5}
    assert file.read_text() == "0.5"


@pytest.mark.parametrize("name", ["run.json", "fit/step.json"])
def test_a_step_refuses_the_run_of_a_newer_version_and_leaves_it_as_it_is(project, name):
    """A job's image may be older than the laptop that submitted."""
    run(project, "r1", Step(name="fit", command=("true",)))
    uri = f"{project.target.blobs.root}/runs/r1/run.json"
    folder = local_path(uri).parent
    (folder / name).write_text('{"schema": 9}')
    before = tree(folder)
    command = [sys.executable, "-m", "isthmus.pipelines.step", "--run", uri, "--step", "fit"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert re.search(
        r"was written by a newer Isthmus \(format 9; this one reads up to \d\); update Isthmus",
        done.stdout,
    )
    assert tree(folder) == before


def test_a_steps_process_imports_no_engine_and_no_cloud():
    """Every step pays for what is imported here."""
    code = (
        "import isthmus.pipelines.step.job, isthmus.adapters.local.storage.blobs, sys; print(' "
        "'.join(sys.modules))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    heavy = {
        "pyarrow",
        "duckdb",
        "numpy",
        "pandas",
        "sqlglot",
        "starlette",
        "yaml",
        "click",
        "importlib.metadata",
        "asyncio",
    }
    assert heavy.isdisjoint(loaded)


def _one(step):
    return Pipeline(name="bench", steps=(step,))


def test_a_function_can_open_the_project_that_submitted_it(project):
    (project.folder / "project.yaml").write_text("name: bench\nnow: 2019-12-01T00:00:00Z\n")
    source = """
def fit(context):
    opened = context.project()
    assert opened.target is context.target
    context.set("now", opened.now().isoformat())
"""
    step = function(project, "step_opens", source, outputs=(Output(name="now", type="string"),))
    state = run(project, "r1", step)
    assert state.phase == "done", log(project, "r1", "fit")
    assert values(project, "r1", "fit") == {"now": "2019-12-01T00:00:00+00:00"}


def test_without_a_project_file_opening_it_fails_in_words(project):
    state = run(
        project, "r1", function(project, "step_lost", "def fit(context):\n    context.project()\n")
    )
    assert "submitted without a project.yaml" in reason(state)
