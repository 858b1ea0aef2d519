"""kill -9 anywhere: nobody waits for what died, nothing of it goes on, and the next run does not
repeat what was finished.
"""

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from isthmus.adapters.local.processes import alive, me, start_time
from isthmus.pipelines.graphs.graph import Pipeline
from isthmus.pipelines.runs.submission import submit
from isthmus.pipelines.runs.watch import observe, watch
from isthmus.storage import wait
from isthmus.tests.pipelines.runs.traced import SOON, make, phases, run, trace, tracing

pytestmark = pytest.mark.slow

HOLD = (
    "import os, time; pathlib.Path(sys.argv[4]).write_text(str(os.getpid()))\n"
    "while not pathlib.Path(sys.argv[3]).exists(): time.sleep(0.01)"
)


@pytest.fixture
def project(tmp_path):
    made = make(tmp_path)
    yield made
    made.target.close()


def graph(project):
    """A step that ends, one that waits for a gate and says its process, and one after it."""
    held = tracing(
        project,
        "held",
        HOLD,
        arguments=(str(project.folder / "gate"), str(project.folder / "pid")),
        needs=("first",),
    )
    return Pipeline(
        name="p", steps=(tracing(project, "first"), held, tracing(project, "last", needs=("held",)))
    )


def holding(project):
    """The process of the command that waits."""
    file = project.folder / "pid"
    return int(wait(lambda: file.read_text() if file.exists() else "", bool, deadline=SOON))


def runner(project, run_id):
    with closing(sqlite3.connect(project.folder / ".isthmus/local.db")) as db:
        return db.execute("SELECT pid FROM pipeline_runs WHERE run_id = ?", (run_id,)).fetchone()[0]


def parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[1])


def dead(pid):
    wait(lambda: start_time(pid), lambda found: found is None, deadline=SOON)


def test_a_killed_runner_is_seen_its_steps_stop_and_the_next_run_resumes(project):
    started = submit(project, graph(project), run="r1")
    command = holding(project)
    os.kill(runner(project, started.run_id), signal.SIGKILL)
    dead(command)  # or the resumed run would meet it
    state = watch(project, started)
    assert state.phase == "failed"
    assert phases(state) == {"first": "done", "held": "failed", "last": "cancelled"}
    assert "its runner" in state.steps[1].reason
    assert "died" in state.steps[1].reason
    (project.folder / "gate").touch()
    assert watch(project, submit(project, graph(project), run="r2", retry_of="r1")).phase == "done"
    assert trace(project) == ["first", "held", "held", "last"]


def test_submitting_a_killed_run_again_under_its_own_name_changes_nothing(project):
    started = submit(project, graph(project), run="r1")
    command = holding(project)
    os.kill(runner(project, started.run_id), signal.SIGKILL)
    dead(command)
    state = watch(project, started)
    assert watch(project, submit(project, graph(project), run="r1")) == state
    assert trace(project) == ["first", "held"]


def test_a_killed_step_fails_the_run_and_takes_its_command_with_it(project):
    started = submit(project, graph(project), run="r1")
    command = holding(project)
    os.kill(parent(command), signal.SIGKILL)
    state = watch(project, started)
    dead(command)
    assert phases(state) == {"first": "done", "held": "failed", "last": "skipped"}
    assert state.steps[1].reason == "killed by SIGKILL"
    (project.folder / "gate").touch()
    assert watch(project, submit(project, graph(project), run="r2")).phase == "done"
    assert trace(project) == ["first", "held", "held", "last"]


def test_a_killed_command_says_so(project):
    started = submit(project, graph(project), run="r1")
    os.kill(holding(project), signal.SIGKILL)
    assert watch(project, started).steps[1].reason.startswith("killed by SIGKILL")


def test_a_run_outlives_the_command_that_submitted_it(project):
    """Also when that command is killed with everything in its process group, as a closed terminal
    does.
    """
    code = (
        "import pathlib, sys, time\nfrom isthmus.tests.pipelines.runs import test_resume, traced\n"
        "project = traced.make(pathlib.Path(sys.argv[1]))\n"
        "test_resume.submit(project, test_resume.graph(project), "
        "run='r1')\nprint('submitted', flush=True)\ntime.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(project.folder)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as submitter:
        assert submitter.stdout.readline() == "submitted\n"
        command = holding(project)
        os.killpg(submitter.pid, signal.SIGKILL)
    assert start_time(command) is not None
    (project.folder / "gate").touch()
    wait(lambda: observe(project, "r1"), lambda state: state.phase == "done", deadline=SOON)
    assert trace(project) == ["first", "held", "last"]


def test_a_submit_that_was_cut_before_the_engine_heard_of_it_is_completed(project):
    """Killed between run.json and the engine: the same submit again starts what was written."""

    def cut(call):
        if call.operation == "pipelines.submit":
            raise InterruptedError

    project.target.calls.before = cut
    with pytest.raises(InterruptedError):
        run(project, "r1", tracing(project, "only"))
    project.target.calls.before = None
    assert run(project, "r1", tracing(project, "only")).phase == "done"
    assert trace(project) == ["only"]


def test_a_half_written_artifact_of_a_killed_step_is_not_used(project):
    half = "pathlib.Path(sys.argv[3], 'part').write_text('half')\n" + HOLD.replace(
        "argv[4]", "argv[5]"
    ).replace("argv[3]", "argv[4]")
    arguments = ("{outputs.model}", str(project.folder / "gate"), str(project.folder / "pid"))
    step = tracing(
        project,
        "fit",
        half + "\npathlib.Path(sys.argv[3], 'rest').touch()",
        arguments=arguments,
        artifacts=("model",),
    )
    started = submit(project, Pipeline(name="p", steps=(step,)), run="r1")
    os.kill(holding(project), signal.SIGKILL)
    assert watch(project, started).phase == "failed"
    (project.folder / "gate").touch()
    assert run(project, "r2", step, pipeline="p").phase == "done"
    home = project.folder / ".isthmus/runs"
    assert not (home / "r1/fit/step.json").exists()
    assert sorted(path.name for path in (home / "r2/fit/model").iterdir()) == ["part", "rest"]


def test_a_process_id_that_was_given_to_another_process_is_not_ours():
    pid, started = me()
    assert alive(pid, started)
    assert not alive(pid, "1")


def test_an_ended_process_that_nobody_reaped_is_not_alive():
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        wait(lambda: start_time(child.pid), lambda found: found is None, deadline=SOON)
