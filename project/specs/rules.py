"""The rules over a ranking as frozen structs, and conditions, which experiments share."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec


class Condition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A condition on one attribute of a request; all parts that are written must hold.

    An absent or null attribute meets no condition.
    """

    attribute: str
    among: tuple[Any, ...] | None = None
    not_among: tuple[Any, ...] | None = None
    min: float | None = None
    max: float | None = None


class RuleBase(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="rule"):
    """The fields that all rules over a ranking have.

    `where` and `by` name a key of an entity, or `view.feature`, of the candidates.
    """

    when: tuple[Condition, ...] = ()  # of the request's attributes
    since: datetime | None = None  # `from:`
    until: datetime | None = None  # no longer


class Block(RuleBase, frozen=True, kw_only=True, tag="block"):
    where: tuple[Condition, ...]


class Boost(RuleBase, frozen=True, kw_only=True, tag="boost"):
    """score x times + add. "$name": the parameter of this name."""

    where: tuple[Condition, ...]
    times: float | str = 1.0
    add: float | str = 0.0


class Pin(RuleBase, frozen=True, kw_only=True, tag="pin"):
    key: str  # of an entity
    item: int | str
    position: int  # from 1


class Reserve(RuleBase, frozen=True, kw_only=True, tag="reserve"):
    """The group stands there and nowhere else."""

    where: tuple[Condition, ...]
    positions: tuple[int, ...]


class Cap(RuleBase, frozen=True, kw_only=True, tag="cap"):
    """A limit on how many items of one value of `by` stand in an answer."""

    by: str
    max: int | str  # "$name": a parameter


class UnitCap(RuleBase, frozen=True, kw_only=True, tag="cap_per_unit"):
    """A limit on how many answers show a unit one value of `by`, in any window of this length."""

    by: str
    max: int | str  # "$name": a parameter
    window: timedelta  # `in:`


Rule = Block | UnitCap | Boost | Pin | Reserve | Cap
