"""kill -9 of a project's own GCP stack in the middle of a load, a pipeline and a deployment: what
the command says, what is left, and that a new stack takes the same commands. GCP's stack keeps
nothing, so they begin with `apply`.
"""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from isthmus.core.runtime import stacks
from isthmus.tests.cli.running import create, edit, isthmus
from isthmus_stack.client import Stack
from isthmus_stack.gcp.environment import stray

pytestmark = [
    pytest.mark.soak,
    pytest.mark.slow,
    pytest.mark.skipif(
        not Path("/proc/self").is_dir(), reason="what a stack started is seen in /proc"
    ),
]

GCP = ("--target", "vertex", "--offline")
EVERY = bool(os.environ.get("ISTHMUS_EVERY_KILL"))
TRAINED = (["apply"], ["ingest"], ["materialize"], ["train", "models/history.yaml"])


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A project with a stack of its own, whose scratch folders are below `tmp_path`."""
    for name in filter(stray, list(os.environ)):
        monkeypatch.delenv(name)
    (tmp_path / "scratch").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    folder = create(tmp_path / "shop")
    (folder / "profiles.yaml").write_text(
        "targets:\n  vertex: {project: faults, location: us-central1, bucket: "
        "gs://example-ranker}\n"
    )
    yield folder
    stacks.stop(folder)


def below(folder):
    """The processes whose command line names the folder."""
    words = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words[path.parent.name] = path.read_bytes()
        except OSError:  # it has ended meanwhile
            continue
    return [pid for pid, line in words.items() if str(folder).encode() in line]


def scratch(shop):
    (folder,) = (shop.parent / "scratch").glob("isthmus-gcp-*")
    return folder


def until(holds, what):
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def killed(shop, *command, when):
    """Run a command whose stack is killed once `when` holds: what it says."""
    stack = stacks.running(shop)["gcp"]

    def kill():
        until(when, f"{command} did not get so far")
        os.kill(stack.pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    ended = isthmus(shop, *command, *GCP, ok=False)
    killer.join()
    assert ended.code == 1
    assert "the offline stack of this project died" in ended.err
    assert "the next one starts empty; begin again with `isthmus apply`" in ended.err
    assert "Traceback" not in ended.err + ended.out
    return ended


def run(shop, *commands):
    for command in commands:
        isthmus(shop, *command, *GCP)


def test_after_a_kill_in_a_load_or_in_a_job_the_same_commands_get_on_with_a_new_stack_and_nothing_of_the_old_one_stays(
    shop,
):
    run(shop, ["apply"])
    stack = Stack(stacks.running(shop)["gcp"].url, "gcp")
    stack.fault(kind="latency", operation="bigquery.jobs.insert", seconds=600)
    killed(shop, "ingest", when=lambda: not stack.faults())

    edit(
        shop / "ranker.py",
        "    return History(",
        "    import time\n\n    time.sleep(600)\n    return History(",
    )  # so that no job ends first
    run(shop, *TRAINED[:3])
    home = scratch(shop)  # of one stack alone: that of the killed one was swept
    killed(shop, *TRAINED[3], when=lambda: below(home / "jobs"))
    until(lambda: not below(home), "a job's process outlives its stack")
    run(shop, *TRAINED[:3])


@pytest.mark.skipif(not EVERY, reason="a minute: ISTHMUS_EVERY_KILL=1, or make test-often")
def test_a_stack_that_is_killed_in_a_deploy_leaves_no_model_server_and_the_next_says_what_is_not_there(
    shop,
):
    run(shop, *TRAINED)
    home = scratch(shop)
    killed(shop, "deploy", "home", when=lambda: below(home / "endpoints"))
    until(lambda: not below(home), "a model server outlives its stack")

    early = isthmus(shop, "deploy", "home", *GCP, ok=False)  # the first call to a new stack
    assert "there is no ranker@champion yet" in early.err
    assert not below(home)
    assert not home.exists()
