"""Draw the page of one experiment.

It shows the definition, the newest run's state, what a look showed, what may be changed, and the
history.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from ....core.runtime.project import Project
from ....endpoints.gateway.decide.live_document import Change
from ....errors import NotFound
from ....experiments.design import buckets
from ....experiments.design.definition import newest_run
from ....experiments.design.definition_text import definition_section
from ....experiments.design.runs import FrozenRun, RecordedRun
from ....experiments.results import page as results_page
from ....experiments.results import store as results_store
from ....experiments.results.log_document import LogDocument, log_document
from ....experiments.results.log_results import compare_log
from ....experiments.results.looks import Looks
from ....experiments.results.looks import read as looks_of
from ....experiments.results.results import Results
from ....experiments.running import answers
from ....experiments.running.answers import RunStatus
from ....experiments.running.status import status_of
from ....project.git import git_revision
from ....project.reading.report import place
from ....project.specs.experiments import Analysis, Experiment
from ....reports import page as kit
from ...parts.forms import Form
from ...parts.view import PageContent
from . import forms as experiment_forms
from .experiments import path

_AGREED = "yes"  # of the query's `despite-split` and `compare`


class OneExperiment(msgspec.Struct, frozen=True, kw_only=True):
    """The data of an experiment's page.

    `is_`: as the run was started, or as project.yaml says it.

    `results`: of the look that is shown; None: nobody has looked.

    `status` is of the newest run; `looks` are names of what was stored, for the query's `look`.
    """

    is_: Experiment = msgspec.field(name="is")
    status: RunStatus | None = None
    results: Results | None = None
    looks: tuple[str, ...] = ()
    history: tuple[Change, ...] = ()


class OneAnalysis(msgspec.Struct, frozen=True, kw_only=True):
    """The data of an analysis's page; `results` are None if nobody asked the log."""

    is_: Analysis = msgspec.field(name="is")
    results: LogDocument | None = None


def page(project: Project, query: Mapping[str, str]) -> PageContent:
    """Draw the page of one experiment or analysis.

    The query may have `look`, the name of earlier stored results; `despite-split`, to show figures
    that may be wrong, as the units were not split as planned; and `compare`, to query the log of an
    analysis.
    """
    name = query["name"]
    if name in project.spec.analyses:
        return _analysis(
            project, project.spec.analyses[name], compare=query.get("compare") == _AGREED
        )
    try:
        run = newest_run(project, name)
    except NotFound:
        if name not in project.spec.experiments:
            raise
        return _not_started(project, project.spec.experiments[name])
    return _run_view(project, run, query)


def _run_view(project: Project, recorded: RecordedRun, query: Mapping[str, str]) -> PageContent:
    """Return the page of a run of an experiment: newest results, state, forms, history.

    Raises NotFound if the query names a look (stored results) that does not exist.

    `recorded` is the run with its history.
    """
    run, blobs = recorded.frozen, project.target.blobs
    experiment = run.definition.experiment
    looks = results_store.result_names(blobs, run.run)
    shown = query.get("look") or (looks[-1] if looks else None)
    if shown is not None and shown not in looks:
        raise NotFound(f"no look {shown} at {run.run} was stored", remedy=path(run.run))
    results = results_store.read(blobs, run.run, shown) if shown else None
    recorded_looks = looks_of(project.target.state, run.run)
    data = OneExperiment(
        is_=experiment,
        status=status_of(project, run, recorded.live, recorded.changes[-1])
        if recorded.is_newest
        else None,
        results=results,
        looks=looks,
        history=recorded.own_changes,
    )
    others = dict.fromkeys(change.run for change in recorded.changes if change.run != run.run)
    startable = experiment.name in project.spec.experiments
    parts = (
        *_verdict(data),
        *_result_parts(data, agreed=query.get("despite-split") == _AGREED),
        *_looks(recorded_looks, data, run.run),
        *_state_parts(data, run, startable=startable),
        definition_section(experiment),
        results_page.history_section(data.history),
        *(
            [kit.section("Other runs", kit.links([(other, path(other)) for other in others]))]
            if others
            else []
        ),
    )
    return PageContent(title=run.run, below=experiment.hypothesis, parts=parts, data=data)


def _verdict(data: OneExperiment) -> Iterator[str]:
    """Yield HTML on the verdict of the newest results, or that there are none yet.

    `data` is what was read of the experiment.
    """
    if data.results:
        if results_store.name_of(data.results.until) != data.looks[-1]:
            yield kit.links([("This is an earlier look. Show the newest", path(data.results.run))])
        yield kit.words(results_page.about(data.results), "lead")
        yield results_page.verdict(data.results)
    else:
        yield kit.verdict(["Nobody has looked at it yet"])
    if data.status:
        yield kit.links([("How it stands", "#stands"), ("Change it", "#change")])


def _state_parts(data: OneExperiment, run: FrozenRun, *, startable: bool) -> Iterator[str | Form]:
    """Yield HTML on a run's state, and the forms that change it (share, ship, stop).

    `startable` says whether project.yaml still has the experiment.
    """
    if data.status is None:
        yield kit.words("This run is over, and another one came after it.", "soft")
        return
    yield kit.anchor("stands") + kit.section(
        "How it stands", kit.table(["", ""], _status_rows(data.status), wordy=1)
    )
    yield kit.anchor("change") + kit.section(
        "Change it", kit.words("What is changed, by whom and why, stands in the history.", "soft")
    )
    yield from experiment_forms.of_run(data.status, run, startable=startable)


