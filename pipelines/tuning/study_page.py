"""Draw the page of a study, `reports/t4.html`: the metric by trial and by each parameter."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ...project.models.gate_figures import figure_digits, is_loss
from ...project.specs.tuning import Search
from ...reports import page, plots
from ...reports.columns import plural
from ..run_pages.report_store import keep
from .result import Tuned, last_text, setting_text, settings_text, trial_rows
from .study import Setting

if TYPE_CHECKING:
    from ...core.runtime.project import Project

_HEADLINES = {
    "pass": "The best trial is better than the file's parameters",
    "fail": "The best trial is worse than the file's parameters",
    "inconclusive": "Whether the best trial is better than the file's parameters is undecided",
}


def with_page(project: Project, tuned: Tuned) -> Tuned:
    """Write a study's HTML page, and return the study's result with the path of it.

    On a cloud target that is a copy in the project's .isthmus/.
    """
    path: Path = keep(project, f"{tuned.study}.html", html(tuned).encode())
    return msgspec.structs.replace(tuned, page=str(path))


def html(tuned: Tuned) -> str:
    """Return the page of a study as HTML text."""
    last, tune = tuned.last, tuned.tune
    head, *rows = trial_rows(tuned, tuned.ranked())
    behind = page.table(head, rows, numbers=True)
    body = [
        page.heading(
            f"Study {tuned.study}: {tuned.path}",
            f"{plural(len(tuned.trials), 'trial')}, {tune.parallel} at a time, by {tune.metric}",
        ),
        page.verdict(
            [
                f"{_HEADLINES[last.verdict]}.",
                f"Best trial {tuned.best.number}: {settings_text(tuned.best.parameters)}.",
                f"{tune.metric} {last_text(tuned)}.",
            ],
            {"pass": "pass", "fail": "fail"}.get(last.verdict, ""),
        ),
        page.section(
            "By trial and by parameter",
            page.words(
                "Each dot is a trial, on the test periods but the last. The best of many trials "
                "looks better there than it is: the verdict is of the last period alone.",
                "soft",
            ),
            _by_trial(tuned),
            page.charts(*(_by_parameter(tuned, name) for name in tune.search)),
        ),
        page.section("Trials", behind),
    ]
    return page.page(f"Study {tuned.study}", body, page.footer(last.end, tuned.target))


def _by_trial(tuned: Tuned) -> str:
    """Return the chart of each trial's metric in order, with the best so far as a line."""
    numbers = [float(trial.number) for trial in tuned.trials]
    values = [trial.value for trial in tuned.trials]
    better = min if is_loss(tuned.tune.metric) else max
    so_far = [better(values[: place + 1]) for place in range(len(values))]
    across = plots.axis("trial", 0.5, len(numbers) + 0.5, digits=0, steps=min(len(numbers), 10))
    line = plots.Series(name="the best so far", style="quiet", x=numbers, y=so_far)
    title = f"{tuned.tune.metric} by trial"
    return plots.chart(title, across, _up(tuned), [line, *_dots(tuned, numbers)], wide=True)


def _by_parameter(tuned: Tuned, name: str) -> str:
    """Return the chart of the trials' metric by what they set one parameter to."""
    search = tuned.tune.search[name]
    places = [_place(search, trial.parameters[name]) for trial in tuned.trials]
    title = f"{tuned.tune.metric} by {name}"
    return plots.chart(title, _across(name, search), _up(tuned), _dots(tuned, places))


def _up(tuned: Tuned) -> plots.Axis:
    """Return the vertical axis of a study's metric, which holds all trials and the file's own."""
    values = [trial.value for trial in tuned.trials]
    values += [] if tuned.own_value is None else [tuned.own_value]
    metric = tuned.tune.metric
    room = max(0.08 * (max(values) - min(values)), 10.0 ** -(figure_digits(metric, *values) + 1))
    return plots.axis(metric, min(values) - room, max(values) + room)


def _dots(tuned: Tuned, places: list[float]) -> list[plots.Series]:
    """Return the trials as dots of a chart, the best in a colour of its own.

    `places` are their positions on the horizontal axis.
    """
    series = []
    for best, legend in ((False, ""), (True, f"trial {tuned.best.number}, the best")):
        chosen = [
            (place, trial)
            for place, trial in zip(places, tuned.trials, strict=True)
            if (trial.number == tuned.best.number) is best
        ]
        series.append(
            plots.Series(
                name=legend,
                style="b" if best else "a",
                x=[place for place, _ in chosen],
                y=[trial.value for _, trial in chosen],
                kind="dots",
                titles=[
                    f"trial {trial.number}: {settings_text(trial.parameters)}: {trial.value:.6g}"
                    for _, trial in chosen
                ],
            )
        )
    return series


def _place(search: Search, value: Setting) -> float:
    """Return a parameter value's position on its axis: its logarithm, or its index in a list."""
    if search.choices:
        return float(search.choices.index(value))
    return math.log10(float(value)) if search.log else float(value)


def _across(name: str, search: Search) -> plots.Axis:
    """Return the horizontal axis of a parameter: its choices, or the numbers between its bounds."""
    if search.choices:
        ticks = [(float(place), setting_text(c)) for place, c in enumerate(search.choices)]
        return plots.Axis(label=name, low=-0.5, high=len(ticks) - 0.5, ticks=ticks)
    low, high = _place(search, search.low), _place(search, search.high)
    room = 0.03 * (high - low)
    if not search.log:
        return plots.axis(name, low - room, high + room)
    places = [low + (high - low) * part / 4 for part in range(5)]
    return plots.Axis(
        label=f"{name} (logarithmic)",
        low=low - room,
        high=high + room,
        ticks=[(place, f"{10**place:.2g}") for place in places],
    )
