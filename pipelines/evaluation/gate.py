"""Judge whether a run may go on: pass, fail or inconclusive, by 95 % intervals.

A figure that is missing is not a good figure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from ...project.models.gate_figures import AGAINST, CUTOFF, cutoffs, figure_digits, orders, ranks
from ...project.specs.description import Bound, Gate
from ...reports.columns import plural
from .evaluation import Evaluation
from .leak_alarm import FeatureFinding
from .statistics import Estimate

Verdict = Literal["pass", "fail", "inconclusive"]


class Check(msgspec.Struct, frozen=True, kw_only=True):
    name: str  # as in a configuration: auc_vs_champion, calibration
    wanted: str  # in words
    verdict: Verdict
    reason: str


class GateResult(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict of a gate and its checks; `verdict` is None if nothing is asked for."""

    verdict: Verdict | None
    checks: tuple[Check, ...] = ()
    note: str | None = None  # where AUC (of a number spearman) and the ranking disagree

    def verdict_of(self, name: str) -> Verdict | None:
        """Return the verdict of the gate's check of this name; None if it has no such check."""
        return next((check.verdict for check in self.checks if check.name == name), None)


_DEFAULT = Bound(metric=f"ndcg@{CUTOFF}", against=True, low=0.0)


def bounds_of(gate: Gate, *, ranked: bool, champion: bool) -> tuple[Bound, ...]:
    """Return the bounds on metrics that a gate checks: its own, and perhaps a default.

    The default bounds the loss of ranking against the champion. It is added if there is a champion,
    if rows were ranked together (`ranked`), and if no bound of the gate compares the ranking
    itself.
    """
    own = any(bound.against and ranks(bound.metric) for bound in gate.bounds)
    return gate.bounds if own or not ranked or not champion else (*gate.bounds, _DEFAULT)


def has_order(evaluation: Evaluation) -> bool:
    """Return whether any two rows of an evaluation were ranked in the same list."""
    ranked = evaluation.ranked
    return ranked is not None and ranked.groups + ranked.left_out < evaluation.rows


def cutoffs_of(gate: Gate) -> tuple[int, ...]:
    """Return every cutoff k that the gate's metrics (ndcg@k, recall@k, precision@k) need."""
    return cutoffs(bound.metric for bound in gate.bounds)


def within(
    estimate: Estimate | None, low: float | None = None, high: float | None = None
) -> Verdict:
    """Judge a metric by its whole interval: inside the bounds passes, outside fails."""
    if estimate is None:
        return "inconclusive"
    low, high = -math.inf if low is None else low, math.inf if high is None else high
    if low <= estimate.low and estimate.high <= high:
        return "pass"
    return "fail" if estimate.high < low or estimate.low > high else "inconclusive"


def judge(
    bounds: Sequence[Bound],
    figures: Mapping[str, Estimate],
    differences: Mapping[str, Estimate],
    *,
    no_champion: str | None = None,
    leaks: Check | None = None,
    notes: Sequence[str] = (),
    no_unit: str | None = None,
    trained_for: str | None = None,
) -> GateResult:
    """Judge a model's metrics by a gate's bounds; return the checks and the worst verdict.

    Args:
        bounds: The bounds that the metrics must keep.
        figures: The model's metrics with their intervals, by name.
        differences: The model's metrics minus the champion's.
        no_champion: Why there are no differences.
        leaks: The check that no feature leaks the label, if there is one.
        notes: Further remarks for the result.
        no_unit: Why nobody knows which rows are independent of each other: no interval is wide
            enough for a pass then.
        trained_for: What the champion was trained for, if that is another objective.
    """
    checks = []
    for bound in bounds:
        estimate = (differences if bound.against else figures).get(bound.metric)
        other_scale = None
        if trained_for is not None and not orders(bound.metric):
            other_scale = f"the champion predicts {trained_for}, which is on another scale"
        reason = (
            ((no_champion or other_scale) if bound.against else None)
            or _unknown(bound.metric, number="rmse" in figures)
            if estimate is None
            else spoken_figure(
                estimate, figure_digits(bound.metric, estimate.value, estimate.low, estimate.high)
            )
        )
        name = f"{bound.metric}{AGAINST if bound.against else ''}"
        checks.append(
            Check(
                name=name,
                wanted=_range_text(bound),
                verdict=within(estimate, bound.low, bound.high),
                reason=reason,
            )
        )
    checks += [leaks] if leaks is not None else []
    verdict = _worst([check.verdict for check in checks])
    remarks = [_disagreement(differences), *notes]
    if no_unit is not None and verdict == "pass" and bounds:
        verdict = "inconclusive"
        remarks.append(no_unit)
    return GateResult(
        verdict=verdict, checks=tuple(checks), note="; ".join(filter(None, remarks)) or None
    )


