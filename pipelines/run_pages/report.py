"""Write the page of a run: static HTML in the blob store, self-contained and made once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import NotFound
from ...reports import page
from ...reports.columns import plural
from ...storage import BlobStore
from ..evaluation.evaluation import Evaluation
from ..runs.costs import RunCost
from . import feature_page, figure_text, other_objective, run_text
from .curve_picture import curve_section
from .figures import ChartedRun
from .pictures import label_of, pictures
from .records import Run
from .report_store import run_uri

if TYPE_CHECKING:
    import pyarrow as pa


def write_run(blobs: BlobStore, run: Run, ours: pa.Table, champion: pa.Table | None) -> None:
    """Write the HTML page of a training run to the blob store.

    `champion` are the predictions that it was compared with.
    """
    blobs.put(run_uri(blobs, run.name), run_page(run, ours, champion).encode())


def add_cost(blobs: BlobStore, run: str, cost: RunCost) -> None:
    """Write what a run cost as the last line of its page, which was made before the run's end.

    A run that failed has no page, and a page that has the line stays as it is.
    """
    try:
        html = blobs.get(run_uri(blobs, run)).decode()
    except NotFound:
        return
    line = page.words(f"Cost: {cost}", "soft")
    if line not in html:
        blobs.put(run_uri(blobs, run), html.replace("</main>", f"{line}\n</main>", 1).encode())


def run_page(run: Run, ours: pa.Table, champion: pa.Table | None) -> str:
    """Return a training run's page as HTML text."""
    heading = page.heading(title(run), when(run))
    body = [heading, page.links(_links(run)), *parts(run, ours, champion)]
    return page.page(f"{run.name} {run.configuration}", body, page.footer(run.ended, run.target))


def title(run: Run) -> str:
    """Return the title of a training run's page as text."""
    return f"Run {run.name}: {run.model} / {run.title()}"


def parts(run: Run, ours: pa.Table, champion: pa.Table | None) -> list[str]:
    """Return the HTML parts of a run's page, without its heading, links and foot.

    Raises:
        NotFound: the run failed.
    """
    if run.evaluation is None or run.data is None:
        raise NotFound(f"run {run.name} has no figures: {run.failure}")
    if run.champion.other is not None:
        champion = None  # its predictions are of another outcome
    drawn = [
        ChartedRun(name=run.title(), style="b" if champion is not None else "a", predictions=ours)
    ]
    if champion is not None:
        drawn.insert(
            0, ChartedRun(name=f"champion, {run.champion.version}", style="a", predictions=champion)
        )
    outcome = run.data.outcome
    return [
        _gate(run),
        page.section(
            "Figures",
            _figures(run, run.evaluation),
            page.words(_power(run.evaluation, outcome), "soft"),
            *(page.verdict([warning], "fail") for warning in run.evaluation.warnings),
        ),
        page.section("Pictures", *pictures(drawn, label_of(run))),
        *([curve_section(run.curve)] if run.curve else []),
        *feature_page.segments(run),
        *feature_page.features(run),
        page.section("Test periods", _periods(run.evaluation, outcome)),
        page.section("Data", *_data(run)),
        page.anchor("configuration"),
        page.section(
            "Configuration", page.words(_configuration(run), "soft"), page.code(run.config)
        ),
    ]


def _links(run: Run) -> list[tuple[str, str]]:
    """Return the (text, URL) links of a run's page to its log, record and the champion's page.

    The champion's page is in its own run's folder.
    """
    champion = (
        [(f"champion {run.champion.version}", f"../{run.champion.run}/report.html")]
        if run.champion.run
        else []
    )
    return [
        *champion,
        ("log", "log.txt"),
        ("record", "record.json"),
        ("configuration", "#configuration"),
    ]


def _configuration(run: Run) -> str:
    """Return a run's configuration file, trainer and overrides as text."""
    changed = f"; for this run: {', '.join(run.overrides)}" if run.overrides else ""
    return f"{run.path}, trainer {run.trainer}{changed}"


