"""The training runs: when, of what, their figures and their gate; which of them to compare."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from ....core.runtime.project import Project
from ....pipelines.run_pages.run_list import (
    AnnotatedRun,
    comparable,
    conditions,
    figure,
    leading_figures,
    list_runs,
)
from ....pipelines.runs import watch
from ....reports import page as kit
from ...parts.forms import Field, Form
from ...parts.links import run_link, version_link
from ...parts.reads import ReadFailure, Reads, whole
from ...parts.view import PageContent

_NEWEST, _MOST = 100, 10_000
_SORTS = ("", "auc", "ndcg@10", "log_loss", "calibration", "auc_vs_champion", "spearman", "rmse")


class RunsData(msgspec.Struct, frozen=True, kw_only=True):
    runs: Sequence[AnnotatedRun]
    going_on: tuple[str, ...] | ReadFailure  # of the newest few
    unread: tuple[ReadFailure, ...]


def page(project: Project, query: Mapping[str, str]) -> PageContent:
    """Draw the page that lists training runs, with metrics and gate, sorted and filtered.

    The query has `sort`, a figure; `where`, FIELD=VALUE with blanks between several; and `newest`,
    how many runs are read.

    Raises:
        Invalid: A parameter of the query has a wrong value.
    """
    sort, where = query.get("sort") or None, query.get("where", "").split()
    conditions(sort, where)
    newest, reads = whole(query, "newest", default=_NEWEST, most=_MOST), Reads()
    read = reads.attempt(
        "the runs", lambda: list_runs(project, sort=sort, where=where, newest=newest)
    )
    listed: Sequence[AnnotatedRun] = () if isinstance(read, ReadFailure) else read
    going_on = reads.attempt("runs that go on", lambda: watch.going_on(project))
    table = _table(listed, sort, read=not isinstance(read, ReadFailure))
    parts: tuple[str | Form, ...] = (
        _choice(sort, where, newest),
        *table,
        *_going_on(going_on),
    )
    return PageContent(
        title="Runs",
        below=f"The newest {newest:,} training runs on {project.target.name} that have ended, "
        f"{_order(sort)}.",
        parts=(*reads.box(), *parts),
        data=RunsData(runs=listed, going_on=going_on, unread=tuple(reads.unread)),
    )


def _order(sort: str | None) -> str:
    """Return the order in which the runs are sorted, as text for the page."""
    return f"best {sort} first" if sort else "oldest first"


def _choice(sort: str | None, where: Sequence[str], newest: int) -> Form:
    """Return the form that chooses the order, the filter and the number of training runs."""
    sorts = tuple((name, name or "oldest first") for name in dict.fromkeys((*_SORTS, sort or "")))
    hint = "model=logistic gate=pass tag=..."
    fields = (
        Field(name="sort", label="Sort", kind="choice", value=sort or "", choices=sorts),
        Field(name="where", label="Only where", value=" ".join(where), hint=hint),
        Field(
            name="newest",
            label="Of the newest",
            kind="number",
            value=f"{newest}",
            hint="two documents are read of each",
        ),
    )
    return Form(action="/runs", button="Show", fields=fields, get=True)


def _table(listed: Sequence[AnnotatedRun], sort: str | None, *, read: bool) -> list[str | Form]:
    """Return an HTML table of training runs, with checkboxes if two can be compared.

    `sort` is the metric by which they are sorted; `read` says whether all were read.
    """
    if not listed:
        return [kit.words("No such run.", "soft")] if read else []
    figures = leading_figures(listed, sort)
    head = ("run", "gate", *figures, "configuration", "parameters", "version", "alias")
    head = (*head, "started (UTC)", "tags", "note")
    ticked = _ticked(listed)
    columns = [
        column
        for column in zip(head, *(_row(run, figures, ticked) for run in listed), strict=True)
        if any(column[1:])
    ]
    shown, *rows = zip(*columns, strict=True)
    wordy = [number for number, name in enumerate(shown) if name in _WORDY]
    table = kit.table(shown, rows, wordy=wordy)
    words = "Figures are of each run's own rows, which differ: comparing pairs them."
    note = [] if comparable(listed) else [kit.words(words, "soft")]
    if not ticked:
        return [table, *note]
    form = Form(
        action="/runs/compare",
        button="Compare the ticked runs, each with the first",
        above=table,
        get=True,
        command=f"isthmus runs compare {' '.join(sorted(ticked))}",
    )
    return [form, *note]


_WORDY = ("gate", "parameters", "note")


def _ticked(listed: Sequence[AnnotatedRun]) -> set[str]:
    """Return the runs whose checkboxes are ticked at first: the newest and one to compare with.

    That is its champion, or an earlier run. None are ticked where fewer than two runs have metrics.
    """
    able = [run for run in listed if run.evaluation is not None]
    if len(able) < 2:
        return set()
    newest = max(able, key=lambda run: run.started)
    champion = next((run.name for run in able if run.name == newest.champion.run), None)
    return {newest.name, champion or next(run.name for run in able if run != newest)}


def _going_on(names: tuple[str, ...] | ReadFailure) -> list[str]:
    """Return an HTML line of links to the training runs that have not ended."""
    if isinstance(names, ReadFailure) or not names:
        return []
    return [kit.line("Running", *(run_link(name) for name in names))]


def _row(run: AnnotatedRun, figures: Sequence[str], ticked: Collection[str]) -> tuple[str, ...]:
    """Return a training run's cells in the table: checks, metrics, parameters, version, tags.

    `figures` names the metrics; `ticked` are the runs whose checkbox is ticked.
    """
    shown = (f"{estimate.value:.4g}" if (estimate := figure(run, name)) else "" for name in figures)
    compared = ticked and run.evaluation is not None
    box = kit.box(f"compare {run.name}", "run", run.name, ticked=run.name in ticked)
    return (
        kit.MarkupCell((box if compared else "") + run_link(run.name)),
        _gate(run),
        *shown,
        run.title(),
        " ".join(f"{name}={value}" for name, value in run.parameters.items()),
        version_link(run.version) if run.version else run.status,
        run.alias or "",
        f"{run.started:%Y-%m-%d %H:%M}",
        " ".join(run.tags),
        run.note,
    )


def _gate(run: AnnotatedRun) -> str:
    """Return a table cell on whether a run's model passed its checks, and the deciding check."""
    check = next((check for check in run.checks.checks if check.verdict == run.gate), None)
    if run.gate is None or check is None:
        return run.gate or ""
    return kit.with_interval(run.gate, f"{check.name} {check.reason}")
