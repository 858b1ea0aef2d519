"""The results of a site's log as `--json` and a notebook's reader know them.

Their keys are those of the first releases, which knew no runs: one metric that decides, guardrails,
what is told beside, and a look of each day.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Literal, cast

import msgspec

from ...pipelines.evaluation.statistics import Estimate
from ...project.specs.experiments import ExperimentGuardrail
from ..statistics.chance_to_beat import ChanceToBeat
from ..statistics.inference import IntervalKind
from ..statistics.ranges import FigureInterval, as_range
from ..statistics.split import UnitSplit
from ..statistics.sums import UnitSums
from ..statistics.verdict import Judgement
from .results import Effect, Results
from .text import figure_text

LogWord = Literal["better", "worse", "undecided", "invalid"]


class LogDifference(msgspec.Struct, frozen=True, kw_only=True):
    """Treatment against control: in the metric's own unit, and relative (0.1: ten percent more)."""

    absolute: Estimate
    relative: Estimate


class LogMetric(msgspec.Struct, frozen=True, kw_only=True):
    """An objective in both arms; `difference` is None where there is too little."""

    name: str
    outcome: str
    goal: Literal["maximise", "minimise"]
    arms: dict[str, UnitSums]
    rates: dict[str, Estimate | None]
    difference: LogDifference | None
    guardrail: ExperimentGuardrail | None = None
    judged: Judgement | None = None
    chance_to_beat: ChanceToBeat | None = None


class LogLook(msgspec.Struct, frozen=True, kw_only=True):
    """The deciding metric's difference at the end of a day."""

    day: str  # YYYY-MM-DD, the last that is counted
    units: int
    difference: LogDifference | None


class LogVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict's word and its reason."""

    word: LogWord
    why: str


class LogDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The results of an experiment whose units a site assigned."""

    experiment: str
    exposure: str
    unit: str | None
    as_of: datetime
    control: str
    treatment: str
    inference: IntervalKind
    metric: LogMetric
    guardrails: tuple[LogMetric, ...] = ()
    also: tuple[LogMetric, ...] = ()
    split: UnitSplit | None = None
    twice: int = 0
    unnamed: int = 0
    drop_above: int | None = None
    looks: tuple[LogLook, ...] = ()
    warnings: tuple[str, ...] = ()
    verdict: LogVerdict

    @property
    def headline(self) -> str:
        """Return a line with the verdict and its figure."""
        difference = self.metric.difference
        figure = figure_text(
            self.metric.name,
            self.metric.outcome,
            as_range(difference.relative) if difference else None,
        )
        return f"{self.verdict.word}: {figure}"


def json_document(results: Results) -> Results | LogDocument:
    """Return an experiment's results in the form that `--json` prints."""
    return log_document(results) if results.log else results


def log_document(results: Results) -> LogDocument:
    """Return the results of a log's analysis in the form that `--json` prints.

    Raises:
        ValueError: The gateway assigned the units.
    """
    log = results.log
    if not log:
        raise ValueError(f"the gateway assigned the units of {results.run}")
    metrics = [_metric(results, effect) for effect in results.effects]
    roles = [effect.role for effect in results.effects]
    control, treatment = results.arms
    return LogDocument(
        experiment=results.run,
        exposure=log.exposure,
        unit=log.unit,
        as_of=results.as_of,
        control=control,
        treatment=treatment,
        inference=cast("IntervalKind", results.inference),
        metric=metrics[roles.index("decides")],
        guardrails=tuple(m for m, role in zip(metrics, roles, strict=True) if role == "guardrail"),
        also=tuple(m for m, role in zip(metrics, roles, strict=True) if role == "also"),
        split=results.split if results.split.planned else None,
        twice=results.twice,
        unnamed=log.unnamed,
        drop_above=results.drop_above,
        looks=tuple(
            LogLook(
                day=effect.day,
                units=effect.units,
                difference=_difference(effect.absolute, effect.relative),
            )
            for effect in results.over_time
        ),
        warnings=results.warnings,
        verdict=LogVerdict(
            word=cast("LogWord", results.conclusion.word), why=results.conclusion.why
        ),
    )


def _metric(results: Results, effect: Effect) -> LogMetric:
    """Return an effect with the arms that it compares, in the form that `--json` prints."""
    arms = next(metric for metric in results.metrics if metric.metric.name == effect.metric)
    return LogMetric(
        name=effect.metric,
        outcome=arms.metric.numerator.event,
        goal=effect.goal,
        arms=arms.arms,
        rates={name: _estimate(rate) if rate else None for name, rate in arms.rates.items()},
        difference=_difference(effect.absolute, effect.relative),
        guardrail=effect.guardrail,
        judged=effect.judged,
        chance_to_beat=effect.chance_to_beat,
    )


def _difference(
    absolute: FigureInterval | None, relative: FigureInterval | None
) -> LogDifference | None:
    """Return a difference between arms, absolute and relative; None if there is neither."""
    if absolute is None or relative is None:
        return None
    return LogDifference(absolute=_estimate(absolute), relative=_estimate(relative))


def _estimate(figure: FigureInterval) -> Estimate:
    """Return a value with its interval, whose open ends become infinite."""
    return Estimate(
        value=math.nan if figure.value is None else figure.value,
        low=-math.inf if figure.low is None else figure.low,
        high=math.inf if figure.high is None else figure.high,
    )
