"""Compare runs side by side (`isthmus runs compare r6 r7 r8`), each paired with the first.

A verdict is that of the paired difference.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from ...errors import Invalid, NotFound
from ...project.models.gate_figures import CUTOFF, deciding_metric
from ...reports.columns import plural
from ...reports.results import StructRows
from ..evaluation import measure
from ..evaluation.evaluation import Evaluation, OtherObjective
from ..evaluation.metrics import is_number
from ..evaluation.statistics import Estimate, log_loss
from . import figure_text, other_objective, runs
from .changed_columns import changed_columns
from .figure_text import difference_text, estimate, with_interval
from .records import Run
from .run_text import outcome_of, ranking_figures

if TYPE_CHECKING:
    import pyarrow as pa

    from ...core.runtime.project import Project

_TRIAL = r"t[1-9][0-9]*/[1-9][0-9]*"


class RunComparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two runs and their paired differences.

    `differences` are the second's figures minus the first's, on the rows that both were tested on.
    """

    first: Run
    second: Run
    rows: int
    positives: int  # rows whose outcome is not 0
    first_figures: dict[str, Estimate] = {}  # on these rows, by the names of gates
    second_figures: dict[str, Estimate] = {}
    base_log_loss: float | None = None  # of always answering the rate known at training
    difference: Estimate | None  # of AUC; None of a number
    differences: dict[str, Estimate] = {}  # of the other metrics
    # that decides: ndcg@10 where rows were ranked against each other, else auc, or spearman of a
    # number
    metric: str
    verdict: Literal["better", "worse", "undecided"]  # the second, at 95 %
    # by the outcomes that the first was trained for, if they are not the second's; the figures
    # above are by the second's
    other: OtherObjective | None = None

    def deciding(self) -> Estimate:
        """Return the difference between the runs in the metric that decides the verdict."""
        return self.differences.get(self.metric, self.whole())

    def whole(self) -> Estimate:
        """Return the difference in the order of all rows: of AUC, or spearman of a number."""
        return self.differences["spearman"] if self.difference is None else self.difference

    def __str__(self) -> str:
        return text(self)


class RunComparisons(StructRows[RunComparison]):
    """Every other run against the first, each pair on the rows that both were tested on."""

    __slots__ = ()

    def __str__(self) -> str:
        return text(self[0]) if len(self) == 1 else overview(self)

    @property
    def runs(self) -> tuple[Run, ...]:
        """Return the training runs that are compared, beginning with the one compared against."""
        return (self[0].first, *(pair.second for pair in self))


def compare(project: Project, *names: str) -> RunComparisons:
    """Compare each training run with the first of them, on the rows that both were tested on.

    Raises:
        NotFound: there is no such run, or it has no predictions.
        Invalid: it is a single run, or one failed, or they have no row in common.
    """
    if len(names) < 2:
        raise Invalid(
            "one run has nothing to be compared with",
            remedy=f"isthmus runs compare {' '.join(names)} RUN",
        )
    for name in names:
        if re.fullmatch(_TRIAL, name):
            raise Invalid(
                f"{name} is a trial of `isthmus tune`, and comparing takes runs: it has no model",
                remedy=f"isthmus train MODELFILE --trial {name}; then compare its run",
            )
    first, *others = (runs.get_run(project, name) for name in names)
    for run in (first, *others):
        if run.evaluation is None:
            raise Invalid(
                f"run {run.name} failed ({run.failure}): there is nothing to compare",
                remedy=f"isthmus runs show {run.name}",
            )
    theirs = _predictions(project, first)
    return RunComparisons(_pair(first, theirs, run, _predictions(project, run)) for run in others)


def _predictions(project: Project, run: Run) -> pa.Table:
    """Return a run's forward predictions as a table; raise NotFound if they were deleted."""
    try:
        return runs.predictions_of(project.target.blobs, run.name)
    except NotFound as error:
        raise NotFound(
            f"the predictions of {run.name} are gone: {error}",
            remedy="train the configuration again",
        ) from error


