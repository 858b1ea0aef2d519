"""Check the configurations in models/ against objectives, events and feature views."""

from __future__ import annotations

from typing import Any

from ..reading.names import OWN_COLUMNS, did_you_mean
from ..reading.report import ProblemReport, child, item
from ..sections.references import DeclaredNames, check_declared
from ..sections.values import fits
from ..specs.description import Event, Model, Objective, ProjectSpec
from ..specs.exposures import event_named
from ..specs.request_attributes import DECIDED_BY_RANKING
from .builtin_trainers import check_kind
from .gate_figures import AGAINST, EXAMPLES, NUMBER_EXAMPLES, exists, ranks
from .logged import check_logged
from .transforms import feature_keys
from .tuning import check_tuning


def check(spec: ProjectSpec, declared: DeclaredNames, report: ProblemReport) -> None:
    """Report undeclared objectives, features and segments in all model configurations."""
    for model in spec.models.values():
        check_model(model, spec, declared, report)


def check_model(
    model: Model, spec: ProjectSpec, declared: DeclaredNames, report: ProblemReport
) -> None:
    """Report undeclared objectives, features and segments in one model's configuration."""
    prefix = f"{model.path}:"
    exposure = None
    if check_declared(
        model.objective,
        declared.objectives,
        child(prefix, "objective"),
        report,
        noun="an objective",
        has="objectives are",
    ):
        objective = spec.objectives.get(model.objective)
        exposure = event_named(spec, objective.exposure) if objective else None
        if objective is not None:
            _check_metrics(model, objective, report)
            check_kind(model, objective, report)
            check_tuning(model, objective, report)
            if not check_logged(model, objective, report):
                return
    if model.logged:  # its features are those of other files, which are checked themselves
        _check_segments(model, exposure, prefix, report)
        return
    first: dict[str, str] = {}
    for feature, entry in zip(model.features, feature_keys(model), strict=True):
        key = child(prefix, entry)
        if feature.name in first:
            report.add(
                key,
                f"{feature} is called {feature.name}, as {first[feature.name]} is",
                "names of features are unique within a model: take one out, or rename it in "
                "its view's SQL",
            )
        first.setdefault(feature.name, str(feature))
        if feature.view is None:
            _check_attribute_feature(feature.name, exposure, declared, key, report)
        elif exposure is not None and feature.view == exposure.name:
            report.add(
                key,
                f"{feature.view} is an event, and a feature of a view is written with the view",
                f"an attribute of the exposure stands alone: write {feature.name}",
            )
        elif check_declared(
            feature.view,
            declared.feature_views,
            key,
            report,
            noun="a feature view",
            has="views are",
        ):
            _check_view_feature(feature.view, exposure, spec, key, report)
    _check_serve_as(model, exposure, prefix, report)
    _check_segments(model, exposure, prefix, report)


def _check_metrics(model: Model, objective: Objective, report: ProblemReport) -> None:
    """Report a gate or a tuning by metrics that an objective of this kind does not have."""
    for bound in model.gate.bounds:
        key = f"{model.path}:gate.{bound.metric}{AGAINST if bound.against else ''}"
        names = NUMBER_EXAMPLES if objective.is_number else EXAMPLES
        remedy = f"bound one of {', '.join(names)}, or its difference: {names[0]}{AGAINST}"
        _check_metric(bound.metric, objective, key, report, remedy=remedy)
    if model.tune is not None:
        names = NUMBER_EXAMPLES if objective.is_number else EXAMPLES
        remedy = f"write one of {', '.join(name for name in names if name != 'calibration')}"
        key = f"{model.path}:tune.metric"
        _check_metric(model.tune.metric, objective, key, report, remedy=remedy)


def _check_metric(
    metric: str, objective: Objective, key: str, report: ProblemReport, *, remedy: str
) -> None:
    """Report a metric that an objective of this kind, or without ranked rows, lacks.

    `remedy` names the metrics that it has.
    """
    if not exists(metric, number=objective.is_number):
        kind = "a number" if objective.is_number else "a rate of rows with an outcome"
        report.add(key, f"{objective.name} is {kind}, which has no {metric}", remedy)
    elif ranks(metric) and objective.ranked_within is None:
        report.add(
            key,
            f"{metric} compares rows that were ranked against each other, and "
            f"{objective.name} does not say which were",
            f"add ranked_within (a request's id), or at least unit, to objectives.{objective.name}",
        )


def _check_attribute_feature(
    name: str, exposure: Event | None, declared: DeclaredNames, key: str, report: ProblemReport
) -> None:
    """Report a feature that is not an attribute of the exposure event."""
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


def _check_view_feature(
    name: str, exposure: Event | None, spec: ProjectSpec, key: str, report: ProblemReport
) -> None:
    """Report a feature view whose entity's key the exposure event lacks."""
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


def _check_segments(
    model: Model, exposure: Event | None, prefix: str, report: ProblemReport
) -> None:
    """Report evaluation segments that are no attributes, or of a type with too many values."""
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


def _check_serve_as(
    model: Model, exposure: Event | None, prefix: str, report: ProblemReport
) -> None:
    """Report `serve_as` values (fixed when serving) of names that are no request feature."""
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
            _check_serving_value(name, value, exposure, key, report)
    for feature, entry in zip(model.features, feature_keys(model), strict=True):
        if (
            feature.view is None
            and feature.name in DECIDED_BY_RANKING
            and feature.name not in model.serve_as
        ):
            report.add(
                child(prefix, entry),
                f"{feature.name} is not known before ranking",
                f"say what it is taken for at serving: serve_as: {{{feature.name}: "
                f"{_example_value(feature.name, exposure)}}}",
            )


def _check_serving_value(
    name: str, value: Any, exposure: Event, key: str, report: ProblemReport
) -> None:
    """Report a fixed serving value that does not fit the type of its attribute."""
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


def _example_value(name: str, exposure: Event | None) -> str:
    """Return a valid value of an attribute as text, for an error message."""
    attribute = next((a for a in exposure.attributes if a.name == name), None) if exposure else None
    return str(attribute.allowed[0]) if attribute and attribute.allowed else "1"
