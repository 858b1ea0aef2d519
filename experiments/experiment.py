"""The verbs of `isthmus experiment`. project.yaml describes a run; whether it runs is state.

They go by the target's simulated clock after a simulation: results are those of its last day.
Each verb that changes something checks first, then changes the live document by one write. Killed
anywhere, the same verb again goes on.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..core.runtime.project import Project
from ..endpoints.gateway.decide.live_document import Change
from ..reports.results import StructRows
from .design import runs
from .design.definition import never_ran
from .measure.audit import audit as audit_run
from .measure.power import power as power_of
from .results.comparison import results as compare
from .results.page import report as write_report
from .running.close import close as close_run
from .running.ramp import ramp as ramp_run
from .running.start import start as start_run
from .running.status import listing
from .running.status import status as status_of
from .running.stop import stop as stop_run
from .simulation.clock import by_simulated_clock

if TYPE_CHECKING:
    from .simulation.simulate import PlayedSimulation

__all__ = [  # im.experiment
    "audit",
    "close",
    "history",
    "list",
    "power",
    "ramp",
    "report",
    "results",
    "simulate",
    "start",
    "status",
    "stop",
]
__dir__ = __all__.copy  # what completion offers


audit = by_simulated_clock(audit_run)
close = by_simulated_clock(close_run)
list = by_simulated_clock(listing)
power = by_simulated_clock(power_of)
ramp = by_simulated_clock(ramp_run)
report = by_simulated_clock(write_report)
results = by_simulated_clock(compare)
start = by_simulated_clock(start_run)
status = by_simulated_clock(status_of)
stop = by_simulated_clock(stop_run)


def history(project: Project, name: str | None = None) -> StructRows[Change]:
    """Return every change of the experiments' runs on a target, or of one, oldest first.

    Raises:
        NotFound: The one never ran.
    """
    changes = runs.history(project.target.state, name)
    if name is not None and not changes:
        raise never_ran(project, name)
    return StructRows(changes)


def simulate(project: Project, path: str | Path) -> PlayedSimulation:
    """Simulate visitors who call the gateway, and measure an experiment on them.

    The clock is simulated, too.

    Args:
        project: The project.
        path: The simulation's file.

    Returns:
        What the log shows, compared with what is true.
    """
    from .simulation.simulate import simulate as play

    return play(project, Path(path))
