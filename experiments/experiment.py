"""The verbs of `isthmus experiment`. project.yaml describes a run; whether it runs is state.

Each verb that changes something checks first, then changes the live document by one write. Killed
anywhere, the same verb again goes on.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..core.runtime.project import Project
from ..endpoints.gateway.decide.live_document import Change
from ..reports.results import Rows
from .design import runs
from .design.definition import never_ran
from .measure.audit import audit
from .measure.power import power
from .results.comparison import results
from .results.page import report
from .running.close import close
from .running.ramp import ramp
from .running.start import start
from .running.status import listing as list
from .running.status import status
from .running.stop import stop

if TYPE_CHECKING:
    from .simulation.simulate import Simulated

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


def history(project: Project, name: str | None = None) -> Rows[Change]:
    """Return every change of the target's experiments, or of one, oldest first.

    Raises:
        NotFound: The one never ran.
    """
    changes = runs.history(project.target.state, name)
    if name is not None and not changes:
        raise never_ran(project, name)
    return Rows(changes)


def simulate(project: Project, path: str | Path) -> Simulated:
    """Let a simulation's made-up visitors come to the gateway, on a simulated clock.

    Args:
        project: The project.
        path: The simulation's file.

    Returns:
        What the log shows, compared with what is true.
    """
    from .simulation.simulate import simulate as play

    return play(project, Path(path))
