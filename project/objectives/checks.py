"""Check objectives against entities and events."""

from __future__ import annotations

from ..reading.names import did_you_mean
from ..reading.report import ProblemReport
from ..sections.rates import check_attribute
from ..sections.references import DeclaredNames, check_declared
from ..specs.description import ROW, Event, Objective, ProjectSpec
from ..specs.experiments import Total
from ..specs.exposures import event_named, is_served, logs_exposures, reference_to


def check(spec: ProjectSpec, declared: DeclaredNames, report: ProblemReport) -> None:
    """Report events, units and groupings that objectives name but the project does not declare."""
    for objective in spec.objectives.values():
        _check_objective(objective, spec, declared, report)


def _check_objective(
    objective: Objective, spec: ProjectSpec, declared: DeclaredNames, report: ProblemReport
) -> None:
    """Report an objective whose events are undeclared or cannot be joined."""
    key = f"objectives.{objective.name}.rate"
    if is_served(objective) and not logs_exposures(spec):
        if report.sound("endpoints"):  # else an endpoint's own mistake is reported
            report.add(
                key,
                "no endpoint logs exposures: they are what a gateway showed",
                "declare an endpoint with an objective under endpoints, or write an event that "
                "you log: click / impression",
            )
        return
    both = [
        check_declared(name, declared.events, key, report, noun="an event", has="events are")
        for name in (objective.outcome, *(() if is_served(objective) else (objective.exposure,)))
    ]
    if objective.outcome == objective.exposure:
        report.add(
            key,
            f"outcome and exposure are both {objective.outcome}",
            "write two events: click / impression",
        )
        return
    outcome = spec.events.get(objective.outcome)
    reference = reference_to(objective.exposure)
    if all(both) and outcome is not None and reference not in {a.name for a in outcome.attributes}:
        report.add(
            key,
            f"{objective.outcome} has no attribute {reference}, so its {objective.exposure} "
            "cannot be found",
            f"add {reference}: {{type: string}} to the attributes of {objective.outcome}"
            + (", and send what the gateway answers as exposures" if is_served(objective) else ""),
        )
    _check_label(objective, spec, report)
    for role, name in (("unit", objective.unit), ("ranked_within", objective.ranked_within)):
        if name is not None and (exposure := event_named(spec, objective.exposure)) is not None:
            _check_grouping(role, name, objective, exposure, report)


def _check_label(objective: Objective, spec: ProjectSpec, report: ProblemReport) -> None:
    """Report a label that sums what cannot be added up, or whose cap does not bound it."""
    key = f"objectives.{objective.name}"
    summed = Total(event=objective.outcome, attribute=objective.sums)
    check_attribute(summed, spec.events, f"{key}.rate", report)
    if objective.at_most is None:
        return
    if objective.sums is None:
        report.add(
            f"{key}.at_most",
            "it bounds a row's sum, and this objective's label is 0 or 1",
            f"take it out, or write rate: sum {objective.outcome}.seconds / {objective.exposure}",
        )
    elif objective.at_most <= 0:
        report.add(
            f"{key}.at_most", f"{objective.at_most:g} leaves nothing of a sum", "write one above 0"
        )
    elif (event := spec.events.get(objective.outcome)) is not None:
        for attribute in event.attributes:
            if attribute.name == objective.sums and (attribute.min or 0) < 0:
                report.add(
                    f"{key}.at_most",
                    f"it bounds large sums only, and {attribute.name} may be {attribute.min:g}",
                    f"take it out, or write min: 0 for events.{event.name}.attributes."
                    f"{attribute.name}",
                )


def _check_grouping(
    role: str, name: str, objective: Objective, exposure: Event, report: ProblemReport
) -> None:
    """Report a grouping column that is no suitable attribute of the exposure event."""
    if name == (ROW if role == "unit" else objective.unit):  # the unit is the default
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
