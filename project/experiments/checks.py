"""Check layers and experiments against the rest of the project."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..metrics import metrics as unit_metrics
from ..reading.names import did_you_mean
from ..reading.report import ProblemReport, child, item
from ..reading.shapes import LATER
from ..sections.references import DeclaredNames, check_declared
from ..sections.values import condition_problems, value_problem
from ..specs import reach
from ..specs.description import OF_EVERY_ENDPOINT, Attribute, Endpoint, ProjectSpec
from ..specs.experiments import INTERLEAVED, MODEL_VERSION, Experiment, Metric
from ..specs.exposures import is_served
from ..specs.request_attributes import DECIDED_BY_RANKING, exposure_attributes, request_attributes
from ..specs.rules import Condition
from .build import arm_key


def check(spec: ProjectSpec, declared: DeclaredNames, report: ProblemReport) -> None:
    """Report every mistake in the experiment layers and experiments of a project."""
    for name in declared.layers:
        if (layer := spec.layers.get(name)) is not None:
            check_declared(
                layer.endpoint,
                declared.endpoints,
                f"layers.{name}.endpoint",
                report,
                noun="an endpoint",
                has="endpoints are",
            )
    for endpoint in spec.endpoints.values():
        _attributes(endpoint, spec, report)
    for experiment in spec.experiments.values():
        _check_name(experiment, spec, report)
        endpoint_of = spec.endpoints.get(spec.layers[experiment.layer].endpoint)
        _metrics(experiment, endpoint_of, spec, declared, report)
        if endpoint_of is not None and not endpoint_of.objective:
            report.add(
                f"experiments.{experiment.name}.layer",
                f"endpoint {endpoint_of.name} has no objective: nobody is assigned there",
                f"write endpoints.{endpoint_of.name}.objective, or name another layer",
            )
        elif endpoint_of is not None:
            _arms(experiment, endpoint_of, report)
            _check_interleaving(experiment, spec, report)
            _check_requests(experiment, endpoint_of, spec, report)
    _one_layer_each(spec, report)


def _attributes(endpoint: Endpoint, spec: ProjectSpec, report: ProblemReport) -> None:
    """Report request attributes of an endpoint that clash with keys, unit or exposure."""
    keys = {entity.key: entity.name for entity in spec.entities.values()}
    shown = exposure_attributes(spec, endpoint)
    for attribute in endpoint.attributes:
        key = f"endpoints.{endpoint.name}.attributes.{attribute.name}"
        kind = shown[attribute.name].type if attribute.name in shown else attribute.type
        if attribute.name in keys:
            report.add(
                key,
                f"it is the key of {keys[attribute.name]}, which a request may carry anyway",
                "take it out",
            )
        elif attribute.name == endpoint.unit:
            report.add(key, "it is the unit, which a request carries anyway", "take it out")
        elif attribute.name in DECIDED_BY_RANKING:
            report.add(
                key, "the gateway decides it while it ranks: no request carries it", "take it out"
            )
        elif kind != attribute.type:
            report.add(
                child(key, "type"),
                f"{attribute.name} of the exposure is of type {kind}, not {attribute.type}",
                f"write type: {kind}",
            )


def _check_name(experiment: Experiment, spec: ProjectSpec, report: ProblemReport) -> None:
    """Report an experiment that has the same name as a layer."""
    if experiment.name in spec.layers:
        message = (
            f"there is a layer {experiment.name}: units would be in both holdouts or in neither"
        )
        report.add(f"experiments.{experiment.name}", message, "rename the experiment")


def _metrics(
    experiment: Experiment,
    endpoint: Endpoint | None,
    spec: ProjectSpec,
    declared: DeclaredNames,
    report: ProblemReport,
) -> None:
    """Report an experiment's metrics whose events cannot be joined to its units."""
    key = f"experiments.{experiment.name}"
    names = dict.fromkeys((*declared.metrics, *declared.objectives))
    reported_names: set[str] = set()
    for name, place, tells in _metric_names(experiment, key, report):
        if not check_declared(
            name, names, place, report, noun="a metric", has="metrics and objectives are"
        ):
            continue
        if name in spec.objectives and is_served(spec.objectives[name]):
            report.add(
                place,
                f"{name} counts what gateways showed: as an experiment's metric it is {LATER}",
                f"write a metric, among metrics: clicks: {{sum: {spec.objectives[name].outcome}}}",
            )
            continue
        if tells and name in reported_names:
            report.add(place, f"{name} is named twice", "keep one of the two")
        reported_names |= {name} if tells else set()
        metric = spec.metrics.get(name)
        if (
            metric is None
            or endpoint is None
            or not unit_metrics.judged(metric, spec, declared, report)
        ):
            continue
        if stranger := unit_metrics.stranger(metric, [endpoint.unit], spec):
            report.add(place, *unit_metrics.unreachable(name, stranger, endpoint.unit))
    compared = [spec.metrics.get(name) for name, _, _ in _metric_names(experiment, key, report)]
    if experiment.drop_above is not None and not any(
        metric is None or metric.per_event for metric in compared
    ):
        report.add(
            child(key, "drop_above"),
            "none of its metrics is a rate of events, of which a unit could have too many",
            "take it out; at_most bounds what a unit adds to a sum",
        )


