"""A finished study as a verb's result and as text: trials, the best, how it did at the end."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import msgspec

from ...project.models.gate_figures import figure_digits, is_loss
from ...project.specs.tuning import Tuning
from ...reports.columns import aligned, plural
from ...reports.results import Shown
from ..evaluation.statistics import Estimate
from ..run_pages.figure_text import days, difference_text, digits_of, interval
from .study import LastPeriod, Setting, Study

_SHOWN = 5  # of the best trials, in the text


class TunedTrial(msgspec.Struct, frozen=True, kw_only=True):
    """A trial: what it set, and the metric on the tuning periods."""

    number: int
    parameters: dict[str, Setting]
    value: float
    seconds: float


class Tuned(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """A finished study: its trials, the best, and how that did on the last period."""

    target: str
    study: str
    configuration: str
    path: str
    tune: Tuning
    trials: tuple[TunedTrial, ...]
    best: TunedTrial
    own_value: float | None  # of the file's parameters on the tuning periods
    last: LastPeriod  # the best trial and the file's parameters on a period that no trial saw
    page: str = ""  # the path of the page with a picture of each parameter

    @property
    def trial(self) -> str:
        """The best trial as `isthmus train --trial` takes it: `t4/13`."""
        return f"{self.study}/{self.best.number}"

    def __str__(self) -> str:
        best, metric, name = self.best, self.tune.metric, f"{self.target:<7} {self.study}"
        digits = figure_digits(metric, best.value)
        own = (
            ""
            if self.own_value is None
            else f" (the file's parameters {self.own_value:.{digits}f})"
        )
        count = f"{plural(len(self.trials), 'trial')}, {self.tune.parallel} at a time"
        lines = [
            f"{name}   {count}   best trial {best.number}: {settings_text(best.parameters)}",
            f"        {metric} on the tuning days {best.value:.{digits}f}{own}",
            f"        {last_text(self)}",
        ]
        lines += aligned(trial_rows(self, self.ranked()[:_SHOWN]), left=())
        more = len(self.trials) - _SHOWN
        return "\n".join([*lines, *([f"  {more} more on the page"] if more > 0 else [])])

    def ranked(self) -> list[TunedTrial]:
        """Return the trials, the best first."""
        sign = 1 if is_loss(self.tune.metric) else -1
        return sorted(self.trials, key=lambda trial: (sign * trial.value, trial.number))


def result_of(target: str, study: Study) -> Tuned:
    """Return the result of a finished study, made on this target."""
    trials = tuple(
        TunedTrial(
            number=trial.number,
            parameters=study.parameters(trial),
            value=trial.value,
            seconds=trial.seconds,
        )
        for trial in study.trials
    )
    if study.best is None or study.last is None:
        raise AssertionError(study.name)
    return Tuned(
        target=target,
        study=study.name,
        configuration=study.configuration,
        path=study.path,
        tune=study.tune,
        trials=trials,
        best=trials[study.trials.index(study.best)],
        own_value=study.own_value,
        last=study.last,
    )


def last_text(tuned: Tuned) -> str:
    """Return as text how the best trial did on the last period beside the file's parameters."""
    last, metric = tuned.last, tuned.tune.metric
    period = days(last.start.date(), (last.end - timedelta(milliseconds=1)).date())
    where = f"on {period} ({plural(last.rows, 'row')}), which no trial saw"
    if last.difference is None:
        return f"{where}, units are too few for an interval: {last.verdict}"
    return (
        f"{where}, {_figure(metric, last.best)}; the file's parameters there "
        f"{_figure(metric, last.own)}; difference "
        f"{difference_text(last.difference, metric, ' (')}): {last.verdict}"
    )


def _figure(metric: str, figure: Estimate | None) -> str:
    """Return a metric with its interval as text: `0.541 (0.462 .. 0.617)`."""
    if figure is None:
        return "not known"
    digits = digits_of(metric, figure)
    return f"{figure.value:.{digits}f} ({interval(figure, digits)})"


def trial_rows(tuned: Tuned, trials: list[TunedTrial]) -> list[tuple[str, ...]]:
    """Return a table of trials as rows of cells, the first of which are titles."""
    metric = tuned.tune.metric
    digits = figure_digits(metric, *(trial.value for trial in tuned.trials))
    return [
        ("trial", metric, *tuned.tune.search, "seconds"),
        *(
            (
                str(trial.number),
                f"{trial.value:.{digits + 1}f}",
                *map(setting_text, trial.parameters.values()),
                f"{trial.seconds:.1f}",
            )
            for trial in trials
        ),
    ]


def settings_text(settings: Mapping[str, Setting]) -> str:
    """Return what a trial set as text: `leaves 24, rate 0.05`."""
    return ", ".join(f"{name} {setting_text(value)}" for name, value in settings.items())


def setting_text(value: Setting) -> str:
    """Return one parameter's value as text, a number with four significant digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
