"""A simulation as its file describes it: who comes, what they do, and what is true.

simulation_file.py reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import msgspec

from ...project.specs.experiments import Metric

Scalar = str | int | float | bool
Effects = dict[str, dict[str, float]]  # by arm and event, relative to the event's chance


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """An event of the catalogue that may follow an item which is shown."""

    event: str
    of: str | None = None  # the event that it follows; None: the item is shown
    chance: float = 1.0
    function: str = ""  # of the world's module, which says the chance instead
    after: timedelta = timedelta(0)  # on average
    attributes: dict[str, tuple[Scalar, ...]] = {}  # one value is drawn

    @property
    def certain(self) -> bool:
        """Return whether the action always happens."""
        return self.chance == 1 and not self.function


class LateEvents(msgspec.Struct, frozen=True, kw_only=True):
    """Events that the gateway hears late."""

    share: float  # of the events
    by: timedelta  # at most


class Bots(msgspec.Struct, frozen=True, kw_only=True):
    """Visitors that are bots."""

    share: float  # of the visitors
    requests: int  # of each, within an hour


class BrokenSplit(msgspec.Struct, frozen=True, kw_only=True):
    """A broken split: some of an arm's units never show up."""

    arm: str
    loses: float


class Simulation(msgspec.Struct, frozen=True, kw_only=True):
    """A simulation's file."""

    name: str  # the file's
    endpoint: str
    experiment: str | None = None
    days: int
    visitors: int  # new ones a day
    sessions: int = 3  # of a visitor, at most
    items: int = 100
    candidates: int = 20
    slots: int = 5
    actions: tuple[Action, ...]  # each after what it follows
    effects: Effects = {}
    daily: float = 0.0  # how far visitors an hour swing around their mean
    weekly: float = 0.0  # by how much more come on a day of the weekend
    late: LateEvents | None = None
    bots: Bots | None = None
    broken: BrokenSplit | None = None
    attributes: dict[str, tuple[Scalar, ...]] = {}  # of a visitor: one value is drawn for each
    world: str = ""  # a module of the project
    seed: int = 0

    def effect(self, arm: str | None, event: str) -> float:
        """Return the relative rise that an arm gives to the chance of an event.

        It is 0 for visitors who are not in the experiment.
        """
        return self.effects.get(arm, {}).get(event, 0.0) if arm is not None else 0.0


def true_effect(simulation: Simulation, metric: Metric, arm: str) -> float | None:
    """Return an arm's true relative effect on a metric, from the effects in the file.

    None if it does not follow from them, as for a share of units with an event, and for chances
    that a function of the project computes.
    """
    actions = {action.event: action for action in simulation.actions}
    names = [metric.numerator.event, *([metric.denominator.event] if metric.denominator else [])]
    if metric.kind == "any" or any(
        name not in actions or _has_function(actions, name) for name in names
    ):
        return None
    factors = [_factor(simulation, actions, arm, name) for name in names]
    return factors[0] / (factors[1] if metric.denominator else 1.0) - 1


def _has_function(actions: Mapping[str, Action], event: str | None) -> bool:
    """Return whether the chance of an event, or of one before it, is a function of the project."""
    return event is not None and (
        bool(actions[event].function) or _has_function(actions, actions[event].of)
    )


def _factor(
    simulation: Simulation, actions: Mapping[str, Action], arm: str, event: str | None
) -> float:
    """Return the factor by which an arm changes how often an event happens."""
    if event is None:
        return 1.0
    return (1 + simulation.effect(arm, event)) * _factor(
        simulation, actions, arm, actions[event].of
    )
