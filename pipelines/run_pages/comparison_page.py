"""Draw the page of runs side by side: `reports/r6-r7.html`, each run against the first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...reports import page
from ...reports.columns import plural
from ...reports.plots import STYLES
from . import compare, figure_text, other_objective, runs
from .compare import RunComparison, RunComparisons
from .figures import ChartedRun
from .pictures import label_of, pictures
from .records import Run
from .report_store import keep
from .run_text import outcomes_text

if TYPE_CHECKING:
    import pyarrow as pa

    from ...core.runtime.project import Project

_LONGEST = 8  # names in a file's name
_GAP = "   "  # between a figure and its interval
_FIRST = ("run", "verdict", "against the first")  # columns that a phone shows without scrolling


def comparison_page(project: Project, compared: RunComparisons) -> Path:
    """Write the HTML page that compares runs, `reports/<a>-<b>.html`, and return its path.

    On a cloud target that is a copy in the project's .isthmus/.
    """
    tables = [runs.predictions_of(project.target.blobs, run.name) for run in compared.runs]
    names = [run.name for run in compared.runs]
    name = (
        "-".join(names)
        if len(names) <= _LONGEST
        else f"{names[0]}-and-{len(names) - 1}-more-{'-'.join(names[-2:])}"
    )
    return keep(project, f"{name}.html", html(compared, tables).encode())


def html(compared: RunComparisons, tables: list[pa.Table]) -> str:
    """Return the page that compares runs, as HTML text.

    `tables` are the forward predictions of `compared.runs`.
    """
    runs_ = compared.runs
    title = " and ".join(run.name for run in runs_) if len(runs_) == 2 else f"{len(runs_)} runs"
    body = [page.heading(*heading(compared)), *parts(compared, tables)]
    return page.page(title, body, page.footer(max(run.ended for run in runs_), runs_[0].target))


def heading(compared: RunComparisons) -> tuple[str, str]:
    """Return the title and subtitle of the page that compares runs."""
    first, second = compared[0].first, compared[0].second
    if len(compared) == 1:
        return (
            f"{first.title()} and {second.title()}",
            f"runs {first.name} and {second.name} for {_objectives((first, second))}",
        )
    return (
        f"{len(compared.runs)} runs for {_objectives(compared.runs)}",
        f"each against {first.name} {first.title()}",
    )


def _objectives(compared: Sequence[Run]) -> str:
    """Return the objectives that runs were trained for, as text."""
    return " and ".join(dict.fromkeys(run.objective for run in compared))


def parts(compared: RunComparisons, tables: list[pa.Table]) -> list[str]:
    """Return the HTML parts of the page that compares runs, without its heading and foot."""
    shown = list(zip(compared.runs, tables, STYLES, strict=False))
    drawn = [
        ChartedRun(name=f"{run.name} {run.title()}", style=style, predictions=table)
        for run, table, style in shown
    ]
    more = len(compared.runs) - len(drawn)
    charts = [
        chart
        for objective in dict.fromkeys(run.objective for run, _, _ in shown)
        for chart in _charts_of(objective, drawn, [run for run, _, _ in shown])
    ]
    charts += (
        [
            page.words(
                f"The pictures show the first {len(drawn)} runs; {more} more are in the table.",
                "soft",
            )
        ]
        if more
        else []
    )
    return _two(compared[0], charts) if len(compared) == 1 else _several(compared, charts)


def _charts_of(objective: str, drawn: Sequence[ChartedRun], shown: Sequence[Run]) -> list[str]:
    """Return the charts of the runs that were trained for an objective, as HTML.

    `drawn` have the predictions, `shown` are the runs of the page.
    """
    trained = [run for run in shown if run.objective == objective]
    charted = [chart for chart, run in zip(drawn, shown, strict=True) if run in trained]
    return pictures(charted, label_of(trained[-1]))


def _place(column: Sequence[str]) -> int:
    """Return a sort key for a column of the overview: fixed columns come first, then metrics."""
    return _FIRST.index(column[0]) if column[0] in _FIRST else len(_FIRST)


def _stacked(cell: str) -> str:
    """Return a table's cell as HTML: a metric, and its interval (if any) on a line below."""
    value, gap, interval = cell.partition("  ")
    return page.with_interval(value, interval.strip()) if gap else cell


