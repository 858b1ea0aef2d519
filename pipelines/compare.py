"""Two runs side by side: `isthmus runs compare r6 r7`. The verdict is the paired difference's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from ..errors import Invalid, NotFound
from . import evaluation, runs, statistics
from .records import Evaluation, Run
from .spoken import estimate, interval, power, signed
from .statistics import Estimate

if TYPE_CHECKING:
    from ..runtime import Project


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """`difference` is the second's AUC minus the first's, paired, on the rows that both were tested on."""

    first: Run
    second: Run
    rows: int
    clicks: int
    difference: Estimate
    verdict: Literal["better", "worse", "undecided"]  # the second, at 95 %

    def __str__(self) -> str:
        return text(self)


def compare(project: Project, a: str, b: str) -> Comparison:
    """Compare two runs by name; `report.comparison_page` draws it. NotFound: no such run, or no predictions. Invalid: no row in common."""
    first, second = runs.get_run(project, a), runs.get_run(project, b)
    for run in (first, second):
        if run.evaluation is None:
            raise Invalid(f"run {run.name} failed ({run.failure}): there is nothing to compare", remedy=f"isthmus runs show {run.name}")
    if first.objective != second.objective:
        raise Invalid(f"{a} was trained for {first.objective} and {b} for {second.objective}: their figures do not compare")
    blobs = project.target.blobs
    try:
        theirs, ours = runs.predictions_of(blobs, a), runs.predictions_of(blobs, b)
    except NotFound as error:
        raise NotFound(f"the predictions of {a} or {b} are gone: {error}", remedy="train the configuration again") from error
    common, other = evaluation.paired(ours, theirs)
    if not common.num_rows:
        raise Invalid(f"{a} and {b} were tested on different rows: no row is common to both", remedy="train both on the same window")
    outcomes = common["outcome"].to_numpy()
    difference = statistics.auc_difference(common["prediction"].to_numpy(), other, outcomes, evaluation.day_of(common))
    return Comparison(
        first=first,
        second=second,
        rows=common.num_rows,
        clicks=int(outcomes.sum()),
        difference=difference,
        verdict="better" if difference.low > 0 else "worse" if difference.high < 0 else "undecided",
    )


def text(found: Comparison) -> str:
    """The table that the console prints."""
    first, second = found.first, found.second
    rows = [
        ("", f"{first.name} {first.configuration}", f"{second.name} {second.configuration}", ""),
        ("version", version_of(first), version_of(second), ""),
        ("features", str(len(first.features)), str(len(second.features)), ""),
    ]
    one, two = figures(first), figures(second)
    difference = f"{signed(found.difference.value, 3)}   {interval(found.difference, sign=True)}"
    rows.append(("auc", _short(one.auc), _short(two.auc), difference))
    if one.log_loss is not None or two.log_loss is not None:
        rows.append(("log loss", _loss(one), _loss(two), f"base rate {two.base_log_loss:.5f}"))
    if one.calibration is not None or two.calibration is not None:
        rows.append(("obs/exp", _short(one.calibration, 2), _short(two.calibration, 2), ""))
    widths = [max(len(row[1]) for row in rows), max(len(row[2]) for row in rows)]
    lines = [
        f"  {name:<13}{left:<{max(31, widths[0] + 3)}}{right:<{max(27, widths[1] + 3)}}{rest}".rstrip() for name, left, right, rest in rows
    ]
    note = []
    if found.rows < max(one.rows, two.rows):
        note = [f"paired on the {found.rows:,} rows that both were tested on"]
    return "\n".join([*lines, *note, f"verdict   {spoken_verdict(found)}"])


def figures(run: Run) -> Evaluation:
    if run.evaluation is None:
        raise Invalid(f"run {run.name} has no figures: {run.failure}")
    return run.evaluation


def version_of(run: Run) -> str:
    return f"{run.version or 'none'}{f' {run.alias}' if run.alias else ''}"


def spoken_verdict(found: Comparison) -> str:
    outcome = found.second.data.outcome if found.second.data else "click"
    said = {
        "undecided": f"undecided. {power(found.clicks, outcome)}",
        "better": f"{found.second.name} ranks better: auc {estimate(found.difference, sign=True)}",
        "worse": f"{found.second.name} ranks worse: auc {estimate(found.difference, sign=True)}",
    }
    return said[found.verdict]


def _short(found: Estimate | None, digits: int = 3) -> str:
    return "no rates" if found is None else f"{found.value:<5.{digits}f}   {interval(found, digits)}"


def _loss(found: Evaluation) -> str:
    return "no rates" if found.log_loss is None else f"{found.log_loss:.5f}"
