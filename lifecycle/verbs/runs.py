"""`im.runs`: the verbs of `isthmus runs`.

list, show, compare, tag, note, cancel, why_rerun, log, step, export.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from ...errors import NotFound
from ...pipelines.port import RunState
from ...pipelines.run_pages import notes
from ...pipelines.run_pages.compare import compare
from ...pipelines.run_pages.notes import note, tag
from ...pipelines.run_pages.run_list import AnnotatedRun, known_cost, list_runs, with_notes
from ...pipelines.run_pages.runs import get_run
from ...pipelines.runs import watch
from ...pipelines.runs.costs import RunCost
from ...pipelines.runs.rerun_reasons import why_rerun
from ...pipelines.tracking.export import export
from ...pipelines.training.one_step import run_step as step
from ...reports.results import Shown, StructRows

if TYPE_CHECKING:
    from ...core.runtime.project import Project

__all__ = [
    "cancel",
    "compare",
    "export",
    "list",
    "log",
    "note",
    "show",
    "step",
    "tag",
    "why_rerun",
]
__dir__ = __all__.copy  # what completion offers


class StepLog(Shown, msgspec.Struct, frozen=True, kw_only=True):
    run: str
    step: str
    log: str


class RunProgress(Shown, RunState, frozen=True, kw_only=True):
    """The state of a run without a record, with what it has cost so far."""

    cost: RunCost | None = None


def list(
    project: Project, *, sort: str | None = None, where: Sequence[str] = (), cost: bool = False
) -> StructRows[AnnotatedRun]:
    """Return training runs that have ended, oldest first.

    Args:
        project: The project.
        sort: A metric by which they are sorted instead, best first.
        where: Conditions FIELD=VALUE, all of which must hold.
        cost: Whether to say what each run cost, too.

    Raises:
        Invalid: There is no such metric or field.
    """
    return list_runs(project, sort=sort, where=where, cost=cost)


def show(project: Project, run: str) -> AnnotatedRun | RunProgress:
    """Return a training run's record with its notes, or a run's state if it has no record.

    A run without a record trained nothing, is under way, or was stopped.

    Raises:
        NotFound: There is no such run.
    """
    try:
        record = get_run(project, run)
        remarks = notes.read(project.target.blobs, run)
        return with_notes(record, remarks, known_cost(project, run))
    except NotFound as missing:
        try:
            state = watch.observe(project, run)
        except NotFound:
            raise missing from None
        return RunProgress(**msgspec.structs.asdict(state), cost=known_cost(project, run))


def cancel(project: Project, run: str) -> RunState:
    """Ask a training run to stop, and return its state afterwards.

    A run that has ended is left as it is.

    Raises:
        NotFound: There is no such run.
    """
    if watch.observe(project, run).phase in ("running", "cancelling"):
        watch.cancel(project, run)
    return watch.observe(project, run)


def log(project: Project, run: str, step: str) -> StepLog:
    """Return what a step of a training run printed; raise NotFound if there is no such step."""
    return StepLog(run=run, step=step, log=watch.log(project, run, step))
