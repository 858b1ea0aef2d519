"""Write a training run as text: the block of `isthmus train`, and lines for pages. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ...project.models.gate_figures import AGAINST, ranks
from ...reports.columns import plural
from .curve_text import curve_lines
from .figure_text import days, digits_of, estimate, independence, interval, people, signed

if TYPE_CHECKING:
    from ..evaluation.evaluation import Champion, Evaluation, Ranked
    from ..evaluation.statistics import Estimate
    from .records import Data, Run


def text(run: Run) -> str:
    """Return a training run's summary as text, the block that `isthmus train` prints."""
    lines = [
        f"{run.target:<7} run {run.name}   {run.model} / {run.title()}   {run.git or 'no git'}"
    ]
    if run.data:
        lines.append(_summary_line("rows", description(run.data)))
    lines += [_summary_line("corrected", str(run.corrected))] if run.corrected else []
    if run.data:
        warnings = (*run.data.warnings, *run.data.late)
        lines += [f"  warning       {warning}" for warning in warnings]
    if run.evaluation:
        lines += _figures(run, run.evaluation)
    if run.status == "failed":
        lines.append(f"failed: {run.failure}; nothing was registered   log {run.log}")
        return "\n".join(lines)
    if run.curve:
        first, *rest = curve_lines(run.curve)
        lines += [_summary_line("curve", first), *(_summary_line("", line) for line in rest)]
    lines += [
        _summary_line("leaks", _with_verdict(run, "leaks", check.reason))
        for check in run.checks.checks
        if check.name == "leaks"
    ]
    lines.append(_summary_line("gate", _gate(run)))
    lines += [_summary_line("", run.checks.note)] if run.checks.note else []
    alias = run.alias or run.alias_why_not
    lines.append(
        f"registered {run.version}{f' ({alias})' if alias else ''}   log {run.log}   report "
        f"{run.report}"
    )
    return "\n".join(lines)


def next_steps(run: Run) -> tuple[str, ...]:
    """Return the commands that `isthmus train` suggests after a run."""
    if run.status == "failed":
        return (f"runs show {run.name}",)
    compare = (f"runs compare {run.champion.run} {run.name}",) if run.champion.run else ()
    return (
        (*compare, f"deploy {run.model}")
        if run.gate != "fail"
        else compare or (f"runs show {run.name}",)
    )


def _summary_line(name: str, rest: str) -> str:
    """Return a line of a run's summary: a label and the rest."""
    return f"  {name:<13} {rest}"


def outcome_of(run: Run) -> str:
    """Return the name of the outcome that a run predicts (`click`), or `positive`."""
    return run.data.outcome if run.data else "positive"


def description(data: Data) -> str:
    """Return a training set as text: `20,000 impressions, 80 clicks (0.40 %), ...`."""
    share = f" ({100 * data.positives / data.rows:.2f} %)" if data.rows else ""
    span = f", {days(data.first.date(), data.last.date())}" if data.first and data.last else ""
    in_time = " point in time" if data.views else ""
    rows = f"{data.rows:,} {data.exposure}s, {plural(data.positives, data.outcome)}{share}{span}"
    empty = [
        f"no {view.replace('_', ' ')}{' yet' if i == 0 else ''} in {number:,}"
        for i, (view, number) in enumerate(data.empty.items())
    ]
    return "; ".join(
        [
            rows,
            f"{plural(data.features, 'feature')}{in_time}",
            *([", ".join(empty)] if empty else []),
        ]
    )


def _figures(run: Run, evaluation: Evaluation) -> list[str]:
    """Return the lines of a run's summary about its metrics."""
    number = len(evaluation.periods)
    tested = (
        plural(number, "test day")
        if evaluation.forward_days == 1
        else f"{plural(number, 'test period')} of {evaluation.forward_days:g} days"
    )
    tested += f": {plural(evaluation.rows, 'row')}"
    lines = [_summary_line("forward", f"{tested}, {plural(evaluation.positives, outcome_of(run))}")]
    lines.append(
        _summary_line(
            "auc",
            _with_verdict(
                run, "auc", f"{estimate(evaluation.auc)}     chance 0.5{best_known(run.champion)}"
            ),
        )
    )
    if (precision := evaluation.metrics.get("pr_auc")) is not None:
        chance = (
            f"{estimate(precision)}     chance about {evaluation.positives / evaluation.rows:.3f}"
        )
        lines.append(_summary_line("pr auc", _with_verdict(run, "pr_auc", chance)))
    lines += _ranking(run, evaluation)
    if evaluation.log_loss is not None and evaluation.log_loss_difference is not None:
        to_base = evaluation.log_loss_difference
        between = (
            f", 95 % {interval(to_base, 5, sign=True)}"
            if evaluation.units
            else f" +- {to_base.high - to_base.value:.5f}"
        )
        base = f"{evaluation.base_log_loss:.5f} for always answering the base rate"
        difference = f"{signed(to_base.value, 5)}{between}"
        lines.append(
            _summary_line("log loss", f"{evaluation.log_loss:.5f} against {base} ({difference})")
        )
    if evaluation.calibration is not None:
        lines.append(
            _summary_line(
                "calibration",
                _with_verdict(
                    run,
                    "calibration",
                    estimate(evaluation.calibration, 2, what=" observed/expected"),
                ),
            )
        )
    return [*lines, *_against(run), _summary_line("intervals", independence(evaluation))]


