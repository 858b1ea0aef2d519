"""Build layers and experiments: every arm, share and condition as it is written."""

from __future__ import annotations

from collections.abc import Container, Mapping
from decimal import Decimal
from typing import Any

from ..reading.report import ProblemReport, child
from ..sections.references import DeclaredNames, check_declared
from ..sections.values import typed
from ..specs.description import BUCKETS, Attribute, Endpoint, ProjectSpec
from ..specs.experiments import INTERLEAVED, Experiment, ExperimentArm, Layer, Plan
from ..specs.request_attributes import request_attributes
from ..specs.rules import Condition
from .analyses import guardrails

YamlValues = dict[str, Any]
_ALL = Decimal(100)


def layers(
    values: Mapping[str, YamlValues], endpoints: Mapping[str, Endpoint], report: ProblemReport
) -> dict[str, Layer]:
    """Build the declared experiment layers, and a default layer for each endpoint without one."""
    written = {name: _layer(name, about, report) for name, about in values.items()}
    named = {layer.endpoint for layer in written.values()}
    default = {name: Layer(name=name, endpoint=name) for name in endpoints if name not in named}
    for name in default.keys() & written.keys():
        message = f"the endpoint {name} has a layer of this name, as no other is written for it"
        report.add(f"layers.{name}", message, f"rename it, or write endpoint: {name}")
    return default | written


def _layer(name: str, values: YamlValues, report: ProblemReport) -> Layer:
    """Build an experiment layer from its section of project.yaml."""
    layer = Layer(name=name, **values)
    _below_all(layer.holdout, f"layers.{name}.holdout", report)
    return layer


def _below_all(holdout: Decimal, key: str, report: ProblemReport) -> None:
    """Report a holdout of 100 %, which leaves no units for the arms; `key` is its path."""
    if holdout >= _ALL:
        report.add(key, "nobody is left", "write a share below 100%")


def build(
    name: str, values: YamlValues, spec: ProjectSpec, declared: DeclaredNames, report: ProblemReport
) -> Experiment | None:
    """Build the Experiment struct from its section of project.yaml; None if its layer is unknown.

    Further mistakes are found later, by checks that need the layer's endpoint.
    """
    key = f"experiments.{name}"
    layer = _layer_of(values, spec, declared, key, report)
    duel = "interleave" in values
    arms = (ExperimentArm(name=INTERLEAVED),) if duel else _arms(values, key, report)
    if layer is None:
        return None
    endpoint = spec.endpoints.get(layer.endpoint)
    holdout, share = values.get("holdout", Decimal(0)), values.get("share", _ALL)
    _below_all(holdout, child(key, "holdout"), report)
    if not share:
        report.add(
            child(key, "share"),
            "nobody would be in it",
            "write a share above 0%: the others keep what they have",
        )
    return Experiment(
        name=name,
        layer=layer.name,
        arms=tuple(_typed(arm, endpoint) for arm in arms),
        metric=(values["metric"],) if duel else values["metric"],
        interleave=values.get("interleave"),
        share=share,
        holdout=holdout,
        targeting=_conditions(
            values.get("targeting", {}), request_attributes(spec, endpoint) if endpoint else {}
        ),
        guardrails=guardrails(values, key, report),
        also=values.get("also", ()),
        segments=values.get("segments", ()),
        drop_above=values.get("drop_above"),
        plan=_plan(values["plan"], child(key, "plan"), report) if "plan" in values else None,
        salt=values.get("salt", ""),
        owner=values.get("owner", ""),
        hypothesis=values.get("hypothesis", ""),
    )


def _layer_of(
    values: YamlValues, spec: ProjectSpec, declared: DeclaredNames, key: str, report: ProblemReport
) -> Layer | None:
    """Return the layer that an experiment names, or its endpoint's only layer; None if unknown.

    Mistakes are reported at `key`, the experiment's path in project.yaml.
    """
    endpoint = values.get("endpoint")
    if "layer" not in values:
        return _only_layer(endpoint, spec, declared, key, report)
    check_declared(
        values["layer"],
        _layer_names(spec, declared),
        child(key, "layer"),
        report,
        noun="a layer",
        has="layers are",
    )
    layer = spec.layers.get(values["layer"])
    if layer is not None and endpoint not in (None, layer.endpoint):
        report.add(
            child(key, "endpoint"),
            f"the layer {layer.name} is of {layer.endpoint}",
            "take one of the two out",
        )
    return layer


def _layer_names(spec: ProjectSpec, declared: DeclaredNames) -> tuple[str, ...]:
    """Return the names of all layers, also those of endpoints that have mistakes."""
    unsound = [name for name in declared.endpoints if name not in spec.endpoints]
    return (
        *spec.layers,
        *(name for name in (*declared.layers, *unsound) if name not in spec.layers),
    )