def _pair(first: Run, theirs: pa.Table, second: Run, ours: pa.Table) -> RunComparison:
    """Compare two training runs on the rows that both were tested on.

    Runs for different objectives are compared by the outcomes of either, and by their order alone.
    """
    common, other = measure.common_rows(ours, theirs)
    if not common.num_rows:
        raise Invalid(
            f"{first.name} and {second.name} were tested on different rows: no row is common "
            "to both",
            remedy="train both on the same window",
        )
    differences = measure.differences(common, other)
    first_figures = measure.figures_of(common, other)
    second_figures = measure.figures_of(common, common["prediction"].to_numpy())
    ranking, by_other = f"ndcg@{CUTOFF}", None
    metric = next(name for name in (ranking, "auc", "spearman") if name in differences)
    if first.objective != second.objective:
        by_other = measure.by_other_objective(theirs, ours, first.objective)
        metric = deciding_metric(differences)
        first_figures, second_figures, differences = map(
            measure.order_figures, (first_figures, second_figures, differences)
        )
    deciding = differences[metric]
    return RunComparison(
        first=first,
        second=second,
        rows=common.num_rows,
        positives=measure.count_positives(common),
        first_figures=first_figures,
        second_figures=second_figures,
        base_log_loss=None
        if is_number(common) or by_other
        else float(log_loss(common["base_rate"].to_numpy(), common["outcome"].to_numpy()).mean()),
        difference=differences.pop("auc", None),
        differences=differences,
        metric=metric,
        verdict="better" if deciding.low > 0 else "worse" if deciding.high < 0 else "undecided",
        other=by_other,
    )


def text(comparison: RunComparison) -> str:
    """Return a comparison of two runs as a text table, for the console."""
    first, second = comparison.first, comparison.second
    rows = [
        ("", f"{first.name} {first.title()}", f"{second.name} {second.title()}", ""),
        ("version", version_of(first), version_of(second), ""),
        ("features", str(len(first.features)), str(len(second.features)), ""),
        *([("objective", first.objective, second.objective, "")] if comparison.other else []),
        *figure_rows(comparison, "   "),
        *(other_objective.figure_rows(comparison.other) if comparison.other else []),
    ]
    label_width = max(13, 2 + max(len(row[0]) for row in rows))
    first_width = max(31, 3 + max(len(row[1]) for row in rows))
    second_width = max(27, 3 + max(len(row[2]) for row in rows))
    lines = [
        f"  {name:<{label_width}}{left:<{first_width}}{right:<{second_width}}{rest}".rstrip()
        for name, left, right, rest in rows
    ]
    first_evaluation, second_evaluation = figures(first), figures(second)
    note = []
    if comparison.rows < max(first_evaluation.rows, second_evaluation.rows):
        note = [f"figures   of the {plural(comparison.rows, 'row')} that both were tested on"]
    return "\n".join(
        [
            *lines,
            *changed_columns(first, second),
            *note,
            f"intervals {figure_text.independence(second_evaluation)}",
            f"verdict   {spoken_verdict(comparison)}",
        ]
    )


def overview_rows(pairs: Sequence[RunComparison]) -> tuple[tuple[str, ...], ...]:
    """Return a table that compares several runs: its titles, and a row of texts for each run.

    A row has the run's own figures, and the deciding difference to the first run on the rows of
    both.
    """
    head = (
        "run",
        "version",
        "features",
        "objective",
        "auc",
        "spearman",
        f"ndcg@{CUTOFF}",
        "rmse",
        "obs/exp",
        "against the first",
        "rows",
        "verdict",
        f"by {pairs[0].first.objective}",
    )
    mixed = any(pair.other for pair in pairs)

    def own(run: Run) -> tuple[str, ...]:
        by_name = figures(run).figures()
        names = ("auc", "spearman", f"ndcg@{CUTOFF}", "rmse", "calibration")
        cells = (
            with_interval(by_name[name], name, "  ") if name in by_name else "" for name in names
        )
        objective = run.objective if mixed else ""
        features = str(len(run.features))
        return (f"{run.name} {run.title()}", version_of(run), features, objective, *cells)

    lines = [(*own(pairs[0].first), "", f"{figures(pairs[0].first).rows:,}", "", "")]
    for pair in pairs:
        difference = f"{pair.metric} {difference_text(pair.deciding(), pair.metric, '  ')}"
        by_other = ""
        if (other := pair.other) is not None:
            by_other = f"{other.metric} {difference_text(other.deciding, other.metric, '  ')}"
        lines.append((*own(pair.second), difference, f"{pair.rows:,}", pair.verdict, by_other))
    columns = [column for column in zip(head, *lines, strict=True) if any(column[1:])]
    return tuple(zip(*columns, strict=True))


