"""The step `work` of a run that `isthmus stream start` submits: a worker for some time."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING

from .consumers import chosen
from .running import run_workers
from .shown import report_line

if TYPE_CHECKING:
    from ...pipelines.step.context import StepContext


def work(context: StepContext) -> None:
    """Run the worker of the consumer that the step's parameters name, for as long as they say."""
    project = context.project()
    name = str(context.parameters["consumer"])
    (report,) = run_workers(
        project,
        chosen(project, [name]).values(),
        stop=threading.Event(),
        duration=timedelta(seconds=float(context.parameters["seconds"])),
        tell=lambda sent: context.log(report_line(project.target.name, sent)),
    )
    context.set("events", report.events)
