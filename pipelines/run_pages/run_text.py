"""Write a training run as text: the block of `isthmus train`, and lines for pages. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ...project.models.gate_figures import AGAINST, deciding_metric, figure_digits, ranks
from ...project.specs.exposures import EXPOSURES
from ...reports.columns import aligned, plural
from .curve_text import curve_lines
from .figure_text import days, digits_of, estimate, independence, interval, people, signed
from .other_objective import trade_off

if TYPE_CHECKING:
    from ..evaluation.evaluation import Champion, Evaluation, Ranked
    from ..evaluation.statistics import Estimate
    from .records import Run, TrainingSetData


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


def outcomes_text(number: int, run: Run) -> str:
    """Return a number of rows with the outcome as text: `80 clicks`; of a number `80 above 0`."""
    if run.data is not None and run.data.sums is not None:
        return f"{number:,} with a {run.objective} other than 0"
    return plural(number, outcome_of(run))


def amount(number: float) -> str:
    """Return a number in the unit of an outcome as text, with four significant digits."""
    return f"{number:,.{figure_digits('mean', number)}f}"


def description(data: TrainingSetData) -> str:
    """Return a training set as text: `20,000 impressions, 80 clicks (0.40 %), ...`.

    Of a number that is `20,000 impressions, 80 with stay.seconds other than 0 (0.40 %), 12.35 on
    average, ...`.
    """
    share = f" ({100 * data.positives / data.rows:.2f} %)" if data.rows else ""
    span = f", {days(data.first.date(), data.last.date())}" if data.first and data.last else ""
    served = data.exposure == EXPOSURES
    in_time = " as they were scored" if served else " point in time" if data.views else ""
    outcomes = f"{plural(data.positives, data.outcome)}{share}"
    if data.sums is not None and data.mean is not None:
        outcomes = (
            f"{data.positives:,} with {data.outcome}.{data.sums} other than 0{share}, "
            f"{amount(data.mean)} on average{_capped(data.capped, data.at_most)}"
        )
    rows = f"{data.rows:,} {data.exposure}{'' if served else 's'}, {outcomes}{span}"
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


def _capped(share: float | None, at_most: float | None) -> str:
    """Return as text which share of rows is at the cap of a row's label; empty without a cap."""
    if share is None or at_most is None:
        return ""
    return f", {100 * share:.2g} % at the cap of {at_most:,g}"


def _figures(run: Run, evaluation: Evaluation) -> list[str]:
    """Return the lines of a run's summary about its metrics."""
    number = len(evaluation.periods)
    tested = (
        plural(number, "test day")
        if evaluation.forward_days == 1
        else f"{plural(number, 'test period')} of {evaluation.forward_days:g} days"
    )
    tested += f": {plural(evaluation.rows, 'row')}, {outcomes_text(evaluation.positives, run)}"
    lines = [_summary_line("forward", tested)]
    if evaluation.auc is None:
        return [*lines, *_number_figures(run, evaluation)]
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
    lines += _calibration(run, evaluation)
    return [*lines, *_against(run), _summary_line("intervals", independence(evaluation))]


def _calibration(run: Run, evaluation: Evaluation) -> list[str]:
    """Return the line of a run's summary about calibration; none where it is not known."""
    if evaluation.calibration is None:
        return []
    text = estimate(evaluation.calibration, 2, what=" observed/expected")
    return [_summary_line("calibration", _with_verdict(run, "calibration", text))]


def _number_figures(run: Run, evaluation: Evaluation) -> list[str]:
    """Return the lines of a run's summary about the metrics of a number."""
    lines = []
    if evaluation.mean is not None:
        off, digits = evaluation.metrics.get("mae"), digits_of("mean", evaluation.mean)
        error = f"   model off by {amount(off.value)} on average" if off else ""
        mean = estimate(evaluation.mean, digits, what=f" {run.objective}")
        lines.append(_summary_line("mean", f"{mean}{error}"))
    for name, note in number_notes(evaluation).items():
        if (figure := evaluation.metrics.get(name)) is not None:
            text = f"{estimate(figure, digits_of(name, figure))}     {note}"
            lines.append(_summary_line(name, _with_verdict(run, name, text)))
    lines += [*_ranking(run, evaluation), *_calibration(run, evaluation)]
    if evaluation.deciles:
        predicted, observed = (
            [amount(getattr(part, side)) for part in evaluation.deciles]
            for side in ("predicted", "outcome")
        )
        rows = aligned([["predicted", *predicted], ["observed", *observed]], left=(0,))
        lines += [_summary_line("by tenths", rows[0][2:]), _summary_line("", rows[1][2:])]
    lines += [*_against(run), _summary_line("intervals", independence(evaluation))]
    return lines + [_summary_line("warning", warning) for warning in evaluation.warnings]


