"""A stack's own command line, as `python -m isthmus_stack.aws` and `.gcp` read it."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from isthmus_stack.core.process import options
from isthmus_stack.testing import fork_server as forking
from isthmus_stack.testing.shared_folder import shared


@pytest.mark.parametrize(
    ("cloud", "option", "title"),
    [
        ("gcp", "--moto-answers", "GCP"),
        ("gcp", "--home=kept", "GCP"),
    ],
)
def test_an_option_that_a_cloud_has_not_is_refused_by_its_name(cloud, option, title, capsys):
    with pytest.raises(SystemExit) as ended:
        options(cloud, 0, [option])
    assert ended.value.code == 2
    assert f"the {title} stack has no {option.partition('=')[0]}" in capsys.readouterr().err


def test_a_cloud_takes_the_options_that_it_has():
    assert options("aws", 0, ["--open"]).any_key
    assert options("gcp", 0, ["--open"]).any_key
    assert options("gcp", 0, ["--allow-host", "Example.COM"]).allow_hosts == ("example.com",)


@pytest.mark.slow
def test_the_process_that_forks_the_stacks_outlives_a_worker_that_is_killed_before_it_hears_the_pid():
    forking._template("isthmus_stack.testing.stack_templates:aws")
    with (
        Path(os.devnull).open("r+b") as nothing,
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as worker,
    ):
        worker.connect(str(shared() / "aws.socket"))
        worker.shutdown(socket.SHUT_RD)
        start = msgspec.json.encode(
            forking.Start("isthmus_stack.aws", ["--help"], dict(os.environ), str(Path.cwd()))
        )
        ended, ending = os.pipe()
        socket.send_fds(worker, [start], [*[nothing.fileno()] * 3, ending])
        os.close(ending)
        with os.fdopen(ended, "rb") as code:
            assert code.read() == bytes(4), "its stack has ended, and the end was told"
        command = [sys.executable, "-m", "isthmus_stack.aws", "--help"]
        stack = forking.Forked(
            "isthmus_stack.testing.stack_templates:aws",
            command,
            stdin=subprocess.PIPE,
            stdout=nothing,
            stderr=nothing,
            env=os.environ,
        )
        with stack.stdin:
            assert stack.wait(60) == 0
