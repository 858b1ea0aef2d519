"""Condition steps: whether one goes on with If or Else."""

import operator
from collections.abc import Callable
from typing import Any

from .expressions import ExpressionError, Scope, resolve

_COMPARISONS: dict[str, Callable[[float | str, float | str], bool]] = {
    "GreaterThan": operator.gt,
    "GreaterThanOrEqualTo": operator.ge,
    "LessThan": operator.lt,
    "LessThanOrEqualTo": operator.le,
}


_PROPERTIES = {
    **dict.fromkeys(("Equals", *_COMPARISONS), ("Type", "LeftValue", "RightValue")),
    "In": ("Type", "QueryValue", "Values"),
    "Not": ("Type", "Condition"),
    "Or": ("Type", "Conditions"),
}


def check(condition: object) -> None:
    """Raise an error for a condition of a Condition step that CreatePipeline refuses.

    Raises:
        ExpressionError: CreatePipeline refuses the condition.
    """
    if not isinstance(condition, dict) or condition.get("Type") not in _PROPERTIES:
        raise ExpressionError(
            f"a condition's Type must be one of {', '.join(_PROPERTIES)}: {str(condition)[:200]}"
        )
    properties = _PROPERTIES[condition["Type"]]
    for name in condition:
        if name not in properties:
            raise ExpressionError(f"Cannot parse object, unknown property '{name}'.")
    missing = [name for name in properties if name not in condition]
    if missing:
        raise ExpressionError(f"a condition of Type {condition['Type']} needs {', '.join(missing)}")
    for inner in (
        *condition.get("Conditions", ()),
        *([condition["Condition"]] if "Condition" in condition else []),
    ):
        check(inner)


def holds(conditions: list[dict[str, Any]], scope: Scope) -> bool:
    """Return whether every one of a Condition step's (checked) Conditions is true.

    `scope` gives the values of parameters, steps and the execution.
    """
    return all(_holds(condition, scope) for condition in conditions)


def _holds(condition: dict[str, Any], scope: Scope) -> bool:
    """Return whether one condition of a Condition step is true.

    `scope` gives the values of parameters, steps and the execution.
    """
    kind = condition["Type"]
    if kind == "Not":
        return not _holds(condition["Condition"], scope)
    if kind == "Or":
        return any(_holds(item, scope) for item in condition["Conditions"])
    if kind == "In":
        value = resolve(condition.get("QueryValue"), scope)
        return any(_equal(value, resolve(item, scope)) for item in condition.get("Values") or [])
    left, right = (
        resolve(condition.get("LeftValue"), scope),
        resolve(condition.get("RightValue"), scope),
    )
    if kind == "Equals":
        return _equal(left, right)
    first, second = _number(left), _number(right)
    if first is not None and second is not None:
        return _COMPARISONS[kind](first, second)
    if isinstance(left, str) and isinstance(right, str):
        return _COMPARISONS[kind](left, right)
    raise ExpressionError(f"{kind} cannot compare {left!r} with {right!r}")


def _number(value: object) -> float | None:
    """Return a condition's operand as a number, or None if it is none.

    Values travel as strings (a parameter, a metric in a file), so a string that reads as a number
    counts as one.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    try:
        return float(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _equal(left: object, right: object) -> bool:
    """Return whether two operands of a condition are equal, as numbers if both read as numbers."""
    first, second = _number(left), _number(right)
    if first is not None and second is not None:
        return first == second
    if isinstance(left, bool) or isinstance(right, bool):
        return str(left).lower() == str(right).lower()
    return left == right