def _metric_names(
    experiment: Experiment, key: str, report: ProblemReport
) -> Iterator[tuple[str, str, bool]]:
    """Yield each metric's name, its path in project.yaml, and whether it may come once only.

    A guardrail's metric may come again. `key` is the experiment's path.
    """
    several = item(child(key, "metric"), 0) in report.places
    for position, name in enumerate(experiment.metric):
        yield name, item(child(key, "metric"), position) if several else child(key, "metric"), True
    for position, guardrail in enumerate(experiment.guardrails):
        yield guardrail.metric, child(item(child(key, "guardrails"), position), "metric"), False
    for position, name in enumerate(experiment.also):
        yield name, item(child(key, "also"), position), True


def _arms(experiment: Experiment, endpoint: Endpoint, report: ProblemReport) -> None:
    """Report arms' parameters that the endpoint does not declare or does not allow."""
    for arm, name, place in _places(experiment, report):
        value = arm[name]
        if name == "variant":
            variants = [variant.name for variant in endpoint.variants]
            check_declared(
                value,
                variants,
                place,
                report,
                noun=f"a variant of {endpoint.name}",
                has=f"{endpoint.name} has",
            )
        elif name not in endpoint.parameters and name != "explore":
            names = (*endpoint.parameters, *OF_EVERY_ENDPOINT)
            report.add(
                place,
                f"{name} is not a parameter of {endpoint.name}",
                did_you_mean(name, names, has=f"{endpoint.name} has"),
            )
        elif name != "explore" and (problem := _misfit(value, endpoint, name, report)):
            report.add(place, *problem)


def _misfit(
    value: Any, endpoint: Endpoint, name: str, report: ProblemReport
) -> tuple[str, str] | None:
    """Return (problem, remedy) if an arm's value is wrong for the parameter `name`, else None.

    It is None, too, if the parameter's own declaration has errors.
    """
    return (
        value_problem(value, endpoint.parameters[name])
        if report.sound(f"endpoints.{endpoint.name}.parameters.{name}")
        else None
    )


def _places(
    experiment: Experiment, report: ProblemReport
) -> Iterator[tuple[Mapping[str, Any], str, str]]:
    """Yield for each arm and parameter: the arm's parameters, the name, its path in the file.

    The file is project.yaml. An interleaved variant counts as an arm that sets `variant`.
    """
    for position, variant in enumerate(experiment.interleave or ()):
        yield (
            {"variant": variant},
            "variant",
            item(f"experiments.{experiment.name}.interleave", position),
        )
    for arm in experiment.arms:
        for name in arm.parameters:
            yield arm.parameters, name, arm_key(experiment.name, arm.name, name, report.places)


def _check_interleaving(experiment: Experiment, spec: ProjectSpec, report: ProblemReport) -> None:
    """Report mistakes in an experiment that interleaves the rankings of two variants.

    Its metric must count events that say at which place of the ranking they happened: only these
    can be credited to one of the two variants.
    """
    if experiment.interleave is None:
        return
    key = f"experiments.{experiment.name}"
    if experiment.interleave[0] == experiment.interleave[1]:
        report.add(
            child(key, "interleave"), "it is one variant, twice", "name two: [champion, challenger]"
        )
    if INTERLEAVED in experiment.interleave:
        report.add(
            child(key, "interleave"),
            f"{INTERLEAVED} is what its arm is called",
            "rename the variant",
        )
    if (metric := spec.metrics.get(experiment.metric[0])) is not None and (
        problem := _uncountable(metric, spec)
    ):
        report.add(child(key, "metric"), *problem)


