"""What a run's results are: figures only, as they are stored and answered."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Literal

import msgspec

from ...core.formats import StoredDocument
from ...pipelines.evaluation.statistics import Estimate
from ...project.specs.experiments import ExperimentGuardrail, Metric
from ...reports.results import Shown
from ..statistics.conclusion import Conclusion
from ..statistics.split import Split
from ..statistics.sums import Sums
from ..statistics.verdict import Goal, Judgement, Side

Role = Literal["decides", "guardrail", "also"]


class Range(msgspec.Struct, frozen=True, kw_only=True):
    """A figure with its interval; None: it has no end (yet)."""

    value: float | None
    low: float | None
    high: float | None


def as_range(estimate: Estimate) -> Range:
    bounded = math.isfinite(estimate.low) and math.isfinite(estimate.high)
    value = estimate.value if math.isfinite(estimate.value) else None
    return Range(
        value=value, low=estimate.low if bounded else None, high=estimate.high if bounded else None
    )


class MetricArms(msgspec.Struct, frozen=True, kw_only=True):
    """A metric in every arm, before anything is compared.

    `rates`: None where there is too little for an interval.
    """

    metric: Metric
    role: Role
    arms: dict[str, Sums]
    rates: dict[str, Range | None]

    @property
    def percents(self) -> bool:
        return is_share(self.metric)


def is_share(metric: Metric) -> bool:
    """Whether its values are shares, not amounts."""
    return metric.kind == "any" or (metric.kind == "rate" and metric.numerator.attribute is None)


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """A treatment against the control in a metric. None: too few units or outcomes in one of them.

    `relative`, `absolute`: 1 - `level`, at any look that the run allows; of a guardrail each bound
    is 95 % by itself; of `also` one look.
    """

    metric: str
    arm: str
    role: Role
    goal: Goal
    relative: Range | None = None
    absolute: Range | None = None
    once: Range | None = None  # relative, 95 %, if this were the only look
    level: float = 0.05
    side: Side = "open"
    guardrail: ExperimentGuardrail | None = None
    bound: float | None = None  # of a guardrail: at most (may rise) or at least (may drop) so much
    judged: Judgement | None = None
    q: float | None = None
    saved: float = 0.0  # the part of the variance that the time before has taken away


class Segments(msgspec.Struct, frozen=True, kw_only=True):
    """A deciding metric of a treatment by the values of an attribute, 95 % of one look.

    `p`: of no difference between them, by Holm.
    """

    attribute: str
    metric: str
    arm: str
    effects: dict[str, Range | None]
    p: float | None = None


class DayEffect(msgspec.Struct, frozen=True, kw_only=True):
    """`units`: of both sides."""

    arm: str
    units: int
    relative: Range | None
    day: str = ""  # YYYY-MM-DD, the last that is counted
    since_first: int = 0  # days since a unit's first exposure


class Trend(msgspec.Struct, frozen=True, kw_only=True):
    """How the effect changes a day with the days since the first exposure; None: too few days."""

    arm: str
    a_day: Range | None
    days: tuple[DayEffect, ...] = ()


class ArmFigure(msgspec.Struct, frozen=True, kw_only=True):
    """What monitors of the endpoint say of each arm, 95 % of one look; it decides nothing.

    concentration: Gini of what is shown over the items that any arm showed, with `differences` to
    the control. satisfied_ratio: the satisfied share of `group` over that of `against`, two values
    of `attribute`.
    """

    figure: Literal["concentration", "satisfied_ratio"]
    arms: dict[str, Range]
    differences: dict[str, Range] = {}
    attribute: str = ""
    group: str = ""
    against: str = ""


class RunResults(Shown, StoredDocument, frozen=True, kw_only=True, tag=3):
    """`experiments/<run>/results/<until>.json`.

    Every difference is that of a treatment to the control, the first of `arms`.

    `interleaved`: `arms` are two variants whose orders were made one. All units had it; figures are
    of what counts for each (wins.py).
    """

    target: str
    run: str
    layer: str
    endpoint: str
    unit: str
    arms: tuple[str, ...]
    interleaved: bool = False
    started: datetime
    stopped: datetime | None = None
    as_of: datetime
    until: datetime  # what happened before it is counted
    inference: Literal["planned", "always"]
    day: int  # the first is 1
    days: int | None = None  # of the plan
    look: int
    closed: datetime | None = None  # the look that ended the plan: later data are not counted
    planned: int | None = None  # units of all arms
    complete: int  # ... that are counted
    open: int = 0  # units whose windows are not over
    window: int | None = None  # days
    a_day: float = 0.0  # units that came in one of the last days
    metrics: tuple[MetricArms, ...]
    effects: tuple[Effect, ...]
    split: Split
    split_by_day: dict[str, dict[str, int]] = {}
    split_by_segment: dict[
        str, dict[str, dict[str, int]]
    ] = {}  # units by attribute or MODEL_VERSION, value and arm
    twice: int = 0
    trends: tuple[Trend, ...] = ()
    segments: tuple[Segments, ...] = ()
    over_time: tuple[DayEffect, ...] = ()
    warnings: tuple[str, ...] = ()
    monitors: tuple[ArmFigure, ...] = ()
    conclusion: Conclusion

    @property
    def headline(self) -> str:
        return self.conclusion.headline

    @property
    def plan_waits(self) -> bool:
        """It shows the look before: of a plan, what the same units do later is no new look."""
        return (
            self.inference == "planned"
            and self.closed is None
            and self.stopped is None
            and self.until < self.as_of
        )

    @property
    def share(self) -> float | None:
        """Of the plan; None: it has none, or too little is there to size it."""
        return self.complete / self.planned if self.planned else None

    def __str__(self) -> str:
        from .text import text

        return text(self)
