"""The rules of an endpoint: which hold for a request, what they read, their names. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, final

import msgspec

from ....project.endpoints.rules import ORDER, entity_of, kind_of, reads, undrawable
from ....project.reading.quantities import duration_text
from ....project.specs.description import Endpoint, ProjectSpec
from ....project.specs.rules import Cap, Condition, Pin, Rule, UnitCap
from ..request.request import RankRequest
from .assignment import meets


@final
class Rulebook:
    """`features`: by entity of the candidates and view, what the rules read."""

    def __init__(self, endpoint: Endpoint, spec: ProjectSpec) -> None:
        inside = sorted(endpoint.rules, key=lambda rule: ORDER.index(type(rule)))
        self._rules = [
            (rule, entity.name)
            for rule in inside
            if (entity := entity_of(reads(rule)[0], spec)) is not None
        ]
        self.features: dict[str, dict[str, tuple[str, ...]]] = {}
        for rule, entity_name in self._rules:
            for view, dot, name in (read.partition(".") for read in reads(rule)):
                if dot:
                    views = self.features.setdefault(entity_name, {})
                    views[view] = tuple(dict.fromkeys((*views.get(view, ()), name)))
        self.digest = (
            hashlib.sha256(msgspec.json.encode(endpoint.rules)).hexdigest()[:16]
            if endpoint.rules
            else None
        )
        self.drawable = not any(undrawable(endpoint))

    def active(self, entity: str, context: Mapping[str, Any], now: datetime) -> tuple[Rule, ...]:
        """Return the business rules that hold for a request, in the order of their application.

        `entity` is the kind of its candidates, and `context` has its attributes.
        """
        return tuple(
            [
                rule
                for rule, entity_name in self._rules
                if entity_name == entity and _holds(rule, context, now)
            ]
        )


def _holds(rule: Rule, context: Mapping[str, Any], now: datetime) -> bool:
    """Return whether a rule applies to a request now: its dates and its conditions hold.

    `context` has the request's attributes.
    """
    return (
        (rule.since is None or now >= rule.since)
        and (rule.until is None or now < rule.until)
        and (not rule.when or meets(rule.when, context))
    )


def pinned_items(rules: Sequence[Rule], request: RankRequest) -> list[int | str]:
    """Return the items that pin rules add to a request, as they are not among its candidates."""
    pins = [rule.item for rule in rules if isinstance(rule, Pin) and rule.position <= request.slots]
    return [item for item in dict.fromkeys(pins) if item not in request.candidates]


@lru_cache(maxsize=1_000)
def name_of(rule: Rule) -> str:
    """Return the name of a rule in answers, metrics and `explain`, such as `cap item_category 2`.

    It does not depend on the rule's parameters.
    """
    if isinstance(rule, Pin):
        return f"pin {rule.item}"
    if isinstance(rule, Cap):
        return f"cap {_short(rule.by)} {rule.max}"
    if isinstance(rule, UnitCap):
        return f"cap {_short(rule.by)} {rule.max}/{_length(rule.window)}"
    return f"{kind_of(rule)} {' '.join(map(condition_text, rule.where))}"


def condition_text(condition: Condition) -> str:
    """Return a condition as text, for example `country=de|at`."""
    name = _short(condition.attribute)
    parts = [
        f"{name}{sign}{'|'.join(map(str, operand))}"
        for sign, operand in (("=", condition.among), ("!=", condition.not_among))
        if operand
    ]
    bounds = [
        f"{name}{sign}{operand:g}"
        for sign, operand in ((">=", condition.min), ("<=", condition.max))
        if operand is not None
    ]
    return " ".join([*parts, *bounds])


def _length(window: timedelta) -> str:
    """Return a time window as text, such as `24h`; a day is 24 hours, not a calendar day."""
    return "24h" if window == timedelta(days=1) else duration_text(window)


def _short(name: str) -> str:
    """Return the last part of a dotted attribute name."""
    return name.rpartition(".")[2]
