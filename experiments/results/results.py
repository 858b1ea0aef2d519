"""The results of an experiment: figures only, as they are stored and answered."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from ...core.formats import StoredDocument
from ...project.specs.experiments import ExperimentGuardrail, Metric
from ...reports.results import Shown
from ..monitors.arms import ArmFigure
from ..statistics.chance_to_beat import ChanceToBeat
from ..statistics.conclusion import Conclusion
from ..statistics.inference import Inference
from ..statistics.ranges import FigureInterval
from ..statistics.ratio import is_share
from ..statistics.split import UnitSplit
from ..statistics.sums import UnitSums
from ..statistics.verdict import Goal, Judgement, Side

Role = Literal["decides", "guardrail", "also"]


class MetricArms(msgspec.Struct, frozen=True, kw_only=True):
    """A metric in every arm, before anything is compared.

    `rates`: None where there is too little for an interval.
    """

    metric: Metric
    role: Role
    arms: dict[str, UnitSums]
    rates: dict[str, FigureInterval | None]

    @property
    def percents(self) -> bool:
        """Return whether the metric is a share, and not an amount."""
        return is_share(self.metric)


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """A treatment against the control in a metric. None: too few units or outcomes in one of them.

    `relative`, `absolute`: 1 - `level`, at any look that the run allows; of a guardrail each bound
    is 95 % by itself; of `also` one look.
    """

    metric: str
    arm: str
    role: Role
    goal: Goal
    relative: FigureInterval | None = None
    absolute: FigureInterval | None = None
    once: FigureInterval | None = None  # relative, 95 %, if this were the only look
    level: float = 0.05
    side: Side = "open"
    chance_to_beat: ChanceToBeat | None = None  # of `decides`, if arms are compared
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
    effects: dict[str, FigureInterval | None]
    p: float | None = None


class DayEffect(msgspec.Struct, frozen=True, kw_only=True):
    """The effect on the deciding metric at the end of a day, or of a day by itself.

    `units`: of both sides.
    """

    arm: str
    units: int
    relative: FigureInterval | None
    day: str = ""  # YYYY-MM-DD, the last that is counted
    since_first: int = 0  # days since a unit's first exposure

    @property
    def absolute(self) -> FigureInterval | None:
        """Return the effect in the metric's own unit if a site assigned the arms, else None."""
        return None


class LogDayEffect(DayEffect, frozen=True, kw_only=True):
    """The effect in a site's log at the end of a day."""

    absolute: FigureInterval | None  # pyright: ignore[reportIncompatibleMethodOverride]  a field answers it


class Trend(msgspec.Struct, frozen=True, kw_only=True):
    """How the effect changes a day with the days since the first exposure; None: too few days.

    `by_unit`: the interval allows for units that drift each at its own pace; those that earlier
    releases stored do not.
    """

    arm: str
    a_day: FigureInterval | None
    by_unit: bool = False
    days: tuple[DayEffect, ...] = ()


class SiteLog(msgspec.Struct, frozen=True, kw_only=True):
    """The log of an experiment whose units a site assigned, and which is only analysed.

    `unit`: the attribute whose rows are not independent of each other; None: the log names none.
    """

    exposure: str  # the event that a row is
    unit: str | None
    unnamed: int = 0  # rows without a unit: left out


class Results(Shown, StoredDocument, frozen=True, kw_only=True, tag=3):
    """The results of an experiment, whoever assigned its units: the gateway, or a site.

    Of a run they are stored as `experiments/<run>/results/<until>.json`. Every difference is that
    of a treatment to the control, the first of `arms`.

    `interleaved`: `arms` are two variants whose orders were made one. All units had it; figures
    are of what counts for each (interleaving.py).
    """

    target: str
    run: str
    layer: str = ""
    endpoint: str = ""
    unit: str
    arms: tuple[str, ...]
    interleaved: bool = False
    started: datetime
    stopped: datetime | None = None
    as_of: datetime
    until: datetime  # what happened before it is counted
    inference: Inference
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
    # of rates: units with more events are left out (`dropped` of each arm's sums)
    drop_above: int | None = None
    effects: tuple[Effect, ...]
    split: UnitSplit  # nothing is planned of it where nobody said how the units should come
    split_by_day: dict[str, dict[str, int]] = {}
    # units by attribute or MODEL_VERSION, value and arm
    split_by_segment: dict[str, dict[str, dict[str, int]]] = {}
    twice: int = 0
    trends: tuple[Trend, ...] = ()
    segments: tuple[Segments, ...] = ()
    over_time: tuple[DayEffect, ...] = ()
    warnings: tuple[str, ...] = ()
    monitors: tuple[ArmFigure, ...] = ()
    conclusion: Conclusion

    @property
    def log(self) -> SiteLog | None:
        """Return the site's log that was analysed; None if the gateway assigned the units."""
        return None

    @property
    def headline(self) -> str:
        """Return a line with the verdict."""
        return self.conclusion.headline

    @property
    def deciding(self) -> tuple[MetricArms, ...]:
        """Return the metrics that decide, in every arm; the first one is shown over time."""
        return tuple(metric for metric in self.metrics if metric.role == "decides")

    @property
    def leaves_out(self) -> bool:
        """Return whether units with too many events are left out of the first deciding metric."""
        return self.drop_above is not None and self.deciding[0].metric.per_event and not self.log

    @property
    def repeats_last_look(self) -> bool:
        """Return whether the results are those of the look before, as no new units have come."""
        return (
            self.inference == "planned"
            and self.closed is None
            and self.stopped is None
            and self.until < self.as_of
        )

    @property
    def share(self) -> float | None:
        """Return the share of the planned units that are complete; None without a plan."""
        return self.complete / self.planned if self.planned else None

    def __str__(self) -> str:
        from .text import text

        return text(self)


class LogResults(Results, frozen=True, kw_only=True, tag=3):
    """The results of an experiment whose units a site assigned; they are not stored.

    `run` is the experiment's name, there is no layer, no endpoint and no plan, and each day counts
    as one look.
    """

    log: SiteLog  # pyright: ignore[reportIncompatibleMethodOverride]  a field answers it
