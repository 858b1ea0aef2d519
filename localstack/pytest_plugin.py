"""The fixtures `aws_stack` and `gcp_stack` for other people's suites: clouds that execute.

They are installed with the package; docs/offline-aws.md and docs/offline-gcp.md show them.

Settings in pytest's configuration: `aws_stack_clock` (instant, the default; real; manual),
`aws_stack_images` (lines NAME=COMMAND), `aws_stack_open` (false; true: any access key is taken) and
`aws_stack_moto_answers` (false; true: what moto makes up is answered where nothing here executes);
`gcp_stack_clock`, `gcp_stack_images`, `gcp_stack_open` (false; true: any token is taken).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # nothing is imported in a suite that does not use the fixture
    from .core.client import Stack
    from .core.launch import RunningStack


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the options that pytest.ini may set for this plugin's fixtures."""
    for fixture in ("aws_stack", "gcp_stack"):
        parser.addini(
            f"{fixture}_clock",
            f"the clock of {fixture}: instant, real or manual",
            default="instant",
        )
        parser.addini(
            f"{fixture}_images",
            f"what container images are to {fixture}: NAME=COMMAND",
            type="linelist",
            default=[],
        )
        parser.addini(
            f"{fixture}_open",
            f"whether {fixture} takes any access key or token",
            type="bool",
            default=False,
        )
    parser.addini(
        "aws_stack_moto_answers",
        "whether aws_stack answers what moto makes up",
        type="bool",
        default=False,
    )


@pytest.fixture(scope="session")
def aws_stack_process(pytestconfig: pytest.Config) -> Iterator[RunningStack]:
    """Start an AWS stack for the whole test session, and stop it at the end."""
    with _start(
        "aws", pytestconfig, moto_answers=bool(pytestconfig.getini("aws_stack_moto_answers"))
    ) as running:
        yield running


@pytest.fixture
def aws_stack(aws_stack_process: RunningStack, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """Return an empty AWS stack, at which boto3 and the other SDKs are pointed for a test.

    This holds for the test's process and those that it starts. The stack has .url, .env,
    .advance(seconds), .fault(kind=..., service=..., operation=..., times=...), .calls(), .policy()
    and .reset().
    """
    stack = _reset(aws_stack_process, monkeypatch)
    if (
        boto3 := sys.modules.get("boto3")
    ) is not None:  # its default session has remembered the credentials of whoever came first
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    return stack


@pytest.fixture(scope="session")
def gcp_stack_process(pytestconfig: pytest.Config) -> Iterator[RunningStack]:
    """Start a Google Cloud stack for the whole test session, and stop it at the end."""
    with _start("gcp", pytestconfig) as running:
        yield running


@pytest.fixture
def gcp_stack(gcp_stack_process: RunningStack, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """Return an empty Google Cloud stack, at which Google's clients are pointed for a test.

    This holds for the test's process and those that it starts. The stack has the methods that
    `aws_stack` has.
    """
    return _reset(gcp_stack_process, monkeypatch)


def _start(cloud: str, config: pytest.Config, *, moto_answers: bool = False) -> RunningStack:
    """Start a stack for tests, with the container images that pytest.ini names."""
    from .core.images import anchored
    from .core.launch import start

    images = {}
    for line in config.getini(f"{cloud}_stack_images"):
        name, equals, command = str(line).partition("=")
        if not equals:
            raise pytest.UsageError(f"{cloud}_stack_images: {line!r} is not NAME=COMMAND")
        images[name.strip()] = anchored(command.strip(), config.rootpath)
    return start(
        cloud,
        clock=str(config.getini(f"{cloud}_stack_clock")),
        images=images,
        any_key=bool(config.getini(f"{cloud}_stack_open")),
        moto_answers=moto_answers,
    )


def _reset(running: RunningStack, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """Reset a running stack, and set this process's environment variables to it for a test."""
    from .core.client import Stack
    from .core.launch import environment_for

    stack = Stack(running.url, running.cloud)
    stack.reset()
    environment = environment_for(stack.url, cloud=running.cloud)
    for name in set(os.environ) - set(environment):
        monkeypatch.delenv(name)
    for name, value in environment.items():
        if os.environ.get(name) != value:
            monkeypatch.setenv(name, value)
    return stack