def _gate(run: Run) -> str:
    """Return the gate's verdict and checks as HTML, for a run's page."""
    sentence = {
        None: "No gate: the configuration asks for none.",
        "pass": "Gate: pass",
        "fail": "Gate: fail. The version is registered as rejected and gets no alias.",
        "inconclusive": "Gate: inconclusive. It may serve as challenger, not become champion.",
    }[run.gate]
    checks = [
        f"{check.name} {check.wanted}: {check.verdict} ({check.reason})"
        for check in run.checks.checks
    ]
    alias = (
        f" as {run.alias}" if run.alias else f" ({run.alias_why_not})" if run.alias_why_not else ""
    )
    checks += [run.checks.note] if run.checks.note else []
    return page.verdict([sentence, *checks, f"Registered {run.version}{alias}."], run.gate or "")


def _figures(run: Run, evaluation: Evaluation) -> str:
    """Return the table of a run's metrics as HTML."""
    number = evaluation.kind == "number"
    rows = (
        _number_rows(run, evaluation)
        if number
        else [
            (
                "AUC within days",
                _short(evaluation.auc),
                f"chance is 0.5{run_text.best_known(run.champion)}",
            )
        ]
    )
    if (precision := evaluation.metrics.get("pr_auc")) is not None:
        share = evaluation.positives / evaluation.rows
        rows.append(
            ("PR-AUC (average precision)", _short(precision), f"chance is about {share:.3f}")
        )
    if evaluation.ranked is not None:
        rows += [
            (name.replace("_", " "), _short(figure, figure_text.digits_of(name, figure)), "")
            for name, figure in run_text.ranking_figures(evaluation.metrics).items()
        ]
        rows += (
            [
                (
                    "first places",
                    f"gini {evaluation.ranked.gini:.2f}",
                    run_text.first_places(evaluation.ranked),
                )
            ]
            if evaluation.ranked.item
            else []
        )
    differences = run.champion.figures()
    labelled = [
        ("AUC" if name == "auc" else name.replace("_", " "), name, difference)
        for name, difference in differences.items()
    ]
    if (other := run.champion.other) is not None:
        labelled += [
            (other_objective.label_of(other, name), name, difference)
            for name, difference in other.differences.items()
        ]
    rows += [
        (
            f"{label} against the champion",
            f"{figure_text.difference_text(difference, name, '   (')})",
            "",
        )
        for label, name, difference in labelled
    ]
    if not differences and run.champion.why_not:
        whole = "spearman" if number else "AUC"
        rows.append((f"{whole} against the champion", "not known", run.champion.why_not))
    if not number:
        base = f"always answering the base rate: {evaluation.base_log_loss:.5f}"
        rows.append(("log loss", _loss(evaluation), base))
    sure = "1 is perfect"
    if not evaluation.units and not number:
        sure += "; exact Poisson interval"
    rows.append(("observed / expected", _short(evaluation.calibration, 2), sure))
    notes = (
        [f"{', '.join(ranked).replace('_', ' ')}: {run_text.ranking_line(evaluation)}."]
        if evaluation.ranked is not None
        and (ranked := run_text.ranking_figures(evaluation.metrics))
        else []
    )
    if (traded := run_text.trade_off_text(run)) is not None:
        notes.append(f"{traded[0].upper()}{traded[1:]}.")
    if differences:
        champion = f"The champion is {run.champion.version}"
        notes.append(f"{champion}, paired on the same {plural(run.champion.rows, 'row')}.")
    return page.table(("", "value (95 %)", ""), rows, wordy=2) + "".join(
        page.words(note, "soft") for note in notes
    )


def _number_rows(run: Run, evaluation: Evaluation) -> list[tuple[str, str, str]]:
    """Return the rows of a run's table of metrics whose outcome is a number.

    A row is (metric, value, remark).
    """
    rows = []
    if evaluation.mean is not None:
        digits = figure_text.digits_of("mean", evaluation.mean)
        note = (
            f"{100 * evaluation.capped:.2g} % of the rows are at the cap"
            if evaluation.capped is not None
            else ""
        )
        rows.append((f"mean {run.objective}", _short(evaluation.mean, digits), note))
    names = {"rmse": "off by, root mean square (rmse)", "mae": "off by, on average (mae)"}
    for name, note in run_text.number_notes(evaluation).items():
        figure = evaluation.metrics.get(name)
        digits = figure_text.digits_of(name, figure) if figure else 3
        rows.append((names.get(name, name), _short(figure, digits), note))
    return rows


