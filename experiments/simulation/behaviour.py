"""A visitor's request, and what they do with the list that is shown.

Pure: of a visit each place has its own draws, whatever stands there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any

import msgspec

from ...project.specs.description import Attribute, Endpoint, ProjectSpec
from ...project.specs.reach import EXPOSURE_ID
from .simulation import Action, Simulation
from .visits import Visit
from .world import Fields, World


class PendingEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event as /track takes it, and when the gateway hears of it."""

    due: datetime
    event: dict[str, Any]
    late: bool = False


class ShownAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The items of an answer: where each was shown, by which exposure, to a unit of which arm."""

    items: Sequence[str | int]
    positions: Sequence[int]
    exposures: Sequence[str]
    arm: str | None


class SimulationSetting(msgspec.Struct, frozen=True, kw_only=True):
    """A simulation on a project: what does not change from visit to visit."""

    simulation: Simulation
    world: World
    spec: ProjectSpec
    endpoint: Endpoint
    key: str  # of the candidates

    @property
    def unit(self) -> str:
        """Return the name of the attribute that names a visitor."""
        return self.endpoint.unit

    @property
    def session(self) -> str | None:
        """Return the name of the attribute that groups the items of one answer.

        None if an objective without `ranked_within` groups them by the visitor alone.
        """
        within = self.spec.objectives[self.endpoint.objective].ranked_within
        return within if within != self.unit else None


def request(setting: SimulationSetting, visit: Visit) -> dict[str, Any]:
    """Return the body of a simulated visitor's request to /rank."""
    simulation = setting.simulation
    candidates = _random(setting, visit, "candidates").sample(
        list(setting.world.items), simulation.candidates
    )
    keys = {entity.key for entity in setting.spec.entities.values()}
    others = {name: value for name, value in visit.visitor.items() if name in keys}
    return {
        **others,
        **question(setting, visit),
        setting.key: candidates,
        "slots": simulation.slots,
    }


def question(setting: SimulationSetting, visit: Visit) -> dict[str, Any]:
    """Return the body of a simulated visitor's request to /assign.

    It has neither candidates nor keys of entities, which only a ranking needs.
    """
    exposure = setting.spec.events[setting.spec.objectives[setting.endpoint.objective].exposure]
    keys = {entity.key for entity in setting.spec.entities.values()}
    names = {
        attribute.name for attribute in (*exposure.attributes, *setting.endpoint.attributes)
    } - keys
    return {
        name: value
        for name, value in visit.visitor.items()
        if name in names or name == setting.unit
    }


def is_lost(setting: SimulationSetting, unit: str) -> bool:
    """Return whether a simulated fault loses this visitor's assignment.

    The fault (`broken:` of the simulation) loses a share of one arm's units, to test the check of
    the split.
    """
    broken = setting.simulation.broken
    return (
        broken is not None
        and Random(f"{setting.simulation.seed}:lost:{unit}").random() < broken.loses  # noqa: S311
    )


class _Shown(msgspec.Struct, frozen=True):
    """An item in a list that somebody of an arm sees at a moment.

    `values` by the names of events' attributes.
    """

    visit: Visit
    arm: str | None
    moment: datetime
    values: dict[str, Any]


def events(
    setting: SimulationSetting, visit: Visit, answer: ShownAnswer, moment: datetime
) -> Iterator[PendingEvent]:
    """Yield the events that a simulated visitor sends after an answer shown at `moment`."""
    random = _random(setting, visit, "events")
    for item, position, exposure in zip(
        answer.items, answer.positions, answer.exposures, strict=True
    ):
        values = (
            visit.visitor
            | dict(setting.world.items[item])
            | {setting.key: item, "position": position, EXPOSURE_ID: exposure or None}
        )
        if setting.session is not None:
            values[setting.session] = visit.session
        yield from _item_events(setting, _Shown(visit, answer.arm, moment, values), random)


def _item_events(
    setting: SimulationSetting, shown: _Shown, random: Random
) -> Iterator[PendingEvent]:
    """Yield the events that a simulated visitor sends after one shown item."""
    happened: dict[str, tuple[str, datetime]] = {}  # the event's id and time
    for action in setting.simulation.actions:
        drawn, slow, late, how_late = (random.random() for _ in range(4))
        values = shown.values | {
            name: random.choice(options) for name, options in action.attributes.items()
        }
        earlier = ("", shown.moment) if action.of is None else happened.get(action.of)
        if earlier is None or not _happens(setting, action, shown, drawn):
            continue
        happens_at = earlier[1] + _delay(action.after, slow)
        event_id = f"{action.event}-{shown.visit.session}-{values['position']}"
        happened[action.event] = (event_id, happens_at)
        ids = {event: known_id for event, (known_id, _) in happened.items()}
        row = _event_attributes(setting.spec.events[action.event].attributes, values, ids)
        event = {
            "event": action.event,
            "event_id": event_id,
            "event_timestamp": happens_at.isoformat(),
            **row,
        }
        yield _event_due(setting.simulation, event, happens_at, late, how_late)


def _happens(setting: SimulationSetting, action: Action, shown: _Shown, drawn: float) -> bool:
    """Return whether a visitor performs an action on a shown item; a bot performs only some.

    `drawn` is a random number from 0 to 1.
    """
    if action.certain:
        return True
    if shown.visit.bot:
        return False
    item = setting.world.items[shown.values[setting.key]]
    chance = setting.world.chances[action.event](
        shown.visit.visitor, item, shown.values["position"]
    )
    return drawn < chance * (1 + setting.simulation.effect(shown.arm, action.event))


def _delay(mean: timedelta, slow: float) -> timedelta:
    """Return a delay of an event in whole milliseconds, up to twice the mean.

    `slow` is a random number from 0 to 1.
    """
    return timedelta(milliseconds=round(2 * slow * mean.total_seconds() * 1000))


def _event_attributes(
    attributes: Sequence[Attribute], values: Fields, ids: Mapping[str, str]
) -> dict[str, Any]:
    """Return an event's attributes by name, with the ids of the item's earlier events.

    `values` are the visitor's and the item's, and `ids` the earlier events' by name.
    """
    row = {a.name: ids.get(a.event or "", values.get(a.name)) for a in attributes}
    return {name: value for name, value in row.items() if value is not None}


def _event_due(
    simulation: Simulation,
    event: dict[str, Any],
    happens_at: datetime,
    late: float,
    how_late: float,
) -> PendingEvent:
    """Return an event with the simulated time at which the gateway receives it.

    Args:
        simulation: The simulation, with the share of events that come late.
        event: The event's body.
        happens_at: When it happens.
        late: A random number from 0 to 1 that decides whether it comes late.
        how_late: A random number from 0 to 1: the part of the largest delay.
    """
    lateness = simulation.late
    if lateness is None or late >= lateness.share:
        return PendingEvent(due=happens_at, event=event)
    return PendingEvent(due=happens_at + how_late * lateness.by, event=event, late=True)


def _random(setting: SimulationSetting, visit: Visit, what: str) -> Random:
    """Return the random generator for one decision of a visit, the same at each repeat.

    `what` names the decision.
    """
    return Random(f"{setting.simulation.seed}:{what}:{visit.session}")  # noqa: S311  a simulation's