def number_notes(evaluation: Evaluation) -> dict[str, str]:
    """Return each metric of a number that needs no ranked lists, with a note to print beside it."""
    base = "" if evaluation.base_rmse is None else amount(evaluation.base_rmse)
    return {
        "spearman": "chance 0",
        "rmse": f"{base} for always answering the mean" if base else "",
        "mae": "",
        "r2": "1 is perfect, 0 no better than these rows' mean",
    }


def ranking_figures(figures: Mapping[str, Estimate]) -> dict[str, Estimate]:
    """Select the metrics that measure the ranking within lists."""
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
        _summary_line(
            name.replace("_", " "),
            _with_verdict(run, name, estimate(figure, digits_of(name, figure))),
        )
        for name, figure in figures.items()
    ]
    lines.append(_summary_line("ranked", ranking_line(evaluation)))
    return [
        *lines,
        *(
            [_summary_line("first place", first_places(evaluation.ranked))]
            if evaluation.ranked.item
            else []
        ),
    ]


def ranking_line(evaluation: Evaluation) -> str:
    """Return the number of ranked groups as text: `within request_id: 1,204 groups; ...`."""
    ranked = evaluation.ranked
    if ranked is None:
        return ""
    alike = "whose values are all equal" if evaluation.kind == "number" else "without both outcomes"
    return (
        f"within {ranked.within}: {plural(ranked.groups, 'group')}; {ranked.left_out:,} "
        f"{alike} are left out"
    )


def first_places(ranked: Ranked) -> str:
    """Return as text how many items ever rank first: `34 of 120 item_ids ...; gini 0.81`."""
    return (
        f"{ranked.shown:,} of {ranked.items:,} {people(ranked.item or 'item')} come first "
        f"somewhere; gini {ranked.gini:.2f}, 0 is all alike"
    )


def _against(run: Run) -> list[str]:
    """Return the lines of a run's summary about its differences to the champion.

    They are those in AUC (or spearman), in NDCG, and in the metrics that the gate bounds.
    """
    gate_figures = [
        check.name.removesuffix(AGAINST)
        for check in run.checks.checks
        if check.name.endswith(AGAINST)
    ]
    differences = run.champion.figures()
    if not differences:
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
    lines: list[str] = []
    for name in dict.fromkeys(
        [
            "auc",
            "spearman",
            *(name for name in differences if name.startswith("ndcg")),
            *gate_figures,
        ]
    ):
        if name in differences:
            spoken = (
                f"{name.replace('_', ' ')} "
                f"{estimate(differences[name], digits_of(name, differences[name]), sign=True)}"
            )
            lines.append(
                _summary_line(
                    "" if lines else "vs champion", _with_verdict(run, f"{name}{AGAINST}", spoken)
                )
            )
    traded = trade_off_text(run)
    return [*lines, *([_summary_line("trade-off", traded)] if traded else [])]


def trade_off_text(run: Run) -> str | None:
    """Return a sentence on a run and a champion that was trained for another objective.

    It says for which of the objectives the run ranks better. None: it is the same objective.
    """
    other = run.champion.other
    if other is None:
        return None
    differences = run.champion.figures()
    metric = deciding_metric(differences)
    return trade_off(run.name, run.objective, metric, differences[metric], other)


def best_known(champion: Champion) -> str:
    """Return as text the AUC that perfect knowledge of an entity's rates would give.

    It is empty where that is not known. In the summary it follows `chance 0.5`.
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
