"""How a stack ends: killed, its jobs and servers die with it and its folders are swept; told to, it
ends within seconds.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from isthmus_stack.core import launch
from isthmus_stack.core.home.folders import OwnedFolder, Taken, sweep
from isthmus_stack.jobs import process_group
from isthmus_stack.run import start_aws
from isthmus_stack.testing.jobs_kit import Aws, alive, processing_request, training_request, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(autouse=True)
def genuine(monkeypatch):
    """Starts that are not forked: these are judged here."""
    monkeypatch.setattr(launch, "subprocess", subprocess)


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """Where stacks make their temporary folders."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    yield tmp_path
    monkeypatch.undo()


def folders(scratch):
    return sorted(path.name.rpartition("-")[0] for path in scratch.glob("isthmus-*"))


def with_a_job(tmp_path, script, **options):
    """A stack, and the pid that a job of it wrote into the file $PID."""
    stack = start_aws(clock="real", **options)
    aws = Aws(stack.url)
    aws.s3.create_bucket(Bucket="bucket")
    pid = tmp_path / "pid"
    aws.sm.create_training_job(
        TrainingJobName="job", **training_request(f"export PID={pid}; {script}")
    )
    until(lambda: pid.exists() and pid.read_text().strip())
    return stack, int(pid.read_text())


def test_a_job_that_ignores_sigterm_and_what_it_started_die_when_the_stack_is_killed(tmp_path):
    stack, pid = with_a_job(
        tmp_path, "trap '' TERM; sh -c 'echo $$ > $PID.new; mv $PID.new $PID; sleep 600'; sleep 600"
    )
    os.kill(stack.pid, signal.SIGKILL)
    until(lambda: not alive(pid))
    stack.stop()


def test_folders_of_a_killed_stack_are_swept_at_the_next_start_and_no_living_ones(
    tmp_path, scratch
):
    stack, _ = with_a_job(tmp_path, "echo 1 > $PID; sleep 600")
    with start_aws() as other:
        os.kill(stack.pid, signal.SIGKILL)
        until(lambda: not alive(stack.pid))
        assert folders(scratch) == ["isthmus-aws", "isthmus-aws", "isthmus-stack", "isthmus-stack"]
        with start_aws():
            assert folders(scratch) == [
                "isthmus-aws",
                "isthmus-aws",
                "isthmus-stack",
                "isthmus-stack",
                "isthmus-stack",
            ]
            assert Aws(other.url).stack.health()["status"] == "ok"
    stack.stop()
    assert folders(scratch) == []


def test_a_folder_has_one_owner_and_without_a_lock_it_is_let_alone(scratch):
    mine = OwnedFolder.temporary("isthmus-test-")
    (scratch / "isthmus-test-other").mkdir()
    with pytest.raises(Taken):
        OwnedFolder(mine.folder)
    sweep("isthmus-test-")
    assert mine.folder.exists()
    mine.leave()
    sweep("isthmus-test-")
    assert not mine.folder.exists()
    assert (scratch / "isthmus-test-other").exists()


QUERY = (
    "select count(*) from unnest(sequence(1, 10000)) a(x) cross join unnest(sequence(1, 10000)) "
    "b(y) where sqrt(x * y) < 0"
)


def test_sigterm_ends_a_stack_with_jobs_queries_and_requests_under_way_within_seconds(
    tmp_path, scratch
):
    stack, pid = with_a_job(
        tmp_path, "trap '' TERM; echo $$ > $PID.new; mv $PID.new $PID; while true; do sleep 1; done"
    )
    aws = Aws(stack.url)
    aws.sm.create_processing_job(ProcessingJobName="other", **processing_request("sleep 600"))
    athena = aws.client("athena")
    output = {"OutputLocation": "s3://bucket/results/"}
    query = athena.start_query_execution(QueryString=QUERY, ResultConfiguration=output)[
        "QueryExecutionId"
    ]
    until(
        lambda: (
            athena.get_query_execution(QueryExecutionId=query)["QueryExecution"]["Status"]["State"]
            == "RUNNING"
        )
    )
    aws.stack.fault(kind="latency", service="s3", operation="ListBuckets", seconds=600)
    threading.Thread(target=aws.s3.list_buckets, daemon=True).start()
    until(lambda: not aws.stack.faults())
    os.kill(stack.pid, signal.SIGTERM)
    os.kill(stack.pid, signal.SIGTERM)  # whoever is impatient breaks nothing off
    assert stack._process.wait(120) == 0
    until(lambda: not alive(pid))
    assert stack.log.read_text() == ""
    stack.stop()
    assert folders(scratch) == []


def test_a_signal_that_the_kernel_gives_to_another_thread_ends_the_stack(tmp_path):
    with start_aws() as stack:
        other = max(int(thread.name) for thread in Path(f"/proc/{stack.pid}/task").iterdir())
        assert other != stack.pid
        assert ctypes.CDLL(None).tgkill(stack.pid, other, signal.SIGTERM) == 0
        assert stack._process.wait(120) == 0


def test_a_command_bound_to_its_starter_has_its_own_signals_exit_code_and_children(tmp_path):
    def launch(*command, grace=0):
        return process_group.start(command, folder=tmp_path, env=dict(os.environ), grace=grace)

    def code(process):
        with process:
            process.stdin.flush()
            return process.wait(120), process.stdout.read().decode()

    assert code(launch("sh", "-c", "exit 7"))[0] == 7
    assert code(launch("no-such-command"))[0] == 127
    process = launch("sh", "-c", "trap 'exit 5' TERM; echo ready; while true; do sleep 0.1; done")
    assert process.stdout.readline() == b"ready\n"
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(120) == 5
    os.killpg(process.pid, signal.SIGKILL)
    process.stdin.close()
    process.stdout.close()
    children = "import os\ntry: os.wait()\nexcept ChildProcessError: print('none')"
    assert code(launch(sys.executable, "-c", children)) == (0, "none\n")
    polite = launch(
        "sh",
        "-c",
        "trap 'echo bye; exit 0' TERM; echo ready; while true; do sleep 0.1; done",
        grace=30,
    )
    assert polite.stdout.readline() == b"ready\n"
    polite.stdin.close()
    assert polite.wait(120) == 0
    assert polite.stdout.readline() == b"bye\n"
    os.killpg(polite.pid, signal.SIGKILL)
    polite.stdout.close()


@pytest.mark.skipif(
    not Path("/proc/self").is_dir(),
    reason="without /proc nothing tells what left its process group",
)
def test_what_left_a_commands_process_group_ends_with_it_and_its_neighbours_do_not(tmp_path):
    def launch():
        script = (
            "import os, time\nif os.fork() == 0:\n    os.setsid()\n    print(os.getpid(), "
            "flush=True)\ntime.sleep(600)"
        )
        process = process_group.start(
            [sys.executable, "-c", script], folder=tmp_path, env=dict(os.environ)
        )
        return process, int(process.stdout.readline())

    (process, left), (neighbour, other) = launch(), launch()
    process.stdin.close()  # as when the stack is killed
    process.wait(120)
    process.stdout.close()
    until(lambda: not alive(left))
    assert alive(other)
    os.kill(neighbour.pid, signal.SIGKILL)  # the command has ended, what it started has not
    neighbour.wait(120)
    process_group.kill(neighbour)
    until(lambda: not alive(other))
    neighbour.stdin.close()
    neighbour.stdout.close()


def test_a_stack_ends_with_the_process_that_started_it(tmp_path):
    code = (
        "import os, signal; from isthmus_stack.run import start; print(start('aws').pid, "
        "flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == -signal.SIGKILL
    until(lambda: not alive(int(done.stdout)))
