"""A simulation's world: its visitors, its items, and the true chance of each event.

Of the file alone, or a module of the project's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from random import Random
from typing import Any, NamedTuple

import msgspec

from ...core.runtime.project import Project
from ...errors import Invalid
from ...project.modules import importable
from ...project.specs.description import ProjectSpec
from .simulation import Action, Simulation

Fields = Mapping[str, Any]
Chance = Callable[[Fields, Fields, int], float]  # of a visitor, an item, its place from 1

LIKING = (
    "liking"  # of a visitor of the file's world: what their chances are multiplied by, 1 on average
)
SESSIONS = "sessions"
_LIKING_SHAPE = 4.0  # of a gamma distribution: a spread of a half


class World(msgspec.Struct, frozen=True, kw_only=True):
    """The visitors, the items and the chances of a simulation.

    `visitors`: so many new ones, whose ids begin with a prefix. `items` by key. `chances` by event,
    of those that are not certain.
    """

    visitors: Callable[[Random, int, str], list[dict[str, Any]]]
    items: dict[str | int, Fields]
    chances: dict[str, Chance]


def world_of(project: Project, simulation: Simulation, unit: str, key: str) -> World:
    """Return the simulated visitors and items, from the user's module or the file's settings.

    Raises:
        Invalid: The module lacks what a world has, or its visitors or items have no `unit`, or no
            `key`.
    """
    if not simulation.world:
        return _plain_world(project.spec, simulation, unit, key)
    importable(str(project.folder))
    try:
        module = import_module(simulation.world)
        items = {item[key]: item for item in module.items(Random(simulation.seed))}  # noqa: S311  a simulation's
        visitors = module.visitors(Random(0), 1, "v")  # noqa: S311  the same
        chances = {
            action.event: getattr(module, action.function)
            for action in simulation.actions
            if action.function
        }
    except (ModuleNotFoundError, AttributeError, KeyError, TypeError) as error:
        raise Invalid(
            f"{simulation.world}.py is no world: {type(error).__name__}: {error}", remedy=_MODULE
        ) from error
    if not visitors or unit not in visitors[0]:
        raise Invalid(f"{simulation.world}.py: its visitors have no {unit}", remedy=_MODULE)
    return World(
        visitors=module.visitors, items=items, chances=_plain_chances(simulation) | chances
    )


_MODULE = (
    "it needs visitors(random, count, prefix) and items(random), which give dicts, and a "
    "function (visitor, item, position) of each chance"
)


def _plain_world(spec: ProjectSpec, simulation: Simulation, unit: str, key: str) -> World:
    """Build simulated visitors and items from the file's settings alone."""
    numbered = next(entity.type for entity in spec.entities.values() if entity.key == key) == "int"
    keys = [number if numbered else f"item-{number}" for number in range(simulation.items)]
    whole = any(
        a.name == unit and a.type == "int"
        for event in spec.events.values()
        for a in event.attributes
    )
    return World(
        visitors=partial(_visitors, simulation, _Unit(unit, _visitor_number if whole else str)),
        items={item: {key: item} for item in keys},
        chances=_plain_chances(simulation),
    )


def _plain_chances(simulation: Simulation) -> dict[str, Chance]:
    """Return, for each action with a percentage in the file, a function for its chance.

    The function returns a visitor's chance of the action.
    """
    return {
        action.event: partial(_chance, action)
        for action in simulation.actions
        if not action.certain and not action.function
    }


def _visitor_number(name: str) -> int:
    """Return the digits of a visitor's name as an integer id."""
    return int("".join(filter(str.isdigit, name)))


class _Unit(NamedTuple):
    """The attribute that names a visitor, and what it holds of a visitor of a name."""

    name: str
    of: Callable[[str], str | int]


def _visitors(
    simulation: Simulation, unit: _Unit, random: Random, count: int, prefix: str
) -> list[dict[str, Any]]:
    """Make up visitors, each with a random liking and a random number of visits."""
    return [
        {
            unit.name: unit.of(f"{prefix}{number:03d}"),
            LIKING: random.gammavariate(_LIKING_SHAPE, 1 / _LIKING_SHAPE),
            SESSIONS: random.randint(1, simulation.sessions),
            **{name: random.choice(values) for name, values in simulation.attributes.items()},
        }
        for number in range(count)
    ]


def _chance(action: Action, visitor: Fields, _item: Fields, _position: int) -> float:
    """Return a visitor's chance of an action: its mean times the visitor's liking."""
    return action.chance * float(visitor.get(LIKING, 1.0))
