"""The A/B tests of a project as frozen structs.

Metrics of units, layers, experiments that the gateway assigns, analyses of others.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any, Literal

import msgspec

from .rules import Condition


class ExperimentGuardrail(msgspec.Struct, frozen=True, kw_only=True):
    """`{metric: bought, max_drop: 2%}`: an objective that the treatment may not harm by more."""

    metric: str
    may: Literal["drop", "rise"]
    margin: Decimal  # percent of the control's

    def __str__(self) -> str:
        return f"may {self.may} {self.margin:f} %"


class Analysis(msgspec.Struct, frozen=True, kw_only=True):
    """An A/B test that was assigned elsewhere: an attribute of the exposure holds the arm.

    `{arm: impression.policy, control: random, treatment: bts, metric: ctr}`
    """

    name: str
    event: str  # the exposure
    attribute: str  # ... and its attribute that holds the arm
    control: str | int
    treatment: str | int
    metric: str  # an objective of that exposure
    # the planned shares of control and treatment; None: not known
    weights: tuple[float, float] | None = None
    guardrails: tuple[ExperimentGuardrail, ...] = ()
    also: tuple[str, ...] = ()  # objectives that are told and decide nothing
    # units with more exposures than this are left out of both arms
    drop_above: int | None = None
    owner: str = ""
    hypothesis: str = ""


class Total(msgspec.Struct, frozen=True, kw_only=True):
    """The number of a unit's events, or the sum of one of their attributes."""

    event: str
    attribute: str | None = None  # None: one for each event


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """A figure of units.

    Every objective is a metric of its name, too (`objective`): outcomes of the unit's exposures /
    those exposures.

    sum: the mean of a unit's total. any: the share of units with at least one. rate: the ratio of
    two totals.
    """

    name: str
    kind: Literal["sum", "any", "rate"]
    numerator: Total
    denominator: Total | None = None  # of a rate
    # from a unit's first exposure, whole UTC days; None: to the last look
    within: timedelta | None = None
    # the same total so long before the first exposure reduces the variance
    before: timedelta | None = None
    at_most: float | None = None  # a unit's total counts up to this
    goal: Literal["maximise", "minimise"] = "maximise"
    objective: str | None = None

    @property
    def per_event(self) -> bool:
        """Return whether the metric is a rate whose denominator counts events."""
        return self.denominator is not None and self.denominator.attribute is None


class Layer(msgspec.Struct, frozen=True, kw_only=True):
    """Experiments that never share a unit; layers are independent of each other."""

    name: str
    endpoint: str
    holdout: Decimal = Decimal(0)  # percent of its units that are in no experiment of it
    salt: str = ""  # default: its name

    @property
    def salted(self) -> str:
        """Return the text (salt) with which units are hashed; by default the layer's own name."""
        return self.salt or self.name


class ExperimentArm(msgspec.Struct, frozen=True, kw_only=True):
    """`variant` and `explore` (percent) among its parameters are known to every endpoint."""

    name: str
    parameters: dict[str, Any] = {}
    weight: float = 1.0  # its part of the sum of all arms'


INTERLEAVED = "interleaved"  # the one arm of an experiment whose units get one order of two
MODEL_VERSION = "model_version"  # the segment that no request says: what gave a unit's first answer


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """`{minimum_effect: 8%, days: 14}`: power 80 %, 5 %."""

    minimum_effect: Decimal  # percent of the control's
    days: int | None = None


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """An experiment that the gateway assigns. The first arm is the control.

    `interleave`: two variants, the control first, that both rank each request of its units;
    then there is one arm, INTERLEAVED.
    """

    name: str
    layer: str
    arms: tuple[ExperimentArm, ...]
    metric: tuple[str, ...]  # that decide; several: each must be better
    interleave: tuple[str, str] | None = None
    share: Decimal = Decimal(100)  # percent of the layer, when it starts
    holdout: Decimal = Decimal(0)  # percent of its units that keep the control until `close`
    targeting: tuple[Condition, ...] = ()
    guardrails: tuple[ExperimentGuardrail, ...] = ()
    also: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()  # attributes of the request, or MODEL_VERSION
    # of metrics `per_event`: units with more of these events are left out of every arm
    drop_above: int | None = None
    plan: Plan | None = None
    salt: str = ""  # default: the run's name
    owner: str = ""
    hypothesis: str = ""

    @property
    def aims(self) -> bool:
        """Return whether the arms are variants of the endpoint, so that a run owns the traffic."""
        return self.interleave is not None or any("variant" in arm.parameters for arm in self.arms)

    @property
    def weights(self) -> dict[str, float]:
        """Return the percentage of the units that each arm gets, by the arm's name."""
        total = sum(arm.weight for arm in self.arms)
        return {arm.name: round(100 * arm.weight / total, 9) for arm in self.arms}
