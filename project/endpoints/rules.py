"""Build the rules of an endpoint, and check them against the rest of the project."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..experiments.checks import request_conditions
from ..reading.names import did_you_mean
from ..reading.report import ProblemReport, child, item
from ..sections.references import DeclaredNames, check_declared
from ..sections.values import condition_problems, typed, value_problem
from ..specs.description import Attribute, Endpoint, Entity, Parameter, ProjectSpec
from ..specs.rules import Block, Boost, Cap, Condition, Pin, Reserve, Rule, UnitCap

_KINDS: dict[type[Rule], str] = {
    Block: "block",
    UnitCap: "cap",
    Boost: "boost",
    Pin: "pin",
    Reserve: "reserve",
    Cap: "cap",
}
ORDER = tuple(_KINDS)  # as they are applied
_FIELDS = {"from": "since", "in": "window"}


def build(rules: tuple[tuple[str, Mapping[str, Any]], ...]) -> tuple[Rule, ...]:
    """Build an endpoint's ranking rules from their kinds and values in project.yaml."""
    return tuple(_rule(kind, values) for kind, values in rules)


def _rule(kind: str, values: Mapping[str, Any]) -> Rule:
    """Build one ranking rule from its kind and its values in project.yaml."""
    rule_type = (
        UnitCap
        if values.get("per") == "unit"
        else next(
            rule_type
            for rule_type, name in _KINDS.items()
            if name == kind and rule_type is not UnitCap
        )
    )
    fields = {_FIELDS.get(name, name): value for name, value in values.items()}
    for name in ("where", "when"):
        if name in fields:
            fields[name] = tuple(
                Condition(attribute=attribute, **about) for attribute, about in fields[name].items()
            )
    for name in ("times", "add"):
        if name in fields:
            fields[name] = typed(fields[name], "float")
    return rule_type(
        **{name: value for name, value in fields.items() if name in rule_type.__struct_fields__}
    )


def reads(rule: Rule) -> tuple[str, ...]:
    """Return the names of what a ranking rule reads of an item: entity keys and `view.feature`."""
    if isinstance(rule, Pin):
        return (rule.key,)
    return (
        (rule.by,)
        if isinstance(rule, Cap | UnitCap)
        else tuple(condition.attribute for condition in rule.where)
    )


def entity_of(name: str, spec: ProjectSpec) -> Entity | None:
    """Return the entity to which a key or a `view.feature` belongs, or None."""
    view, dot, _ = name.partition(".")
    if not dot:
        return next((entity for entity in spec.entities.values() if entity.key == name), None)
    return (
        spec.entities.get(spec.feature_views[view].entity) if view in spec.feature_views else None
    )


def check(spec: ProjectSpec, declared: DeclaredNames, report: ProblemReport) -> None:
    """Report every mistake in the endpoints' ranking rules: names, conditions, dates, numbers."""
    for endpoint in spec.endpoints.values():
        for rule, key in places(endpoint):
            _check_names(rule, spec, declared, key, report)
            request_conditions(rule.when, endpoint, spec, child(key, "when"), report)
            _window(rule, key, report)
            _figures(rule, endpoint, key, report)
        _reserved(endpoint, report)
        if explores(endpoint, spec):
            _closed_form(endpoint, f"{endpoint.name} explores", "explore: 0%", report)
        elif duel := interleaving(endpoint, spec):
            _closed_form(endpoint, f"{duel} interleaves", f"take {duel} out", report)


def places(endpoint: Endpoint) -> Iterator[tuple[Rule, str]]:
    """Yield each ranking rule of an endpoint with its path in project.yaml."""
    for position, rule in enumerate(endpoint.rules):
        yield rule, child(item(f"endpoints.{endpoint.name}.rules", position), kind_of(rule))


def kind_of(rule: Rule) -> str:
    """Return the key of project.yaml (boost, cap, pin, ...) for a ranking rule's kind."""
    return _KINDS[type(rule)]