def _two(pair: RunComparison, charts: list[str]) -> list[str]:
    """Return the HTML parts of the page that compares two runs: a table, then the charts.

    `charts` are HTML.
    """
    first, second = pair.first, pair.second
    figures = [
        (name, difference, left, right)
        for name, left, right, difference in [
            *compare.figure_rows(pair, _GAP),
            *(other_objective.figure_rows(pair.other) if pair.other else []),
        ]
    ]
    rows = [
        ("version", "", compare.version_of(first), compare.version_of(second)),
        ("features", "", str(len(first.features)), str(len(second.features))),
        *([("objective", "", first.objective, second.objective)] if pair.other else []),
        *([name, *map(_stacked, cells)] for name, *cells in figures),
    ]
    head = ("", "difference", f"{first.name} {first.title()}", f"{second.name} {second.title()}")
    kind = {"better": "pass", "worse": "fail", "undecided": ""}[pair.verdict]
    positives = outcomes_text(pair.positives, second)
    paired = (
        f"Both models on the same {plural(pair.rows, 'row')} with {positives}; "
        f"{_interval_note(second)}."
    )
    return [
        page.verdict([f"Verdict: {_first_word(pair)}", _sentence(pair)], kind),
        page.section("Figures", page.table(head, rows), page.words(paired, "soft")),
        page.section("Pictures", *charts),
        page.section("What differs", *_changes((first, second))),
    ]


def _several(compared: RunComparisons, charts: list[str]) -> list[str]:
    """Return the HTML parts of the page that compares three runs or more: tables, then charts.

    `charts` are HTML.
    """
    first, decided = compared.runs[0], [pair for pair in compared if pair.verdict != "undecided"]
    lines = [
        f"{pair.second.name} {pair.second.title()}: {_first_word(pair)}. {_sentence(pair)}"
        for pair in decided
    ]
    columns = sorted(zip(*compare.overview_rows(compared), strict=True), key=_place)
    head, *rows = zip(*columns, strict=True)
    summary = f"{len(decided)} of {len(compared)} differ from {first.name} at 95 %"
    return [
        page.verdict(
            [summary, *lines, f"{compare.misleading_intervals_text(len(compared)).capitalize()}."],
            "",
        ),
        page.section(
            "Figures",
            page.table(head, [[run, *map(_stacked, cells)] for run, *cells in rows]),
            page.words(
                "A run's figures are of its own rows; differences are on the rows that both models "
                "of a pair were tested on; "
                f"{_interval_note(compared.runs[-1])}.",
                "soft",
            ),
        ),
        page.section("Pictures", *charts),
        page.section("What differs", *_changes(compared.runs)),
    ]


def _interval_note(run: Run) -> str:
    """Return text on how the intervals of a run's metrics were computed."""
    evaluation = compare.figures(run)
    drawn = figure_text.independence(evaluation)
    return (
        f"intervals are 95 %; they {drawn}" if evaluation.unit else f"intervals are 95 %, {drawn}"
    )


def _first_word(pair: RunComparison) -> str:
    """Return "better", "worse" or the like: which of two runs ranks better, or `undecided`."""
    of_objective = f" for {pair.second.objective}" if pair.other else ""
    return {
        "undecided": f"undecided{of_objective}",
        "better": f"{pair.second.name} ranks better{of_objective}",
        "worse": f"{pair.second.name} ranks worse{of_objective}",
    }[pair.verdict]


def _sentence(pair: RunComparison) -> str:
    """Return a sentence on whether two runs differ, by the interval of their difference."""
    if pair.other is not None:
        return f"{compare.spoken_verdict(pair)}."
    if pair.verdict == "undecided":
        return (
            f"The interval of the difference in {pair.metric} holds 0. {compare.power_text(pair)}"
        )
    return (
        f"The interval of the difference in {pair.metric}, "
        f"{figure_text.interval(pair.deciding(), sign=True)}, does not hold 0."
    )


def _changes(compared: tuple[Run, ...]) -> list[str]:
    """Return an HTML table of what differs between the runs: trainer, features, git, data."""

    def named(parameters: dict[str, object]) -> str:
        return ", ".join(f"{name} {value}" for name, value in parameters.items())

    values_by_name = {
        "trainer": [run.trainer for run in compared],
        "parameters": [named(run.parameters) for run in compared],
        "features": [", ".join(run.features) for run in compared],
        "git": [str(run.git or "none") for run in compared],
        "data": [run.data.digest[:12] if run.data else "" for run in compared],
    }
    rows = [
        (name, *(value or "none" for value in values))
        for name, values in values_by_name.items()
        if len(set(values)) > 1
    ]
    if not rows:
        return [page.words("Nothing: configuration, code revision and data are the same.")]
    return [
        '<div class="changes">',
        page.table(("", *(run.name for run in compared)), rows),
        "</div>",
    ]