def _result_parts(data: OneExperiment, *, agreed: bool) -> list[str]:
    """Return HTML with a run's figures; hidden if the units were not split as planned.

    With `agreed` they are shown all the same.

    `data` is what was read of the experiment.
    """
    results = data.results
    if results is None:
        return []
    if results.split.alarm and not agreed:
        despite = kit.links(
            [("Show the figures despite it", f"{path(results.run)}?despite-split={_AGREED}")]
        )
        note = (
            "The arms did not get their planned shares of units, so every figure would be "
            "biased. Look for what loses or adds units."
        )
        return [kit.words(note), results_page.split_section(results), despite]
    return results_page.sections(results)


def _looks(looks: Looks, data: OneExperiment, run: str) -> list[str]:
    """Return an HTML table of the earlier results that were stored of a run.

    Each is one look at the results; sequential tests account for them.
    """
    rows = []
    for number, look in enumerate(looks.looks, 1):
        name = results_store.name_of(look.until)
        until = f"{look.until:%Y-%m-%d %H:%M} UTC"
        share = f"{100 * look.units / looks.planned:.0f} %" if looks.planned else ""
        rows.append(
            [
                str(number),
                kit.link(until, f"{path(run)}?look={name}") if name in data.looks else until,
                f"{look.units:,}",
                share,
            ]
        )
    if not rows:
        return []
    note = (
        "Each look spends a part of the plan's 5 %. The same data again are no new one."
        if looks.planned
        else ""
    )
    return [
        kit.section(
            "Looks", kit.table(["", "until", "units", "of the plan"], rows), kit.words(note, "soft")
        )
    ]


def _analysis(project: Project, analysis: Analysis, *, compare: bool) -> PageContent:
    """Draw the page of an analysis, an experiment whose arms another system assigned.

    With `compare`, one query of the log computes its results; nothing is stored.
    """
    results = compare_log(project, analysis.name) if compare else None
    ask = kit.links([("Compare its arms now", f"{path(analysis.name)}?compare={_AGREED}")])
    note = kit.verdict(
        [
            "It is assigned elsewhere, and analysed only",
            "Nothing of it is stored: its arms are compared by one query over the log",
        ]
    )
    shown: tuple[str, ...] = (note, ask)
    if results:
        lead = kit.words(results_page.about(results), "lead")
        shown = (lead, results_page.verdict(results), *results_page.sections(results))
    parts = (*shown, definition_section(analysis))
    return PageContent(
        title=analysis.name,
        below=analysis.hypothesis,
        parts=parts,
        data=OneAnalysis(is_=analysis, results=log_document(results) if results else None),
    )


def _not_started(project: Project, experiment: Experiment) -> PageContent:
    """Return the page of an experiment that was never started, with the form that starts it."""
    location = place(project.description, f"experiments.{experiment.name}")
    revision = git_revision(project.folder, location.file)
    uncommitted = (
        [f"{location.file} is not committed: a run keeps the revision that it was started from"]
        if revision is not None and revision.dirty
        else []
    )
    parts = (
        kit.verdict(
            [
                f"It was never started on {project.target.name}",
                f"It is written in {location.file}:{location.line}",
                *uncommitted,
            ]
        ),
        experiment_forms.start(experiment.name),
        definition_section(experiment),
    )
    return PageContent(
        title=experiment.name,
        below=experiment.hypothesis,
        parts=parts,
        data=OneExperiment(is_=experiment),
    )


def _status_rows(status: RunStatus) -> list[list[str]]:
    """Return (label, value) rows about a run's state: since when, share, revision."""
    state = f"{status.ships} ships to every unit" if status.state == "shipped" else status.state
    holds = (
        f"{status.share:.2f} % of layer {status.layer}, buckets {buckets.text(status.ranges)}"
        if status.ranges
        else ""
    )
    rows = [
        ["state", state],
        ["since", f"{status.started:%Y-%m-%d %H:%M} UTC"],
        ["holds", holds],
        ["traffic", status.owner],
        [
            "as committed",
            f"git {status.git}, digest {status.digest}"
            if status.git
            else f"no git revision, digest {status.digest}",
        ],
        ["gateways", f"by config {status.config}, within {answers.FOLLOW} of a change"],
    ]
    if status.last:
        rows.append(["last change", _change_text(status.last)])
    if status.differs:
        words = (
            f"{', '.join(status.differs)}: project.yaml says otherwise by now. This run stays as "
            "it started; the next one takes it"
        )
        rows.append(["differs", words])
    return [row for row in rows if row[1]]


def _change_text(change: Change) -> str:
    """Return an entry of a run's change history as text: what, by whom, when and why."""
    moved = f"{change.before} -> {change.after}" if change.before else change.after
    because = f": {change.because}" if change.because else ""
    return f"{change.what}, {moved}, by {change.who} at {change.at:%Y-%m-%d %H:%M} UTC{because}"
