"""deploy/shift_sagemaker.py, as a user runs it, on an endpoint that plain boto3 made."""

import runpy
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import boto3
import pytest
from click.testing import CliRunner

from isthmus_stack.run import environment_for
from isthmus_stack.testing import endpoints_kit, stacks

SCRIPT = Path(__file__).parents[2] / "deploy" / "shift_sagemaker.py"


pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def running():
    return stacks.shared("instant")


@pytest.fixture
def kit(running):
    kit = endpoints_kit.Kit(running.url)
    kit.stack.reset()
    kit.bucket()
    for name in ("old", "new"):
        kit.model(name)
    kit.config("ranker-1", old=90, new=10)
    kit.sagemaker.create_endpoint(EndpointName="ranker", EndpointConfigName="ranker-1")
    kit.sagemaker.get_waiter("endpoint_in_service").wait(
        EndpointName="ranker", WaiterConfig={"Delay": 1}
    )
    return kit


@pytest.fixture
def asked(kit, monkeypatch):
    """`asked(body, *words)`: the script, in this process, on a clock of its own: when it waits, ten
    requests come to the variant `new`.
    """
    for name, value in environment_for(kit.url).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    command = runpy.run_path(str(SCRIPT))["main"]

    def shift(body, *words):
        now = [0.0]

        def sleep(seconds):
            now[0] += seconds
            for _ in range(10):
                with suppress(kit.runtime.exceptions.ModelError):
                    kit.runtime.invoke_endpoint(
                        EndpointName="ranker", Body=body, TargetVariant="new"
                    )

        monkeypatch.setitem(
            command.callback.__globals__,
            "time",
            SimpleNamespace(monotonic=lambda: now[0], sleep=sleep),
        )
        return CliRunner().invoke(
            command, ["ranker", "--to", "new", "--bake", "2m", "--min-requests", "20", *words]
        )

    return shift


def shift(kit, *words):
    return subprocess.run(
        [sys.executable, str(SCRIPT), "ranker", "--to", "new", "--bake", "3s", *words],
        env=environment_for(kit.url), check=False, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def weights(kit):
    return {name: current for name, (current, _) in kit.weights().items()}


def test_a_healthy_variant_gets_the_traffic_step_by_step(kit, asked):
    done = asked(b"{}", "--steps", "25,100")
    assert done.exit_code == 0, done.output
    assert [line.split("   ")[1:3] for line in done.stdout.splitlines() if "read back" in line] == [
        ["old 75 %", "new 25 %"],
        ["old 0 %", "new 100 %"],
    ]
    assert weights(kit) == {"old": 0, "new": 100}


def test_a_variant_that_fails_loses_the_traffic_again(kit, asked):
    done = asked(b"status 500", "--steps", "50,100")
    assert done.exit_code == 1, done.output
    assert (
        "requests failed, more than 1 %. The traffic was taken back: old 90 %   new 10 %"
        in done.stderr
    )
    assert weights(kit) == {"old": 90, "new": 10}


def test_no_requests_are_no_proof(kit):
    done = shift(kit, "--steps", "50", "--min-requests", "20")
    assert done.returncode == 1
    assert "0 requests in the bake, fewer than 20" in done.stderr
    assert weights(kit) == {"old": 90, "new": 10}


def test_a_silent_rollback_is_seen(kit):
    kit.stack.fault(
        kind="silent-rollback", service="sagemaker", operation="UpdateEndpointWeightsAndCapacities"
    )
    done = shift(kit, "--steps", "50")
    assert done.returncode == 1
    assert "was meant to serve old 50 %   new 50 %, and serves old 90 %   new 10 %" in done.stderr


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--to", "newer"), "ranker has no variant newer; it has old, new"),
        (("--steps", "50,20"), "shares rise"),
        (("--steps", "5,50"), "new has 10 % already"),
        (("--bake", "ten"), "write 90s, 10m or 1h"),
    ],
)
def test_a_wrong_word_changes_nothing(kit, words, reason):
    done = shift(kit, *words)
    assert done.returncode == 2
    assert reason in done.stderr
    assert weights(kit) == {"old": 90, "new": 10}