def overview(pairs: Sequence[RunComparison]) -> str:
    """Return the text table that compares three runs or more, for the console."""
    rows = overview_rows(pairs)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join(
        [
            *lines,
            "figures   of a run are those of its own rows, differences those of the rows of both",
            f"intervals {figure_text.independence(figures(pairs[-1].second))}",
            misleading_intervals_text(len(pairs)),
        ]
    )


def misleading_intervals_text(number: int) -> str:
    """Return a sentence: of so many 95 % intervals, how many exclude 0 by chance alone."""
    return (
        f"each interval is a 95 % one by itself: of {number} differences that are none, "
        f"{number / 20:.1g} look decided on average"
    )


def figure_rows(comparison: RunComparison, gap: str) -> list[tuple[str, str, str, str]]:
    """Return each metric of two compared runs as texts: (metric, first, second, difference).

    `gap` stands between a metric and its interval.
    """
    first, second = comparison.first_figures, comparison.second_figures

    def difference(name: str) -> str:
        between = comparison.difference if name == "auc" else comparison.differences.get(name)
        return "" if between is None else difference_text(between, name, gap)

    both = {**first, **second}
    whose = f"{comparison.second.objective} " if comparison.other else ""
    lines = [
        (
            f"{whose}{name.replace('_', ' ')}",
            with_interval(first.get(name), name, gap),
            with_interval(second.get(name), name, gap),
            difference(name),
        )
        for name in (
            "spearman" if comparison.difference is None else "auc",
            *(name for name in ("pr_auc", "rmse", "mae", "r2") if name in both),
            *ranking_figures(both),
        )
    ]
    if "log_loss" in first or "log_loss" in second:
        base = comparison.base_log_loss
        base_text = "" if base is None else f"base rate {base:.5f}"
        lines.append(("log loss", _loss(first), _loss(second), base_text))
    if "calibration" in first or "calibration" in second:
        left, right = (
            with_interval(side.get("calibration"), "calibration", gap) for side in (first, second)
        )
        lines.append(("obs/exp", left, right, ""))
    return lines


def figures(run: Run) -> Evaluation:
    """Return a run's evaluation; raise Invalid if the run failed and has none."""
    if run.evaluation is None:
        raise Invalid(f"run {run.name} has no figures: {run.failure}")
    return run.evaluation


def version_of(run: Run) -> str:
    """Return the model version that a run made and its alias, as text."""
    return f"{run.version or 'none'}{f' {run.alias}' if run.alias else ''}"


def spoken_verdict(comparison: RunComparison) -> str:
    """Return as text which of two runs ranks better, or how many more data would decide.

    If AUC, or spearman, shows the opposite, the text says that, too.
    """
    name, deciding = comparison.second.name, comparison.deciding()
    if comparison.other is not None:
        return other_objective.trade_off(
            name, comparison.second.objective, comparison.metric, deciding, comparison.other
        )
    words = {
        "undecided": f"undecided. {power_text(comparison)}".rstrip(),
        "better": f"{name} ranks better: {comparison.metric} {estimate(deciding, sign=True)}",
        "worse": f"{name} ranks worse: {comparison.metric} {estimate(deciding, sign=True)}",
    }[comparison.verdict]
    whole, metric = comparison.whole(), "spearman" if comparison.difference is None else "auc"
    otherwise = (comparison.verdict == "worse" and whole.low > 0) or (
        comparison.verdict == "better" and whole.high < 0
    )
    return words + (
        f" ({metric} says otherwise: {estimate(whole, sign=True)})" if otherwise else ""
    )


def power_text(comparison: RunComparison) -> str:
    """Return a sentence on the smallest difference that the compared rows show with 80 % power."""
    evaluation = figures(comparison.second)
    if evaluation.unit is not None and evaluation.units:
        return figure_text.power_of_units(
            comparison.deciding(),
            evaluation.units,
            evaluation.unit,
            f"a difference in {comparison.metric}",
        )
    if comparison.difference is None:
        return figure_text.power_of_units(
            comparison.deciding(), comparison.rows, "row", f"a difference in {comparison.metric}"
        )
    return figure_text.power_text(comparison.positives, outcome_of(comparison.second))


def _loss(figures_: dict[str, Estimate]) -> str:
    """Return the log loss among these metrics as text, or `no rates`."""
    return f"{figures_['log_loss'].value:.5f}" if "log_loss" in figures_ else "no rates"
