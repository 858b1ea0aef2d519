"""Condition steps: whether it is If or Else."""

import operator
from collections.abc import Callable

from .expressions import ExpressionError, Scope, resolve

_COMPARISONS: dict[str, Callable[[float | str, float | str], bool]] = {
    "GreaterThan": operator.gt,
    "GreaterThanOrEqualTo": operator.ge,
    "LessThan": operator.lt,
    "LessThanOrEqualTo": operator.le,
}


def holds(conditions: list[object], scope: Scope) -> bool:
    """Whether every one of a Condition step's Conditions is true."""
    return all(_holds(condition, scope) for condition in conditions)


def _holds(condition: object, scope: Scope) -> bool:
    if not isinstance(condition, dict):
        raise ExpressionError(f"a condition must be an object, not {condition!r}")
    kind = condition.get("Type")
    if kind == "Not":
        return not _holds(condition.get("Condition", condition.get("Expression")), scope)
    if kind == "Or":
        return any(_holds(item, scope) for item in condition.get("Conditions") or [])
    if kind == "In":
        value = resolve(condition.get("QueryValue"), scope)
        return any(_equal(value, resolve(item, scope)) for item in condition.get("Values") or [])
    left, right = resolve(condition.get("LeftValue"), scope), resolve(condition.get("RightValue"), scope)
    if kind == "Equals":
        return _equal(left, right)
    if kind not in _COMPARISONS:
        raise ExpressionError(f"unknown condition Type {kind!r}")
    first, second = _number(left), _number(right)
    if first is not None and second is not None:
        return _COMPARISONS[kind](first, second)
    if isinstance(left, str) and isinstance(right, str):
        return _COMPARISONS[kind](left, right)
    raise ExpressionError(f"{kind} cannot compare {left!r} with {right!r}")


def _number(value: object) -> float | None:
    """Values travel as strings (a parameter, a metric in a file), so a string that reads as a number counts as one."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    try:
        return float(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _equal(left: object, right: object) -> bool:
    first, second = _number(left), _number(right)
    if first is not None and second is not None:
        return first == second
    if isinstance(left, bool) or isinstance(right, bool):
        return str(left).lower() == str(right).lower()
    return left == right