def ranking_figures(figures: Mapping[str, Estimate]) -> dict[str, Estimate]:
    """Return those of the metrics that measure the ranking within groups."""
    return {name: figure for name, figure in figures.items() if ranks(name)}


def _with_verdict(run: Run, check: str, text: str) -> str:
    """Return a metric's text followed by the gate's verdict on it."""
    return f"{text:<59}   {run.checks.verdict_of(check) or ''}".rstrip()


def _ranking(run: Run, evaluation: Evaluation) -> list[str]:
    """Return the lines of a run's summary about ranking within groups."""
    if evaluation.ranked is None:
        return []
    figures = ranking_figures(evaluation.metrics)
    lines = [
        _summary_line(name.replace("_", " "), _with_verdict(run, name, estimate(figure)))
        for name, figure in figures.items()
    ]
    lines.append(_summary_line("ranked", ranking_line(evaluation.ranked)))
    return [
        *lines,
        *(
            [_summary_line("first place", first_places(evaluation.ranked))]
            if evaluation.ranked.item
            else []
        ),
    ]


def ranking_line(ranked: Ranked) -> str:
    """Return the number of ranked groups as text: `within request_id: 1,204 groups; ...`."""
    return (
        f"within {ranked.within}: {plural(ranked.groups, 'group')}; {ranked.left_out:,} "
        "without both outcomes are left out"
    )


def first_places(ranked: Ranked) -> str:
    """Return as text how many items ever rank first: `34 of 120 item_ids ...; gini 0.81`."""
    return (
        f"{ranked.shown:,} of {ranked.items:,} {people(ranked.item or 'item')} come first "
        f"somewhere; gini {ranked.gini:.2f}, 0 is all alike"
    )


def _against(run: Run) -> list[str]:
    """Return the lines of a run's summary about its differences to the champion.

    They are AUC's, NDCG's, and what the gate asks for.
    """
    gate_figures = [
        check.name.removesuffix(AGAINST)
        for check in run.checks.checks
        if check.name.endswith(AGAINST)
    ]
    if run.champion.difference is None:
        why = run.champion.why_not
        return (
            [
                _summary_line(
                    "vs champion",
                    _with_verdict(run, f"{gate_figures[0]}{AGAINST}" if gate_figures else "", why),
                )
            ]
            if why
            else []
        )
    differences = run.champion.figures()
    lines: list[str] = []
    for name in dict.fromkeys(
        ["auc", *(name for name in differences if name.startswith("ndcg")), *gate_figures]
    ):
        if name in differences:
            spoken = (
                f"{name.replace('_', ' ')} "
                f"{estimate(differences[name], digits_of(name), sign=True)}"
            )
            lines.append(
                _summary_line(
                    "" if lines else "vs champion", _with_verdict(run, f"{name}{AGAINST}", spoken)
                )
            )
    return lines


def best_known(champion: Champion) -> str:
    """Return as text the AUC that perfect knowledge of the entity's rates would give.

    It follows `chance 0.5`; it is empty where that is not known.
    """
    if champion.ceiling is None or champion.ceiling_of is None:
        return ""
    most = "" if champion.ceiling_high is None else f", {champion.ceiling_high:.2f} at most"
    return (
        f"; knowing every {champion.ceiling_of}'s true rate would give about "
        f"{champion.ceiling:.2f}{most}"
    )


def _gate(run: Run) -> str:
    """Return as text what the gate decided about a run's version."""
    if run.gate is None:
        return "none asked for"
    return {
        "pass": "pass",
        "fail": "fail: it is registered, rejected, and gets no alias",
        "inconclusive": "inconclusive: it may serve as challenger, not become champion",
    }[run.gate] + (
        f" ({run.alias_why_not})"
        if run.alias_why_not and run.alias is None and run.gate != "fail"
        else ""
    )
