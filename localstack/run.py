"""Start a stack as a process of its own: `from isthmus_stack.run import start`."""

from .core.launch import (
    CLOUDS,
    Cloud,
    Ready,
    RunningStack,
    StackFailed,
    command,
    environment_for,
    environment_of,
    read_ready,
    start,
    start_aws,
    variables,
    wait_ready,
)

__all__ = [
    "CLOUDS",
    "Cloud",
    "Ready",
    "RunningStack",
    "StackFailed",
    "command",
    "environment_for",
    "environment_of",
    "read_ready",
    "start",
    "start_aws",
    "variables",
    "wait_ready",
]