def _power(evaluation: Evaluation, outcome: str) -> str:
    """Return text on how many rows the metrics rest on, and which effects these can show.

    `outcome` names it.
    """
    tested = f"{len(evaluation.periods)} test periods, {plural(evaluation.rows, 'row')}. "
    if evaluation.auc is None:
        figure, unit = evaluation.metrics.get("spearman"), evaluation.unit or "row"
        counted = evaluation.units or evaluation.rows
        power = (
            figure_text.power_of_units(figure, counted, unit, "a distance of spearman from 0")
            if figure
            else ""
        )
        return f"{tested}{power}Intervals {figure_text.independence(evaluation)}."
    if not evaluation.units or evaluation.unit is None:
        return (
            f"{tested}{figure_text.power_text(evaluation.positives, outcome)} Intervals: "
            f"{figure_text.independence(evaluation)}."
        )
    power = figure_text.power_of_units(
        evaluation.auc, evaluation.units, evaluation.unit, "a distance of AUC from chance"
    )
    return f"{tested}{power}Intervals {figure_text.independence(evaluation)}."


def _periods(evaluation: Evaluation, outcome: str) -> str:
    """Return the table of an evaluation's test periods as HTML."""
    number = evaluation.kind == "number"
    figures = [period.spearman if number else period.auc for period in evaluation.periods]
    rows = [
        (
            f"{period.start:%a %-d %b %Y}"
            if evaluation.forward_days >= 1
            else f"{period.start:%-d %b %H:%M}",
            f"{period.trained_rows:,}",
            f"{period.trained_positives:,}",
            f"{period.rows:,}",
            f"{period.positives:,}",
            "none" if figure is None else f"{figure:.3f}",
        )
        for period, figure in zip(evaluation.periods, figures, strict=True)
    ]
    length = (
        "day" if evaluation.forward_days == 1 else f"period of {evaluation.forward_days:g} days"
    )
    summary = (
        f"Each {length} is predicted by a model that was trained on what was known when it "
        "began; younger outcomes are left out."
    )
    whole = "Spearman" if number else "AUC"
    head = ("from", "rows before", f"{outcome}s before", "rows", f"{outcome}s", whole)
    return page.words(summary, "soft") + page.table(head, rows, numbers=True)


def _data(run: Run) -> list[str]:
    """Return the section on the training set (rows, hash, leaks) as HTML parts."""
    from .run_text import description

    data = run.data
    if data is None:
        return []
    parts = [
        page.words(description(data) + (f". {run.corrected}." if run.corrected else "")),
        page.words(
            f"Canonical hash {data.digest[:16]}; {run.git or 'no git'}; model "
            f"{(run.code or '')[:16]}",
            "soft",
        ),
    ]
    parts += [page.verdict([f"Leak alarm. {warning}"], "fail") for warning in data.warnings]
    parts += [page.verdict([f"Known too late. {late}"], "fail") for late in data.late]
    if data.leaks:
        summary = (
            "Leak alarm: AUC of each feature alone, by day, with what was known earlier where it "
            "is made of past outcomes, and beside the true rates of the entity it describes."
            if data.sums is None
            else "Leak alarm: AUC of each feature alone, by day, of whether the number is other "
            "than 0 or above the median of those, and with what was known earlier where it is made "
            "of past outcomes."
        )
        parts += [
            page.words(summary, "soft"),
            page.table(
                ("", ""), [(looked.feature, looked.finding()) for looked in data.leaks], wordy=1
            ),
        ]
    return parts


def _short(figure: object, digits: int = 3) -> str:
    """Return a metric and its interval as text, or `not known`."""
    from ..evaluation.statistics import Estimate

    return (
        f"{figure.value:.{digits}f}   ({figure_text.interval(figure, digits)})"
        if isinstance(figure, Estimate)
        else "not known"
    )


def _loss(evaluation: Evaluation) -> str:
    """Return an evaluation's log loss as text, or `no rates`."""
    return "no rates" if evaluation.log_loss is None else f"{evaluation.log_loss:.5f}"


def when(run: Run) -> str:
    """Return a line on a run's time, duration, target and commit."""
    seconds = (run.ended - run.started).total_seconds()
    return (
        f"{run.started:%-d %B %Y, %H:%M} UTC, {seconds:.0f} s, target {run.target}, "
        f"{run.git or 'no git'}"
    )
