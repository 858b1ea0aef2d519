"""A project on the clock of its target, which may be a simulation's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ...core.runtime.project import Project
from .console import Console


@contextmanager
def opened(console: Console) -> Iterator[Project]:
    """Open the command's project in a block, on the simulated clock if a simulation has set one."""
    from ...experiments.simulation.clock import on_simulated_clock

    with console.open() as project:
        clocked = on_simulated_clock(project)
        if clocked is not project:
            console.say(f"simulated clock {clocked.log_time():%Y-%m-%d %H:%M} UTC")
        yield clocked
