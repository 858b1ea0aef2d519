"""An experiment's page: one HTML file that fetches nothing.

Everything on it is from its results.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from ...core.runtime.project import Project
from ...pipelines.evaluation.statistics import Estimate
from ...pipelines.run_pages.report_store import keep
from ...reports import page, plots
from .log_results import Look, Metric, Results, results
from .log_text import percents, plural, points

_KINDS = {"better": "pass", "worse": "fail", "invalid": "fail"}
_FEWEST_LOOKS = 2  # of one a picture shows nothing that the table does not


def report(project: Project, name: str) -> Path:
    """Write the page into the blob store, and give a path that opens it.

    NotFound, Invalid: as `results`.
    """
    seen = results(project, name)
    return keep(project, f"experiment-{name}.html", html(seen, project.target.name).encode())


def html(seen: Results, target: str) -> str:
    heading = page.heading(
        f"{seen.experiment}: {seen.treatment} against {seen.control}", about(seen)
    )
    return page.page(seen.experiment, [heading, *sections(seen)], page.footer(seen.as_of, target))


def sections(seen: Results) -> list[str]:
    """HTML of what it shows, the verdict first."""
    metrics = (seen.metric, *seen.guardrails, *seen.also)
    return [
        page.verdict(
            [seen.headline.capitalize(), seen.verdict.why], _KINDS.get(seen.verdict.word, "")
        ),
        page.section("Arms", _arms(seen)),
        *_differences(metrics),
        *_over_time(seen),
        *_checks(seen),
    ]


def about(seen: Results) -> str:
    how = (
        "One look at a closed log."
        if seen.inference == "fixed"
        else "The log grows: every interval holds at all looks together."
    )
    unit = (
        f"Compared by {seen.unit}"
        if seen.unit
        else f"Compared by {seen.exposure}: the log names no unit, so true intervals are wider"
    )
    return f"Assigned by the site. {unit}. {how}"


def _arms(seen: Results) -> str:
    rows: list[list[str]] = []
    for name, arm in seen.metric.arms.items():
        rows.append(
            [
                name,
                f"{arm.units:,}",
                f"{arm.d:,}",
                f"{arm.y:,}",
                f"{100 * arm.rate:.3f} %",
                _interval(seen.metric.rates[name]),
            ]
        )
    return page.table(
        ["", "units", f"{seen.exposure}s", f"{seen.metric.outcome}s", seen.metric.name, "95 %"],
        rows,
        numbers=True,
    )


def _interval(rate: Estimate | None) -> str:
    return "too few" if rate is None else f"{100 * rate.low:.2f} .. {100 * rate.high:.2f} %"


def _differences(metrics: Sequence[Metric]) -> list[str]:
    lines = [
        plots.Range(
            name=f"{metric.name} (guardrail)" if metric.guardrail else metric.name,
            value=100 * of.value,
            low=100 * of.low,
            high=100 * of.high,
        )
        for metric in metrics
        if metric.difference is not None
        for of in (metric.difference.relative,)
    ]
    if not lines:
        return []
    rows = [
        [metric.name, points(metric.difference), percents(metric.difference), _role(metric)]
        for metric in metrics
        if metric.difference is not None
    ]
    behind = page.table(["", "points", "relative", ""], rows)
    reach = max(1.0, *(abs(bound) for line in lines for bound in (line.low, line.high))) * 1.05
    ruler = plots.axis("relative difference, %", -reach, reach)
    return [
        page.section(
            "Differences",
            plots.ranges("treatment against control, 95 %", ruler, lines, behind=behind),
        )
    ]


def _role(metric: Metric) -> str:
    return f"guardrail, {metric.guardrail}: {metric.judged}" if metric.guardrail else ""


def _over_time(seen: Results) -> list[str]:
    drawn = [(look, look.difference.relative) for look in seen.looks if look.difference is not None]
    if len(drawn) < _FEWEST_LOOKS:
        return []
    first = date.fromisoformat(seen.looks[0].day)
    days = [float((date.fromisoformat(look.day) - first).days + 1) for look, _ in drawn]
    low, high = ([100 * of.low for _, of in drawn], [100 * of.high for _, of in drawn])
    series = plots.Series(
        name="",
        style="a",
        x=days,
        y=[100 * of.value for _, of in drawn],
        low=low,
        high=high,
        kind="dots",
    )
    reach = max(1.0, *map(abs, low), *map(abs, high)) * 1.05
    zero = plots.Series(name="", style="quiet", x=[0.0, days[-1] + 1], y=[0.0, 0.0])
    graph = plots.chart(
        f"{seen.metric.name} at the end of each day, all days up to it",
        plots.axis("day", 0.0, days[-1] + 1),
        plots.axis("relative difference, %", -reach, reach),
        [zero, series],
        behind=page.table(["until", "units", "points", "relative"], map(_look, seen.looks)),
        wide=True,
    )
    note = (
        "Looks at one log are not independent: an interval that leaves zero on some day of a "
        "closed log says less than the last one."
    )
    return [
        page.section(
            "Over time", graph, page.words(note, "soft") if seen.inference == "fixed" else ""
        )
    ]


def _look(look: Look) -> list[str]:
    return [
        look.day,
        f"{look.units:,}",
        points(look.difference) if look.difference else "too few",
        percents(look.difference),
    ]


def _checks(seen: Results) -> list[str]:
    lines = [str(seen.split)] if seen.split else []
    lines += [f"{plural(seen.twice, 'unit')} in both arms, left out"] if seen.twice else []
    lines += (
        [f"{plural(seen.unnamed, 'row')} without {seen.unit}, left out"] if seen.unnamed else []
    )
    return [page.section("Checks", *map(page.words, lines))] if lines else []
