"""Draw the page of one training run.

A run that has ended shows the parts of the page that it wrote; any other shows its steps.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ....core.runtime.project import Project
from ....errors import NotFound
from ....pipelines.port import RunState
from ....pipelines.run_pages import notes, report, runs
from ....pipelines.run_pages.notes import Notes
from ....pipelines.run_pages.records import Run
from ....pipelines.run_pages.run_list import AnnotatedRun, known_cost, with_notes
from ....pipelines.runs import watch
from ....pipelines.runs.costs import RunCost
from ....reports import page as kit
from ...parts.links import run_path, version_link
from ...parts.reads import ReadFailure, Reads
from ...parts.view import PageContent


class RunData(msgspec.Struct, frozen=True, kw_only=True):
    run: AnnotatedRun
    unread: tuple[ReadFailure, ...]


def page(project: Project, query: Mapping[str, str]) -> PageContent:
    """Draw the page of one training run: its report, or its progress if it has not ended.

    Raises:
        NotFound: There is no such run.
    """
    name = query["run"]
    try:
        run = runs.get_run(project, name)
    except NotFound as missing:
        return _unfinished_view(project, name, missing)
    return _finished_view(project, run)


def _finished_view(project: Project, run: Run) -> PageContent:
    """Return the page of a training run that has ended, succeeded or failed."""
    reads = Reads()
    stored = reads.attempt("its notes", lambda: notes.read(project.target.blobs, run.name))
    remarks = Notes() if isinstance(stored, ReadFailure) else stored
    cost = reads.attempt("its cost", lambda: known_cost(project, run.name))
    run_cost = None if isinstance(cost, ReadFailure) else cost
    body = _failure_parts(run) if run.evaluation is None else _parts(project, run, reads)
    return PageContent(
        title=report.title(run),
        below=report.when(run),
        parts=(*reads.box(), _links(run), *_note_parts(remarks), *_cost_parts(run_cost), *body),
        data=RunData(run=with_notes(run, remarks, run_cost), unread=tuple(reads.unread)),
    )


def _parts(project: Project, run: Run, reads: Reads) -> list[str]:
    """Return a training run's report as HTML, compared with its champion if there is one.

    `reads` collects what cannot be read.
    """
    blobs, champion = project.target.blobs, run.champion.run
    ours = reads.attempt(
        f"the predictions of {run.name}", lambda: runs.predictions_of(blobs, run.name)
    )
    if isinstance(ours, ReadFailure):
        return [kit.code(str(run))]
    theirs = (
        reads.attempt(
            f"the predictions of {champion}", lambda: runs.predictions_of(blobs, champion)
        )
        if champion
        else None
    )
    return report.parts(run, ours, None if isinstance(theirs, ReadFailure) else theirs)


def _failure_parts(run: Run) -> list[str]:
    """Return HTML on why a training run failed, with its record."""
    return [
        kit.verdict([f"It failed: {run.failure}", "Nothing was registered."], "fail"),
        kit.code(str(run)),
    ]


def _links(run: Run) -> str:
    """Return an HTML line of links to the run's model version and to the champion's run."""
    version = [version_link(run.version)] if run.version else []
    champion: list[str] = []
    if run.champion.run:
        compare = f"/runs/compare?first={run.champion.run}&others={run.name}"
        champion = [
            kit.link(f"champion's run {run.champion.run}", run_path(run.champion.run)),
            kit.link("the two compared", compare),
        ]
    return kit.line(*version, *champion)


def _note_parts(remarks: Notes) -> list[str]:
    """Return an HTML paragraph with the tags and the note that users gave the run."""
    return (
        [kit.words(f"{' '.join(remarks.tags)}   {remarks.note}".strip())]
        if remarks.tags or remarks.note
        else []
    )


def _cost_parts(cost: RunCost | None) -> list[str]:
    """Return an HTML paragraph with what the run cost, if that is known."""
    return [kit.words(f"Cost: {cost}", "soft")] if cost else []


def _unfinished_view(project: Project, name: str, missing: NotFound) -> PageContent:
    """Return the page of a training run that has not ended, with the phase of each step.

    `missing` is the error that says that it has no record yet.
    """
    try:
        state: RunState = watch.observe(project, name)
    except NotFound:
        raise missing from None
    rows = [
        (
            step.name,
            step.phase,
            f"{step.started:%H:%M:%S}" if step.started else "",
            step.reason or "",
        )
        for step in state.steps
    ]
    return PageContent(
        title=f"Run {name}",
        below=f"It has not ended: {state.phase}. On {project.target.name}.",
        parts=(
            kit.table(("step", "phase", "since (UTC)", "why"), rows, wordy=3),
            kit.links([("log", state.url)] if state.url else []),
        ),
        data=state,
    )
