"""Build and check analyses: entries of `experiments:` that were assigned elsewhere (`arm:`)."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from ..reading.names import did_you_mean
from ..reading.report import ProblemReport, child, item
from ..sections.references import DeclaredNames, check_declared
from ..sections.values import value_problem
from ..specs.description import ROW, Attribute, Objective, ProjectSpec
from ..specs.experiments import Analysis, ExperimentGuardrail


def build(name: str, values: dict[str, Any], report: ProblemReport) -> Analysis:
    """Build the Analysis struct: an experiment whose arms another system assigned."""
    event, attribute = values["arm"]
    fields = {
        key: value for key, value in values.items() if key not in ("arm", "weights", "guardrails")
    }
    weights = values.get("weights")
    return Analysis(
        name=name,
        event=event,
        attribute=attribute,
        weights=(float(weights["control"]), float(weights["treatment"])) if weights else None,
        guardrails=guardrails(values, f"experiments.{name}", report),
        **fields,
    )


def guardrails(
    values: dict[str, Any], key: str, report: ProblemReport
) -> tuple[ExperimentGuardrail, ...]:
    """Build the guardrail metrics of an experiment from its values in project.yaml."""
    entries = values.get("guardrails", ())
    return tuple(
        _guardrail(about, item(child(key, "guardrails"), position), report)
        for position, about in enumerate(entries)
    )


def _guardrail(about: dict[str, Any], key: str, report: ProblemReport) -> ExperimentGuardrail:
    """Build a guardrail metric; report one without exactly one of max_drop and max_rise."""
    drop, rise = about.get("max_drop"), about.get("max_rise")
    if (drop is None) == (rise is None):
        report.add(
            key,
            "it has no margin" if drop is None else "it has two margins",
            "write one of max_drop: 2%, max_rise: 10%",
        )
    if rise is not None:
        return ExperimentGuardrail(metric=about["metric"], may="rise", margin=rise)
    return ExperimentGuardrail(metric=about["metric"], may="drop", margin=drop or Decimal(0))


def check(spec: ProjectSpec, declared: DeclaredNames, report: ProblemReport) -> None:
    """Report every mistake in the analyses (experiments assigned by another system)."""
    for experiment in spec.analyses.values():
        key = f"experiments.{experiment.name}"
        arm = _arm(experiment, spec, declared, key, report)
        if experiment.weights is not None and min(experiment.weights) <= 0:
            report.add(
                child(key, "weights"),
                "a weight is not above 0",
                "write shares such as {control: 50, treatment: 50}",
            )
        for metric, place in _metrics(experiment, key):
            if check_declared(
                metric,
                declared.objectives,
                place,
                report,
                noun="an objective",
                has="objectives are",
            ):
                objective = spec.objectives.get(metric)
                if objective is not None and arm is not None:
                    _one_exposure(experiment, objective, place, report)
                if objective is not None and experiment.drop_above is not None:
                    _require_unit(objective, child(key, "drop_above"), report)


def _require_unit(objective: Objective, place: str, report: ProblemReport) -> None:
    """Report a limit on a unit's exposures if the objective does not say what a unit is.

    `place` is the limit's path in project.yaml.
    """
    if objective.unit in (None, ROW):
        report.add(
            place,
            f"{objective.name} has no unit whose rows could be counted",
            f"write objectives.{objective.name}.unit, or take it out",
        )


def _metrics(experiment: Analysis, key: str) -> Iterator[tuple[str, str]]:
    """Yield every objective that an analysis names, with its path in project.yaml."""
    yield experiment.metric, child(key, "metric")
    for position, guardrail in enumerate(experiment.guardrails):
        yield guardrail.metric, child(item(child(key, "guardrails"), position), "metric")
    for position, name in enumerate(experiment.also):
        yield name, item(child(key, "also"), position)


def _arm(
    experiment: Analysis,
    spec: ProjectSpec,
    declared: DeclaredNames,
    key: str,
    report: ProblemReport,
) -> Attribute | None:
    """Return the attribute that holds the assigned arm; report if it is not declared.

    `key` is the experiment's path in project.yaml.
    """
    place = child(key, "arm")
    if not check_declared(
        experiment.event, declared.events, place, report, noun="an event", has="events are"
    ):
        return None
    event = spec.events.get(experiment.event)
    if event is None:
        return None
    attributes = {attribute.name: attribute for attribute in event.attributes}
    attribute = attributes.get(experiment.attribute)
    if attribute is None:
        remedy = did_you_mean(experiment.attribute, attributes, has=f"{event.name} has")
        report.add(place, f"{experiment.attribute} is not an attribute of {event.name}", remedy)
        return None
    if attribute.type not in ("string", "int"):
        report.add(
            place,
            f"{attribute.name} is of type {attribute.type}, which names no arm",
            "use an attribute of type string or int",
        )
        return None
    for role, value in (("control", experiment.control), ("treatment", experiment.treatment)):
        if problem := value_problem(value, attribute):
            report.add(child(key, role), *problem)
    if experiment.control == experiment.treatment:
        report.add(
            child(key, "treatment"),
            f"it is {experiment.treatment!r}, as the control is",
            "name another value",
        )
    return attribute


def _one_exposure(
    experiment: Analysis, objective: Objective, place: str, report: ProblemReport
) -> None:
    """Report an objective whose exposures are another event than that with the assigned arm.

    `place` is where the experiment names it.
    """
    if objective.exposure != experiment.event:
        report.add(
            place,
            f"{objective.name} counts exposures of {objective.exposure}, and the arm stands "
            f"on {experiment.event}",
            f"name an objective whose rate is ... / {experiment.event}, or an attribute of "
            f"{objective.exposure} as the arm",
        )
