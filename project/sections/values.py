"""Values of attributes and parameters: whether they are of their type and within their bounds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..reading.names import did_you_mean
from ..reading.report import ProblemReport, child, item
from ..specs.description import Attribute, Parameter
from ..specs.rules import Condition

YamlValues = dict[str, Any]

_PYTHON: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "int": (int,),
    "float": (int, float),
    "string": (str,),
}


def allowed_values(about: YamlValues) -> YamlValues:
    """Return {"allowed": ...} with an attribute's allowed values in its type, {} if none.

    `about` are its values in project.yaml.
    """
    return (
        {"allowed": tuple(typed(value, about["type"]) for value in about["allowed"])}
        if "allowed" in about
        else {}
    )


def typed(value: Any, kind: str) -> Any:
    """Convert a YAML value to an attribute's type: a whole number becomes a float where needed."""
    return float(value) if kind == "float" and type(value) is int else value


def fits(value: Any, kind: str) -> bool:
    """Return whether a YAML value has the type of an attribute (int, float, string, bool).

    `true` is no number here, although it is one in Python.
    """
    return isinstance(value, _PYTHON.get(kind, ())) and (
        kind == "bool" or not isinstance(value, bool)
    )


def build_attribute(
    name: str, about: YamlValues, key: str, report: ProblemReport, **derived: str | None
) -> Attribute:
    """Build the Attribute struct, and report bounds or values that contradict each other.

    `about` are its values in project.yaml, and `key` its path there; `derived` are further fields.
    """
    fields: YamlValues = about | allowed_values(about) | derived
    built = Attribute(name=name, **fields)
    check_domain(built, key, report)
    return built


def check_domain(attribute: Attribute | Parameter, key: str, report: ProblemReport) -> None:
    """Report bounds and allowed values that do not fit an attribute's type."""
    kind = attribute.type
    for bound in ("min", "max"):
        if getattr(attribute, bound) is not None and kind not in {"int", "float"}:
            report.add(child(key, bound), f"{kind} has no {bound}", "bounds are for int and float")
    if attribute.min is not None and attribute.max is not None and attribute.min > attribute.max:
        report.add(
            child(key, "max"), f"max {attribute.max:g} is below min {attribute.min:g}", "swap them"
        )
    if attribute.allowed is not None:
        _check_allowed(attribute, child(key, "allowed"), report)


def _check_allowed(attribute: Attribute | Parameter, key: str, report: ProblemReport) -> None:
    """Report allowed values that have another type or are out of bounds."""
    if attribute.type == "timestamp":
        report.add(key, "timestamp has no list of values", "leave allowed out")
        return
    for position, value in enumerate(attribute.allowed or ()):
        if not fits(value, attribute.type):
            remedy = (
                f'write it in quotes: "{value}"'
                if attribute.type == "string" and not isinstance(value, list | dict)
                else f"write values of type {attribute.type}"
            )
            report.add(item(key, position), f"{value!r} is not of type {attribute.type}", remedy)
        elif isinstance(value, int | float) and not (
            (attribute.min is None or value >= attribute.min)
            and (attribute.max is None or value <= attribute.max)
        ):
            report.add(
                item(key, position),
                f"{value:g} is outside min and max",
                "take it out, or widen the bounds",
            )


def value_problem(value: Any, attribute: Attribute | Parameter) -> tuple[str, str] | None:
    """Return (problem, remedy) if a value is invalid for an attribute or parameter, else None."""
    if not fits(value, attribute.type):
        quotes = attribute.type == "string" and isinstance(value, int | float)
        return (
            f"{value!r} is not of type {attribute.type}, as {attribute.name} is",
            f'write it in quotes: "{value}"'
            if quotes
            else f"write a value of type {attribute.type}",
        )
    if attribute.allowed is not None and value not in attribute.allowed:
        allowed = [str(value) for value in attribute.allowed]
        return f"{value!r} is not among the values of {attribute.name}", did_you_mean(
            str(value), allowed, has="they are"
        ) or ""
    if (attribute.min is not None and value < attribute.min) or (
        attribute.max is not None and value > attribute.max
    ):
        return (
            f"{value:g} is outside of {_bounds(attribute)}, which {attribute.name} has",
            "write a value between, or widen the bounds",
        )
    return None


def condition_problems(condition: Condition, attribute: Attribute) -> Iterator[tuple[str, str]]:
    """Yield (problem, remedy) for a condition's values that do not fit its attribute."""
    values = (*(condition.among or ()), *(condition.not_among or ()))
    yield from dict.fromkeys(filter(None, (value_problem(value, attribute) for value in values)))
    if (condition.min is not None or condition.max is not None) and attribute.type not in (
        "int",
        "float",
    ):
        yield (
            f"{attribute.name} is of type {attribute.type}, which has no min and max",
            "write its values: a list, or {not: ...}",
        )
    if condition.min is not None and condition.max is not None and condition.min > condition.max:
        yield f"max {condition.max:g} is below min {condition.min:g}", "swap them"


def _bounds(attribute: Attribute | Parameter) -> str:
    """Return an attribute's bounds as text: `min .. max`."""
    return " .. ".join(
        "" if bound is None else f"{bound:g}" for bound in (attribute.min, attribute.max)
    ).strip()