def counts_units(endpoint: Endpoint) -> bool:
    """Return whether any ranking rule caps how often a unit (user) is shown something."""
    return any(isinstance(rule, UnitCap) for rule in endpoint.rules)


def reading_key(rule: Rule, name: str, key: str) -> str:
    """Return the path in project.yaml at which a ranking rule names what it reads."""
    below = {Pin: name, Cap: "by", UnitCap: "by"}.get(type(rule))
    return child(key, below or f"where.{name}")


def _check_names(
    rule: Rule, spec: ProjectSpec, declared: DeclaredNames, key: str, report: ProblemReport
) -> None:
    """Report names in a ranking rule that are undeclared or belong to another entity."""
    first: Entity | None = None
    for name in reads(rule):
        place = reading_key(rule, name, key)
        entity = entity_of(name, spec)
        if entity is None and set(declared.entities) <= set(
            spec.entities
        ):  # else one of them is to be put right first
            _unknown(name, spec, declared, place, report, views=not isinstance(rule, Pin))
        elif entity is not None and first is not None and entity != first:
            report.add(
                place,
                f"{name} is of {entity.name}, and the rule is of {first.name}",
                "a rule reads one candidate: take one out",
            )
        first = first or entity
        if entity is not None and name == entity.key:
            for misfit in misfits(rule, Attribute(name=name, type=entity.type)):
                report.add(place, *misfit)
    if (
        isinstance(rule, Pin)
        and first is not None
        and (problem := value_problem(rule.item, Attribute(name=rule.key, type=first.type)))
    ):
        report.add(child(key, rule.key), *problem)


def misfits(rule: Rule, attribute: Attribute) -> Iterator[tuple[str, str]]:
    """Yield (problem, remedy) for a rule's values that do not fit a feature's type.

    The type of a feature follows from its SQL (feature_store/check.py).
    """
    for condition in () if isinstance(rule, Pin | Cap | UnitCap) else rule.where:
        if condition.attribute == attribute.name:
            yield from condition_problems(condition, attribute)


def _unknown(
    name: str,
    spec: ProjectSpec,
    declared: DeclaredNames,
    place: str,
    report: ProblemReport,
    *,
    views: bool,
) -> None:
    """Report a name that a ranking rule reads but the project does not declare.

    `declared` are all names in the project. `place` is the rule's path in project.yaml; `views`
    says that it may be a view's feature.
    """
    view, dot, _ = name.partition(".")
    keys = [entity.key for entity in spec.entities.values()]
    if dot:  # a view of an unknown entity has been told
        check_declared(
            view, declared.feature_views, place, report, noun="a feature view", has="views are"
        )
    elif views:
        near = did_you_mean(name, keys, has="keys are")
        report.add(
            place, f"{name} is not a key of an entity", f"write a feature as view.feature   {near}"
        )
    else:
        report.add(
            place, f"{name} is not a key of an entity", did_you_mean(name, keys, has="keys are")
        )


def _window(rule: Rule, key: str, report: ProblemReport) -> None:
    """Report a ranking rule whose end is not after its start; `key` is its path in the file."""
    if rule.since is not None and rule.until is not None and rule.until <= rule.since:
        report.add(
            child(key, "until"),
            "it ends before it begins",
            "write until: after from: (until is not included)",
        )


def _figures(rule: Rule, endpoint: Endpoint, key: str, report: ProblemReport) -> None:
    """Report a ranking rule's numbers that have no effect, or that name an unsuitable parameter."""
    if isinstance(rule, Boost):
        if rule.times == 1 and rule.add == 0:
            report.add(key, "it changes no score", "write times: 1.5, or add: 0.1")
        _figure(rule.times, endpoint, child(key, "times"), report, kinds=("float", "int"), least=0)
        _figure(rule.add, endpoint, child(key, "add"), report, kinds=("float", "int"))
    if isinstance(rule, Cap | UnitCap):
        _figure(rule.max, endpoint, child(key, "max"), report, kinds=("int",), least=1)