def _only_layer(
    endpoint: str | None,
    spec: ProjectSpec,
    declared: DeclaredNames,
    key: str,
    report: ProblemReport,
) -> Layer | None:
    """Return the only layer of an endpoint; report if it has none or several."""
    if endpoint is None and len(declared.endpoints) != 1:
        report.add(
            key,
            f"layer is missing, and there are {len(declared.endpoints) or 'no'} endpoints",
            "write layer: NAME, or endpoint: NAME",
        )
        return None
    name = endpoint or declared.endpoints[0]
    check_declared(
        name,
        declared.endpoints,
        child(key, "endpoint"),
        report,
        noun="an endpoint",
        has="endpoints are",
    )
    possible = [layer for layer in spec.layers.values() if layer.endpoint == name]
    if len(possible) > 1:
        report.add(
            key,
            f"layer is missing, and {name} has {', '.join(layer.name for layer in possible)}",
            "name one of them",
        )
    return possible[0] if len(possible) == 1 else None


def _arms(values: YamlValues, key: str, report: ProblemReport) -> tuple[ExperimentArm, ...]:
    """Build an experiment's arms, from `arms` or from the short form `control`, `treatment`."""
    short = [role for role in ("control", "treatment") if role in values]
    if "arms" in values and short:
        report.add(
            child(key, short[0]),
            f"arms says it, too: {short[0]} is the short form",
            "take one of the two out",
        )
    elif "arms" not in values and len(short) < 2:
        message = (
            f"{'treatment' if short == ['control'] else 'control'} is missing"
            if short
            else "arms is missing"
        )
        remedy = (
            "write arms: {control: {}, treatment: {...}}, or arm: event.attribute where it is "
            "assigned elsewhere"
        )
        report.add(key, message, remedy)
    parameters = values.get("arms") or {role: {"variant": values[role]} for role in short}
    if "arms" in values and len(parameters) < 2:
        report.add(
            child(key, "arms"),
            f"{len(parameters) or 'no'} arm: nothing is compared",
            "write two or more, the control first",
        )
    weights = _weights(
        values.get("weights") if len(parameters) > 1 else None,
        list(parameters),
        child(key, "weights"),
        report,
    )
    return tuple(
        ExperimentArm(name=arm, parameters=set_, weight=weights.get(arm, 1.0))
        for arm, set_ in parameters.items()
    )


def arm_key(experiment: str, arm: str, parameter: str, places: Container[str]) -> str:
    """Return the path in project.yaml of an arm's parameter, in the form that the file uses.

    Args:
        experiment: The experiment.
        arm: The arm.
        parameter: The parameter.
        places: The paths that the file has. With `experiments.<name>.arms` among them the path is
            below that; otherwise the short form (`control:`, `treatment:`) is used.
    """
    key = f"experiments.{experiment}"
    return f"{key}.arms.{arm}.{parameter}" if f"{key}.arms" in places else f"{key}.{arm}"


def _weights(
    values: YamlValues | None, arms: list[str], key: str, report: ProblemReport
) -> dict[str, float]:
    """Return the arms' traffic weights by arm; report missing ones and names that are no arms."""
    if values is None:
        return {}
    for name in values:
        check_declared(name, arms, child(key, name), report, noun="an arm", has="arms are")
    for name in arms:
        if name not in values:
            report.add(
                key, f"{name} has none", "write a weight for each arm, or none at all: equal ones"
            )
    total = sum(values.values())
    if any(weight <= 0 or weight * BUCKETS < total for weight in values.values()):
        report.add(
            key,
            f"an arm gets no unit of {BUCKETS:,}",
            "write shares such as {control: 50, treatment: 50}",
        )
    return {name: float(weight) for name, weight in values.items()}


def _typed(arm: ExperimentArm, endpoint: Endpoint | None) -> ExperimentArm:
    """Return an arm with its values converted to the types of the endpoint's parameters.

    `explore`, which every endpoint has, becomes a float.
    """
    parameters = dict(arm.parameters)
    for name, value in arm.parameters.items():
        if name == "explore":
            parameters[name] = float(value)
        elif endpoint is not None and name in endpoint.parameters:
            parameters[name] = typed(value, endpoint.parameters[name].type)
    return ExperimentArm(name=arm.name, parameters=parameters, weight=arm.weight)


def _conditions(
    values: Mapping[str, YamlValues], attributes: Mapping[str, Attribute]
) -> tuple[Condition, ...]:
    """Build the conditions that choose which requests an experiment targets."""
    return tuple(
        Condition(attribute=name, **_condition(about, attributes.get(name)))
        for name, about in values.items()
    )


def _condition(about: YamlValues, attribute: Attribute | None) -> YamlValues:
    """Return a targeting condition's values, converted to the attribute's type."""
    kind = attribute.type if attribute else ""
    return {
        name: tuple(typed(value, kind) for value in value_list)
        if isinstance(value_list, tuple)
        else value_list
        for name, value_list in about.items()
    }


def _plan(values: YamlValues, key: str, report: ProblemReport) -> Plan:
    """Build the experiment's power plan: effect, power, false-alarm rate; report an effect of 0."""
    if not values["minimum_effect"]:
        report.add(
            child(key, "minimum_effect"),
            "no number of units finds an effect of 0 %",
            "write the smallest one that matters: 5%",
        )
    return Plan(**values)
