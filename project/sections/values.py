"""Read values -> structs.

What one entry alone can get wrong is said here; what it refers to, in references.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from ..models.gate_figures import AGAINST
from ..reading.names import did_you_mean
from ..reading.report import Report, child, item
from ..specs.description import (
    Attribute,
    Bound,
    Endpoint,
    Entity,
    Evaluation,
    Event,
    Feature,
    FeatureView,
    Gate,
    Model,
    Objective,
    Parameter,
    Shadow,
    StaticTable,
    Variant,
)
from ..specs.rules import Condition

Values = dict[str, Any]
_DAY = timedelta(days=1)

_PYTHON: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "int": (int,),
    "float": (int, float),
    "string": (str,),
}


def entity(name: str, values: Values) -> Entity:
    return Entity(name=name, **values)


def event(
    name: str, values: Values, entities: dict[str, Entity], events: tuple[str, ...], report: Report
) -> Event:
    """`entity` and `event` of each attribute are derived from its name."""
    by_key = {entity.key: entity.name for entity in entities.values()}
    references = {f"{event}_id": event for event in events}
    key = f"events.{name}.attributes"
    attributes = tuple(
        _attribute(
            attribute,
            about,
            child(key, attribute),
            report,
            entity=by_key.get(attribute),
            event=references.get(attribute),
        )
        for attribute, about in values["attributes"].items()
    )
    for attribute in attributes:
        _reference(attribute, name, entities, child(key, attribute.name), report)
    fields: Values = values | {"attributes": attributes}
    return Event(name=name, **fields)


def _allowed(about: Values) -> Values:
    """The values that are listed, if any, as the type has them."""
    return (
        {"allowed": tuple(typed(value, about["type"]) for value in about["allowed"])}
        if "allowed" in about
        else {}
    )


def typed(value: Any, kind: str) -> Any:
    """A whole number of YAML that stands for a float."""
    return float(value) if kind == "float" and type(value) is int else value


def fits(value: Any, kind: str) -> bool:
    """Whether a YAML value is of an attribute's type. true is no number here, though Python thinks
    so.
    """
    return isinstance(value, _PYTHON.get(kind, ())) and (
        kind == "bool" or not isinstance(value, bool)
    )


def _attribute(
    name: str, about: Values, key: str, report: Report, **derived: str | None
) -> Attribute:
    fields: Values = about | _allowed(about) | derived
    attribute = Attribute(name=name, **fields)
    _domain(attribute, key, report)
    return attribute


def _domain(attribute: Attribute | Parameter, key: str, report: Report) -> None:
    kind = attribute.type
    for bound in ("min", "max"):
        if getattr(attribute, bound) is not None and kind not in {"int", "float"}:
            report.add(child(key, bound), f"{kind} has no {bound}", "bounds are for int and float")
    if attribute.min is not None and attribute.max is not None and attribute.min > attribute.max:
        report.add(
            child(key, "max"), f"max {attribute.max:g} is below min {attribute.min:g}", "swap them"
        )
    if attribute.allowed is not None:
        _allowed_values(attribute, child(key, "allowed"), report)


def _reference(
    attribute: Attribute, event: str, entities: dict[str, Entity], key: str, report: Report
) -> None:
    """To an entity or an event, by its name."""
    kind = attribute.type
    if attribute.entity is not None and kind != entities[attribute.entity].type:
        wanted = entities[attribute.entity].type
        report.add(
            child(key, "type"),
            f"it is the key of {attribute.entity}, whose type is {wanted}, not {kind}",
            f"write type: {wanted}",
        )
    if attribute.event is not None and kind != "string":
        report.add(
            child(key, "type"),
            f"it refers to {attribute.event}, and an event's id is a string, not {kind}",
            "write type: string",
        )
    if attribute.event == event:
        report.add(
            key,
            "it refers to its own event",
            f"event_id comes with every event: leave {attribute.name} out",
        )
    elif attribute.event is not None and attribute.entity is not None:
        report.add(
            key,
            f"it is the key of {attribute.entity} and refers to the event {attribute.event}",
            f"rename the key of entities.{attribute.entity}",
        )


def _allowed_values(attribute: Attribute | Parameter, key: str, report: Report) -> None:
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


def value_problem(value: Any, of: Attribute | Parameter) -> tuple[str, str] | None:
    """Of a YAML value that stands for an attribute's or a parameter's:

    (what is wrong, remedy), or None.
    """
    if not fits(value, of.type):
        quotes = of.type == "string" and isinstance(value, int | float)
        return (
            f"{value!r} is not of type {of.type}, as {of.name} is",
            f'write it in quotes: "{value}"' if quotes else f"write a value of type {of.type}",
        )
    if of.allowed is not None and value not in of.allowed:
        allowed = [str(value) for value in of.allowed]
        return f"{value!r} is not among the values of {of.name}", did_you_mean(
            str(value), allowed, has="they are"
        ) or ""
    if (of.min is not None and value < of.min) or (of.max is not None and value > of.max):
        return (
            f"{value:g} is outside of {_bounds(of)}, which {of.name} has",
            "write a value between, or widen the bounds",
        )
    return None


def condition_problems(condition: Condition, of: Attribute) -> Iterator[tuple[str, str]]:
    """What stands against its values and bounds: (what is wrong, remedy)."""
    values = (*(condition.among or ()), *(condition.not_among or ()))
    yield from dict.fromkeys(filter(None, (value_problem(value, of) for value in values)))
    if (condition.min is not None or condition.max is not None) and of.type not in ("int", "float"):
        yield (
            f"{of.name} is of type {of.type}, which has no min and max",
            "write its values: a list, or {not: ...}",
        )
    if condition.min is not None and condition.max is not None and condition.min > condition.max:
        yield f"max {condition.max:g} is below min {condition.min:g}", "swap them"


def _bounds(of: Attribute | Parameter) -> str:
    return " .. ".join("" if bound is None else f"{bound:g}" for bound in (of.min, of.max)).strip()


def objective(name: str, values: Values) -> Objective:
    """Rows are ranked within their unit unless the objective says within what."""
    outcome, exposure = values.pop("rate")
    within = {"ranked_within": values["unit"]} if "unit" in values else {}
    return Objective(name=name, outcome=outcome, exposure=exposure, **within | values)


def static_table(name: str, path: str) -> StaticTable:
    return StaticTable(name=name, path=path)


def feature_view(name: str, values: Values, path: str, sql: str) -> FeatureView:
    return FeatureView(name=name, path=path, sql=sql, **values)


def endpoint(name: str, values: Values, key: str, report: Report) -> Endpoint:
    variants = tuple(
        Variant(
            name=variant, model=about["model"][0], ref=about["model"][1], traffic=about["traffic"]
        )
        for variant, about in values["variants"].items()
    )
    total = sum((variant.traffic for variant in variants), Decimal(0))
    if total != 100:
        shares = " + ".join(f"{variant.traffic.normalize():f}" for variant in variants)
        summed = (
            f"sums to {shares} = {total.normalize():f}" if len(variants) > 1 else f"is {shares}"
        )
        report.add(
            child(key, "variants"), f"traffic {summed}, not 100", "make the shares sum to 100"
        )
    attributes = tuple(
        _attribute(attribute, about, child(key, f"attributes.{attribute}"), report)
        for attribute, about in values.get("attributes", {}).items()
    )
    parameters = {
        parameter: _parameter(parameter, about, child(key, f"parameters.{parameter}"), report)
        for parameter, about in values.get("parameters", {}).items()
    }
    built: Values = {"variants": variants, "attributes": attributes, "parameters": parameters}
    if "shadow" in values:
        built["shadow"] = _shadow(
            values["shadow"], [variant.name for variant in variants], child(key, "shadow"), report
        )
    return Endpoint(name=name, **values | built)


def _shadow(about: Values, variants: Sequence[str], key: str, report: Report) -> Shadow:
    shadow = Shadow(**about)
    if shadow.variant not in variants:
        remedy = did_you_mean(shadow.variant, variants, has="the endpoint has")
        report.add(
            child(key, "variant"), f"{shadow.variant} is not a variant of the endpoint", remedy
        )
    elif len(variants) == 1:
        report.add(
            child(key, "variant"),
            f"{shadow.variant} is the only variant",
            "add the other one, which answers",
        )
    if not shadow.share:
        report.add(
            child(key, "share"), "0% copies nothing", "write a share above 0%, or take shadow: out"
        )
    return shadow


def _parameter(name: str, about: Values, key: str, report: Report) -> Parameter:
    fields: Values = about | _allowed(about) | {"default": typed(about["default"], about["type"])}
    parameter = Parameter(name=name, **fields)
    _domain(parameter, key, report)
    if report.sound(key) and (problem := value_problem(parameter.default, parameter)):
        report.add(child(key, "default"), *problem)
    return parameter


def model(name: str, values: Values, path: str, report: Report) -> Model:
    """`values` of models/<name>.yaml; its keys are prefixed by `path:`."""
    fields = dict(values)
    window = fields.pop("window", None)
    if isinstance(window, tuple):
        fields["window"] = window
    elif window is not None:
        fields["window_length"] = window
    built = Model(
        name=name,
        path=path,
        features=tuple(map(feature, fields.pop("features"))),
        evaluate=Evaluation(**fields.pop("evaluate", {})),
        gate=_gate(fields.pop("gate", {}), path, report),
        **fields,
    )
    length = built.window[1] - built.window[0] if built.window else built.window_length
    if built.evaluate.after + (built.evaluate.forward or _DAY) > length:
        report.add(
            f"{path}:window" if window is not None else f"{path}:evaluate",
            f"the window of {length.days} days leaves no period to test on, "
            f"{built.evaluate.after.days} days after its start",
            "widen the window, or shorten evaluate.after",
        )
    return built


def _gate(values: Values, path: str, report: Report) -> Gate:
    bounds = {check: about for check, about in values.items() if check != "leaks"}
    return Gate(
        bounds=tuple(_bound(check, about, path, report) for check, about in bounds.items()),
        leaks=values.get("leaks"),
    )


def _bound(check: str, about: Values, path: str, report: Report) -> Bound:
    key = child(f"{path}:gate", check)
    low, high = about.get("within", (about.get("at_least"), about.get("at_most")))
    if low is None and high is None:
        report.add(
            key, "nothing is asked of it", "write at_least, at_most or within: {at_least: 0}"
        )
    elif "within" in about and len(about) > 1:
        report.add(
            key, "within and another bound", "within: [low, high] has both: take the other out"
        )
    elif low is not None and high is not None and low > high:
        report.add(
            child(key, "within"), f"{low:g} is above {high:g}", "write the lower bound first"
        )
    low, high = (None if bound is None else float(bound) for bound in (low, high))
    return Bound(
        metric=check.removesuffix(AGAINST), against=check.endswith(AGAINST), low=low, high=high
    )


def feature(text: str) -> Feature:
    view, dot, name = text.rpartition(".")
    return Feature(view=view if dot else None, name=name)