def _figure(
    value: float | str,
    endpoint: Endpoint,
    key: str,
    report: ProblemReport,
    *,
    kinds: tuple[str, ...],
    least: float | None = None,
) -> None:
    """Report a parameter that stands for a rule's number, if its type or bounds do not fit.

    `value` is the rule's number, or `$` with the parameter's name; `kinds` are the allowed types,
    and `least` the smallest allowed value.
    """
    if not isinstance(value, str):
        return
    name = value.removeprefix("$")
    if not check_declared(
        name,
        endpoint.parameters,
        key,
        report,
        noun=f"a parameter of {endpoint.name}",
        has="parameters are",
    ):
        return
    parameter = endpoint.parameters[name]
    if parameter.type not in kinds:
        report.add(
            key,
            f"{name} is of type {parameter.type}",
            f"name a parameter of type {' or '.join(kinds)}",
        )
    elif least is not None and not _at_least(parameter, least):
        report.add(
            key,
            f"{name} may be below {least:g}",
            f"write min: {least:g} in endpoints.{endpoint.name}.parameters.{name}",
        )


def _at_least(parameter: Parameter, least: float) -> bool:
    """Return whether a serving parameter's bounds keep it at or above a number."""
    if parameter.allowed is not None:
        return all(value >= least for value in parameter.allowed)
    return parameter.min is not None and parameter.min >= least


def _reserved(endpoint: Endpoint, report: ProblemReport) -> None:
    """Report positions in the ranking that two rules of an endpoint reserve."""
    first: dict[int, str] = {}
    for rule, key in places(endpoint):
        for position_index, position in enumerate(
            rule.positions if isinstance(rule, Reserve) else ()
        ):
            place = item(child(key, "positions"), position_index)
            if position in first:
                report.add(
                    place,
                    f"position {position} is reserved already, by {first[position]}",
                    "a position is of one group: take one out",
                )
            first.setdefault(position, key.removeprefix(f"endpoints.{endpoint.name}."))


def explores(endpoint: Endpoint, spec: ProjectSpec) -> bool:
    """Return whether answers of the endpoint may be randomized (exploration), now or in an arm."""
    layers = {layer.name for layer in spec.layers.values() if layer.endpoint == endpoint.name}
    arms = [
        arm
        for experiment in spec.experiments.values()
        if experiment.layer in layers
        for arm in experiment.arms
    ]
    return endpoint.explore > 0 or any(arm.parameters.get("explore") for arm in arms)


def interleaving(endpoint: Endpoint, spec: ProjectSpec) -> str | None:
    """Return the name of an experiment that interleaves two rankings of the endpoint, or None."""
    return next(
        (
            experiment.name
            for experiment in spec.experiments.values()
            if experiment.interleave and spec.layers[experiment.layer].endpoint == endpoint.name
        ),
        None,
    )


def _closed_form(endpoint: Endpoint, why: str, remedy: str, report: ProblemReport) -> None:
    """Report ranking rules for which the probability of a random order cannot be computed.

    Exploration and interleaving need that probability: `why` says which of them.
    """
    for key, problem in undrawable(endpoint):
        report.add(
            key,
            f"{problem}, and {why}: the propensities have no closed form",
            f"{remedy}, or take one of the rules out",
        )


def undrawable(endpoint: Endpoint) -> Iterator[tuple[str, str]]:
    """Yield (key, problem) of rules for which a random order's probability has no formula."""
    reserved = {
        name for rule in endpoint.rules if isinstance(rule, Reserve) for name in reads(rule)
    }
    caps = [(rule, key) for rule, key in places(endpoint) if isinstance(rule, Cap)]
    for number, (rule, key) in enumerate(caps):
        if number:
            yield key, "it is a second cap per response"
        if rule.by in reserved:
            yield child(key, "by"), f"{rule.by} is what positions are reserved by"