def no_leaks(gate: Gate, looked: Sequence[FeatureFinding]) -> Check | None:
    """Return the gate's check that no feature leaks the label; None if it has no such check.

    `looked` are the findings of the leak alarm, one for each feature. The check fails if a feature
    raises an alarm, and is inconclusive if one was not looked at.
    """
    if gate.leaks is None:
        return None
    alarms = [feature.feature for feature in looked if feature.warnings]
    unseen = [
        f"{feature.feature} ({feature.why_not or 'it has no order'})"
        for feature in looked
        if feature.auc is None and not feature.warnings
    ]
    verdict: Verdict = "fail" if alarms else "inconclusive" if unseen or not looked else "pass"
    return Check(
        name="leaks",
        wanted="none",
        verdict=verdict,
        reason={
            "fail": f"the leak alarm calls {', '.join(alarms)}",
            "inconclusive": f"not looked at: {', '.join(unseen) or 'any feature'}",
            "pass": f"{len(looked)} of {plural(len(looked), 'feature')} looked at",
        }[verdict],
    )


def _disagreement(differences: Mapping[str, Estimate]) -> str | None:
    """Return a warning as text if a model is better by AUC (or spearman) and worse by ndcg.

    `differences` are those to the champion, by metric. Such a model has learnt which users like
    much, not which items a user prefers.
    """
    name, metric = _DEFAULT.metric, "spearman" if "spearman" in differences else "auc"
    whole, ranking = differences.get(metric), differences.get(name)
    if (
        within(whole, low=0) != "pass"
        or within(ranking, low=0) != "fail"
        or whole is None
        or ranking is None
    ):
        return None
    spoken = "AUC" if metric == "auc" else metric
    return (
        f"by {spoken} alone it would pass ({metric}{AGAINST} {spoken_figure(whole)}), and it ranks "
        f"worse ({name}{AGAINST} {spoken_figure(ranking)}): "
        f"{spoken} also compares rows that nobody chose between"
    )


def _range_text(bound: Bound) -> str:
    """Return a gate's bound as text: `at least 0.5`."""
    if bound.low is not None and bound.high is not None:
        return f"within {bound.low:g} .. {bound.high:g}"
    return f"at most {bound.high:g}" if bound.low is None else f"at least {bound.low:g}"


def _unknown(metric: str, *, number: bool) -> str:
    """Return a text that says why a metric has no value.

    `number` says that the outcomes are numbers.
    """
    if number:
        return {
            "calibration": "a prediction is below 0, or units are too few",
            "spearman": "all predictions are equal, or units are too few",
        }.get(metric, "too few groups to judge, or a value below 0" if ranks(metric) else _FEW)
    if ranks(metric):
        return "too few groups hold both outcomes"
    if metric == "pr_auc":
        return "too few units with the outcome"
    return (
        "its scores are not probabilities, or units are too few"
        if metric in ("log_loss", "calibration")
        else _FEW
    )


_FEW = "too few units"


def spoken_figure(estimate: Estimate, digits: int = 3) -> str:
    """Return a metric with its 95 % interval as text."""
    low, high = f"{estimate.low:.{digits}f}", f"{estimate.high:.{digits}f}"
    return f"{estimate.value:.{digits}f}, 95 % {low} .. {high}"


def _worst(verdicts: list[Verdict]) -> Verdict | None:
    """Return the worst of several verdicts, or None if there are none."""
    order: tuple[Verdict, ...] = ("fail", "inconclusive", "pass")
    return next((verdict for verdict in order if verdict in verdicts), None)
