"""What the parts of a project say of each other: every name that is used is defined, and no two
things want one name.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args

import msgspec

from ..models.gate_figures import AGAINST, ranks
from ..reading.names import OWN_COLUMNS, did_you_mean, nearest
from ..reading.report import Report, child, item
from ..specs import reach
from ..specs.description import Endpoint, Event, Model, Objective, ProjectSpec, Variant
from ..specs.streams import Stream
from .values import fits

# What the gateway decides while it ranks: no request carries it, so a model that reads it needs a
# value at serving.
DECIDED_BY_RANKING = ("position", "propensity", "policy")


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """Every name that is written down, sound or not: a broken event is not also an unknown one."""

    entities: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    objectives: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    feature_views: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()
    rollouts: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    experiments: tuple[str, ...] = ()
    monitors: tuple[str, ...] = ()


def check(
    spec: ProjectSpec, declared: Declared, registered: dict[str, set[str]], report: Report
) -> None:
    """`spec` holds what is sound so far; `registered` the models that models/*.yaml name, with the
    aliases that they give.
    """
    _relations(spec, declared, report)
    _entity_keys(spec, report)
    for objective in spec.objectives.values():
        _objective(objective, spec, declared, report)
    for view in spec.feature_views.values():
        known(
            view.entity,
            declared.entities,
            f"feature_views.{view.name}.entity",
            report,
            noun="an entity",
            has="entities are",
        )
    for endpoint in spec.endpoints.values():
        _endpoint(endpoint, spec, declared, registered, report)
    for configuration in spec.models.values():
        model(configuration, spec, declared, report)


def known(
    name: str, names: Iterable[str], key: str, report: Report, *, noun: str, has: str
) -> bool:
    names = tuple(names)
    if name not in names:
        report.add(key, f"{name} is not {noun}", did_you_mean(name, names, has=has))
    return name in names


def _of_events(name: str) -> tuple[str, ...]:
    return f"{name}_raw", f"events_{name}", f"quarantine_{name}"


def _exposed(event: str, spec: ProjectSpec) -> tuple[str, ...]:
    return (
        (f"{event}_exposed",)
        if event in spec.events and reach.has_exposure(spec.events[event])
        else ()
    )


def _relations(spec: ProjectSpec, declared: Declared, report: Report) -> None:
    """Tables and views of the warehouse share one namespace (events/tables/relations.py,
    feature_store/tables/relations.py).
    """
    taken: dict[str, str] = {}
    owners: list[tuple[str, str, tuple[str, ...]]] = [
        *(("", f"the gateway's {n}", (n, *_of_events(n))) for n in get_args(Stream)),
        *(
            (f"events.{n}", f"events.{n}", (*_of_events(n), *_exposed(n, spec)))
            for n in declared.events
        ),
        *((f"endpoints.{n}", f"endpoints.{n}", (f"{n}_capture",)) for n in declared.endpoints),
        *((f"objectives.{n}", f"objectives.{n}", (n,)) for n in declared.objectives),
        *((f"tables.{n}", f"tables.{n}", (n, f"{n}_raw")) for n in declared.tables),
        *((f"feature_views.{n}", f"feature_views.{n}", (n,)) for n in declared.feature_views),
    ]
    for key, owner, relations in owners:
        clash = next((relation for relation in relations if relation in taken), None)
        if clash is None:
            taken |= dict.fromkeys(relations, owner)
        else:
            report.add(
                key,
                f"it would make the table {clash}, which is made for {taken[clash]}",
                "rename one of the two",
            )


def _entity_keys(spec: ProjectSpec, report: Report) -> None:
    first: dict[str, str] = {}
    for entity in spec.entities.values():
        if entity.key in first:
            report.add(
                f"entities.{entity.name}.key",
                f"{entity.key} is the key of {first[entity.key]} too",
                "one key belongs to one entity: rename one",
            )
        first.setdefault(entity.key, entity.name)


def _objective(objective: Objective, spec: ProjectSpec, declared: Declared, report: Report) -> None:
    key = f"objectives.{objective.name}.rate"
    both = [
        known(name, declared.events, key, report, noun="an event", has="events are")
        for name in (objective.outcome, objective.exposure)
    ]
    if objective.outcome == objective.exposure:
        report.add(
            key,
            f"outcome and exposure are both {objective.outcome}",
            "write two events: click / impression",
        )
        return
    outcome = spec.events.get(objective.outcome)
    reference = f"{objective.exposure}_id"
    if all(both) and outcome is not None and reference not in {a.name for a in outcome.attributes}:
        report.add(
            key,
            f"{objective.outcome} has no attribute {reference}, so its {objective.exposure} "
            "cannot be found",
            f"add {reference}: {{type: string}} to the attributes of {objective.outcome}",
        )
    for role, name in (("unit", objective.unit), ("ranked_within", objective.ranked_within)):
        if name is not None and (exposure := spec.events.get(objective.exposure)) is not None:
            _grouping(role, name, objective, exposure, report)


def _grouping(role: str, name: str, objective: Objective, exposure: Event, report: Report) -> None:
    """An attribute of the exposure that tells rows apart."""
    if role == "ranked_within" and name == objective.unit:  # its default
        return
    key = f"objectives.{objective.name}.{role}"
    attributes = {attribute.name: attribute for attribute in exposure.attributes}
    if name not in attributes:
        report.add(
            key,
            f"{name} is not an attribute of {exposure.name}",
            did_you_mean(name, attributes, has=f"{exposure.name} has"),
        )
    elif attributes[name].type not in ("int", "string"):
        report.add(
            key,
            f"{name} is of type {attributes[name].type}, which names nobody",
            "use an attribute of type int or string",
        )


def _endpoint(
    endpoint: Endpoint,
    spec: ProjectSpec,
    declared: Declared,
    registered: dict[str, set[str]],
    report: Report,
) -> None:
    key = f"endpoints.{endpoint.name}"
    if known(
        endpoint.objective,
        declared.objectives,
        f"{key}.objective",
        report,
        noun="an objective",
        has="objectives are",
    ):
        _one_unit(endpoint, spec, report)
    for variant in endpoint.variants:
        place = f"{key}.variants.{variant.name}.model"
        if variant.ref.isdigit():
            _number(variant, registered, place, report)
            continue
        if not known(
            variant.model, registered, place, report, noun="a model", has="models/*.yaml name"
        ):
            continue
        aliases = sorted(registered[variant.model])
        if variant.ref not in aliases:
            report.add(
                place,
                f"no file in models/ gives {variant.model} the alias {variant.ref}",
                did_you_mean(variant.ref, aliases, has="aliases are")
                or "give it by hand: isthmus models promote",
                severity="warning",
            )


def _number(variant: Variant, registered: dict[str, set[str]], place: str, report: Report) -> None:
    """A version's number says that it is registered: of what was adopted (`isthmus import`) no file
    in models/ knows.
    """
    if variant.model not in registered and (near := nearest(variant.model, registered)):
        report.add(
            place,
            f"no file in models/ makes {variant.model}",
            f"did you mean {near}?",
            severity="warning",
        )


def _one_unit(endpoint: Endpoint, spec: ProjectSpec, report: Report) -> None:
    """Experiments count the endpoint's unit and evaluation the objective's."""
    objective = spec.objectives.get(endpoint.objective)
    exposure = spec.events.get(objective.exposure) if objective else None
    if objective is None or exposure is None or objective.unit == endpoint.unit:
        return
    if endpoint.unit in {attribute.name for attribute in exposure.attributes}:
        report.add(
            f"endpoints.{endpoint.name}.unit",
            f"{endpoint.unit} is an attribute of {exposure.name}, and the unit of "
            f"{objective.name} is {objective.unit or 'not named'}: "
            "evaluation and experiments count different units",
            f"write unit: {endpoint.unit} in objectives.{objective.name}, or the same "
            "attribute here",
            severity="warning",
        )


def model(model: Model, spec: ProjectSpec, declared: Declared, report: Report) -> None:
    """What a configuration names is there."""
    prefix = f"{model.path}:"
    exposure = None
    if known(
        model.objective,
        declared.objectives,
        child(prefix, "objective"),
        report,
        noun="an objective",
        has="objectives are",
    ):
        objective = spec.objectives.get(model.objective)
        exposure = spec.events.get(objective.exposure) if objective else None
        if objective is not None and objective.ranked_within is None:
            _unranked(model, objective, report)
    first: dict[str, str] = {}
    for position, feature in enumerate(model.features):
        key = item(f"{prefix}features", position)
        if feature.name in first:
            report.add(
                key,
                f"{feature} is called {feature.name}, as {first[feature.name]} is",
                "names of features are unique within a model: take one out, or rename it in "
                "its view's SQL",
            )
        first.setdefault(feature.name, str(feature))
        if feature.view is None:
            _attribute_feature(feature.name, exposure, declared, key, report)
        elif known(
            feature.view,
            declared.feature_views,
            key,
            report,
            noun="a feature view",
            has="views are",
        ):
            _view_feature(feature.view, exposure, spec, key, report)
    _serve_as(model, exposure, prefix, report)
    _segments(model, exposure, prefix, report)


def _unranked(model: Model, objective: Objective, report: Report) -> None:
    for bound in model.gate.bounds:
        if ranks(bound.metric):
            report.add(
                f"{model.path}:gate.{bound.metric}{AGAINST if bound.against else ''}",
                f"{bound.metric} compares rows that were ranked against each other, and "
                f"{objective.name} does not say which were",
                "add ranked_within (a request's id), or at least unit, to "
                f"objectives.{objective.name}",
            )


def _attribute_feature(
    name: str, exposure: Event | None, declared: Declared, key: str, report: Report
) -> None:
    if exposure is None:
        return
    names = [a.name for a in exposure.attributes]
    if name == "outcome":
        report.add(
            key, "outcome is the label", "a model cannot read what it is to foretell: take it out"
        )
    elif name in OWN_COLUMNS:
        report.add(
            key, f"{name} is not a feature", f"use an attribute of {exposure.name}, or view.feature"
        )
    elif name in declared.feature_views:
        report.add(key, f"{name} is a view, not a feature", f"write {name}.<feature>")
    elif name not in names:
        report.add(
            key,
            f"{name} is not an attribute of {exposure.name}",
            did_you_mean(name, names, has=f"{exposure.name} has"),
        )


def _view_feature(
    name: str, exposure: Event | None, spec: ProjectSpec, key: str, report: Report
) -> None:
    view = spec.feature_views.get(name)
    entity = spec.entities.get(view.entity) if view else None
    if exposure is None or entity is None or entity.key in {a.name for a in exposure.attributes}:
        return
    report.add(
        key,
        f"{name} is found by {entity.key}, which {exposure.name} does not carry",
        f"add {entity.key}: {{type: {entity.type}}} to the attributes of {exposure.name}, or "
        "leave the view out",
    )


def _segments(model: Model, exposure: Event | None, prefix: str, report: Report) -> None:
    types = (
        {attribute.name: attribute.type for attribute in exposure.attributes} if exposure else {}
    )
    for position, name in enumerate(model.evaluate.segments if exposure else ()):
        key = item(f"{prefix}evaluate.segments", position)
        if name not in types:
            report.add(
                key,
                f"{name} is not an attribute of {model.objective}'s exposure",
                did_you_mean(name, types, has="it has"),
            )
        elif types[name] not in {"string", "int", "bool"}:
            report.add(
                key,
                f"{name} is a {types[name]}, and a segment is of one value",
                "use an attribute of type string, int or bool",
            )


def _serve_as(model: Model, exposure: Event | None, prefix: str, report: Report) -> None:
    attributes = [f.name for f in model.features if f.view is None]
    for name, value in model.serve_as.items():
        key = child(f"{prefix}serve_as", name)
        if name not in attributes:
            report.add(
                key,
                f"{name} is not an attribute among the features",
                did_you_mean(name, attributes, has="they are"),
            )
        elif exposure is not None:
            _serving_value(name, value, exposure, key, report)
    for position, feature in enumerate(model.features):
        if (
            feature.view is None
            and feature.name in DECIDED_BY_RANKING
            and feature.name not in model.serve_as
        ):
            report.add(
                item(f"{prefix}features", position),
                f"{feature.name} is not known before ranking",
                f"say what it is taken for at serving: serve_as: {{{feature.name}: "
                f"{_example(feature.name, exposure)}}}",
            )


def _serving_value(name: str, value: Any, exposure: Event, key: str, report: Report) -> None:
    attribute = next((a for a in exposure.attributes if a.name == name), None)
    if attribute is None:
        return
    if not fits(value, attribute.type):
        report.add(
            key,
            f"{value!r} is not of type {attribute.type}",
            f"as events.{exposure.name}.attributes.{name} says",
        )
    elif attribute.allowed is not None and value not in attribute.allowed:
        report.add(
            key, f"{value!r} is not allowed", f"one of {', '.join(map(str, attribute.allowed))}"
        )
    elif isinstance(value, int | float) and (
        (attribute.min is not None and value < attribute.min)
        or (attribute.max is not None and value > attribute.max)
    ):
        report.add(
            key,
            f"{value:g} is outside min and max",
            f"as events.{exposure.name}.attributes.{name} says",
        )


def _example(name: str, exposure: Event | None) -> str:
    attribute = next((a for a in exposure.attributes if a.name == name), None) if exposure else None
    return str(attribute.allowed[0]) if attribute and attribute.allowed else "1"