def _uncountable(metric: Metric, spec: ProjectSpec) -> tuple[str, str] | None:
    """Return (problem, remedy) if a metric's events cannot be credited to a variant, else None."""
    if metric.numerator.attribute is not None or metric.at_most is not None:
        extra = (
            "at_most"
            if metric.numerator.attribute is None
            else f"{metric.numerator.event}.{metric.numerator.attribute}"
        )
        return (
            (
                "interleaved orders are compared by the number of events, and "
                f"{metric.name} has {extra}"
            ),
            "name a metric that counts events",
        )
    event = (
        metric.denominator
        if metric.objective is not None and metric.denominator is not None
        else metric.numerator
    )
    if event.event not in spec.events or reach.to_exposure(event.event, spec.events) is not None:
        return None
    return (
        f"{event.event} does not say which exposure it followed, so it counts for neither variant",
        (
            f"add exposure_id: {{type: string}} to the attributes of {event.event}, or the id of "
            "an event that has one"
        ),
    )


def _check_requests(
    experiment: Experiment, endpoint: Endpoint, spec: ProjectSpec, report: ProblemReport
) -> None:
    """Report segments and targeting conditions on unknown attributes of a request."""
    key = f"experiments.{experiment.name}"
    request_conditions(experiment.targeting, endpoint, spec, child(key, "targeting"), report)
    attributes, noun, has = of_request(endpoint, spec)
    for position, name in enumerate(experiment.segments):
        place = item(child(key, "segments"), position)
        if name in experiment.segments[:position]:
            report.add(place, f"{name} is named twice", "keep one of the two")
            continue
        if name == MODEL_VERSION:
            if problem := _unversioned(experiment, endpoint, attributes):
                report.add(place, *problem)
            continue
        if check_declared(name, attributes, place, report, noun=noun, has=has) and attributes[
            name
        ].type not in ("string", "int", "bool"):
            kind = attributes[name].type
            report.add(
                place,
                f"{name} is a {kind}, and a segment is of one value",
                "use an attribute of type string, int or bool",
            )


def _unversioned(
    experiment: Experiment, endpoint: Endpoint, attributes: Mapping[str, Attribute]
) -> tuple[str, str] | None:
    """Return (problem, remedy) if results cannot be segmented by model version, else None."""
    if MODEL_VERSION in attributes:
        return (
            (
                f"{MODEL_VERSION} is the version that answered, and an attribute of a request to "
                f"{endpoint.name}"
            ),
            "rename the attribute",
        )
    if experiment.aims:
        return (
            (
                "arms that set variant have a version each, and no deploy changes it while they "
                "run: these are the results by arm"
            ),
            "leave it out",
        )
    return None


def request_conditions(
    conditions: Iterable[Condition],
    endpoint: Endpoint,
    spec: ProjectSpec,
    key: str,
    report: ProblemReport,
) -> None:
    """Report conditions on attributes that a request lacks, or on impossible values."""
    attributes, noun, has = of_request(endpoint, spec)
    for condition in conditions:
        place = child(key, condition.attribute)
        is_known = check_declared(
            condition.attribute, attributes, place, report, noun=noun, has=has
        )
        if is_known and report.sound(f"endpoints.{endpoint.name}.attributes.{condition.attribute}"):
            for problem in condition_problems(condition, attributes[condition.attribute]):
                report.add(place, *problem)


def of_request(endpoint: Endpoint, spec: ProjectSpec) -> tuple[Mapping[str, Attribute], str, str]:
    """Return the attributes that a request may have, and two phrases to report an unknown one."""
    noun = f"an attribute of a request: declare it in endpoints.{endpoint.name}.attributes"
    return request_attributes(spec, endpoint), noun, f"a request to {endpoint.name} has"


def _one_layer_each(spec: ProjectSpec, report: ProblemReport) -> None:
    """Report a parameter that experiments of two layers of one endpoint set.

    Layers of one endpoint are independent: a unit may have an arm of each, and only one of them can
    give it a parameter.
    """
    first: dict[tuple[str, str], Experiment] = {}
    for experiment in spec.experiments.values():
        endpoint = spec.layers[experiment.layer].endpoint
        for _arm, name, place in _places(experiment, report):
            other = first.setdefault((endpoint, name), experiment)
            if other.layer != experiment.layer:
                message = (
                    f"{other.name} of the layer {other.layer} sets {name}, too, and a unit may "
                    "be in both"
                )
                report.add(
                    place,
                    message,
                    f"write layer: {other.layer} for both: experiments of one layer share no unit",
                )
