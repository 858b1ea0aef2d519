"""Judge whether a step runs, by a condition over a small output of another step.

An engine evaluates it alike.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ...errors import Invalid
from ..port import Condition, StepSpec

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


def holds(when: Condition, outputs: Mapping[str, object]) -> bool:
    """Return whether a step's run condition holds for the outputs of the step that it reads.

    Raises:
        Invalid: the output is missing, so that the condition can be judged neither true nor false.
    """
    if when.output not in outputs:
        raise Invalid(
            f"step {when.step} returned no {when.output}: the condition over it cannot be judged"
        )
    return _OPERATORS[when.op](outputs[when.output], when.value)


def text(when: Condition) -> str:
    """Return a step's run condition as text: `evaluate.auc >= 0.6`."""
    return f"{when.step}.{when.output} {when.op} {when.value}"


def all_conditions(steps: Iterable[StepSpec]) -> dict[str, tuple[Condition, ...]]:
    """Return the conditions under which each step runs, with those of the steps it needs.

    The steps come in topological order.
    """
    conditions: dict[str, tuple[Condition, ...]] = {}
    for spec in steps:
        needed = dict.fromkeys((*spec.needs, spec.when.step) if spec.when else spec.needs)
        above = [condition for name in needed for condition in conditions[name]]
        conditions[spec.name] = tuple(dict.fromkeys([*above, *([spec.when] if spec.when else [])]))
    return conditions
