"""The duration of changes, on the stack's clock."""

from __future__ import annotations

import os
from collections.abc import Callable

from ....core.registry import Context

ENDPOINT = "ISTHMUS_STACK_ENDPOINT_SECONDS"
ALARMS = 10.0  # between two looks at a deployment's alarms
FLUSH = 15.0  # between two writes of captured data
HEALTH = 60.0  # real seconds for a container's first healthy /ping


def changing(ctx: Context) -> float:
    """Return the simulated seconds that creating, updating and deleting an endpoint take each."""
    seconds = os.environ.get(ENDPOINT)
    if seconds is not None:
        return float(seconds)
    return 60.0 if ctx.clock.mode == "manual" else 1.0


def later(
    ctx: Context, seconds: float, function: Callable[[], object], *, blocks: bool = False
) -> None:
    """Run a function after some seconds on the stack's clock.

    With `blocks` the function waits for a process. It then gets a thread of its own, so that it
    holds up neither the clock nor the request. A clock that is moved by hand waits for it all the
    same, and so does a request with --moto-answers, where there may be no process.
    """
    inline = ctx.clock.mode == "manual" or (ctx.clock.mode == "instant" and ctx.moto_answers)
    if blocks and not inline:
        ctx.clock.call_after(seconds, lambda: ctx.spawn(function))
    else:
        ctx.clock.call_after(seconds, function)
