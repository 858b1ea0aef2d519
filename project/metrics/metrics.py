"""Build the metrics of units, one for each objective, too, and check them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from ..reading.report import ProblemReport, child
from ..sections.rates import check_attribute
from ..sections.references import DeclaredNames, check_declared
from ..specs import reach
from ..specs.description import Objective, ProjectSpec
from ..specs.experiments import Metric, Total
from ..specs.exposures import is_served

KINDS: tuple[Literal["sum", "any", "rate"], ...] = ("sum", "any", "rate")


def build(name: str, values: dict[str, Any], report: ProblemReport) -> Metric | None:
    """Build the Metric struct from its section; report it unless it has exactly one kind."""
    key = f"metrics.{name}"
    kinds: list[Literal["sum", "any", "rate"]] = [kind for kind in KINDS if kind in values]
    if not kinds and not report.sound(key):
        return None  # what is wrong with it has been told
    if len(kinds) != 1:
        message = (
            f"{' and '.join(kinds)}: a metric is one of them" if kinds else "it adds nothing up"
        )
        report.add(
            key, message, "write one of sum: purchase.amount, any: purchase, rate: click / view"
        )
        return None
    kind = kinds[0]
    numerator, denominator = values[kind] if kind == "rate" else (values[kind], None)
    fields: dict[str, Any] = {
        field: values[field] for field in ("within", "before", "goal") if field in values
    }
    if "at_most" in values:
        fields["at_most"] = _limit(kind, values["at_most"], child(key, "at_most"), report)
    return Metric(name=name, kind=kind, numerator=numerator, denominator=denominator, **fields)


def _limit(kind: str, at_most: float, key: str, report: ProblemReport) -> float:
    """Return the cap on a unit's sum (winsorizing) as a float; report one that makes no sense."""
    if kind != "sum":
        report.add(key, f"it bounds a unit's sum, and this is {kind}", "take it out")
    elif at_most <= 0:
        report.add(key, f"{at_most:g} leaves nothing of a sum", "write a number above 0")
    return float(at_most)


def of_objectives(objectives: Iterable[Objective]) -> dict[str, Metric]:
    """Return a metric for each objective: a unit's outcomes, or their sum, per exposure.

    An objective that counts what gateways showed is none yet.
    """
    return {
        objective.name: Metric(
            name=objective.name,
            kind="rate",
            numerator=Total(event=objective.outcome, attribute=objective.sums),
            denominator=Total(event=objective.exposure),
            goal=objective.goal,
            objective=objective.name,
        )
        for objective in objectives
        if not is_served(objective)
    }


def check(spec: ProjectSpec, declared: DeclaredNames, report: ProblemReport) -> None:
    """Report every mistake in the project's metrics."""
    for name in declared.metrics:
        if name in declared.objectives:
            report.add(
                f"metrics.{name}",
                "an objective has this name, and every objective is a metric, too",
                "rename it",
            )
    units = sorted({endpoint.unit for endpoint in spec.endpoints.values()})
    for metric in spec.metrics.values():
        if metric.objective is not None:
            continue
        key = f"metrics.{metric.name}.{metric.kind}"
        for total in totals(metric):
            if check_declared(
                total.event, declared.events, key, report, noun="an event", has="events are"
            ):
                check_attribute(total, spec.events, key, report)
        if (
            units
            and judged(metric, spec, declared, report)
            and (event := stranger(metric, units, spec))
        ):
            report.add(key, *unreachable(metric.name, event, units[0]))


def totals(metric: Metric) -> tuple[Total, ...]:
    """Return the sums of which a metric is made: denominator, if any, and numerator.

    An objective's exposures come first, as its outcomes refer to them.
    """
    return (
        (metric.numerator,)
        if metric.denominator is None
        else (metric.denominator, metric.numerator)
    )


def reads(metric: Metric, spec: ProjectSpec) -> set[tuple[str, str | None]]:
    """Return the (event, attribute) pairs that a metric reads, joins to units included.

    The attribute is None where events are only counted.
    """
    units = {endpoint.unit for endpoint in spec.endpoints.values()}
    added: set[tuple[str, str | None]] = {
        (total.event, total.attribute) for total in totals(metric)
    }
    return added.union(
        *(reach.steps(total.event, unit, spec.events) for total in totals(metric) for unit in units)
    )


def judged(
    metric: Metric, spec: ProjectSpec, declared: DeclaredNames, report: ProblemReport
) -> bool:
    """Return whether a metric and all events have no errors, so that further checks make sense.

    `declared` are all names in the project's files.
    """
    return report.sound(f"metrics.{metric.name}") and len(spec.events) == len(declared.events)


def stranger(metric: Metric, units: Iterable[str], spec: ProjectSpec) -> str | None:
    """Return an event of a metric that cannot be joined to any of these units; None if all can."""
    events = [total.event for total in totals(metric) if total.event in spec.events]
    return next(
        (
            event
            for event in events
            if all(reach.path(event, unit, spec.events) is None for unit in units)
        ),
        None,
    )


def unreachable(metric: str, event: str, unit: str) -> tuple[str, str]:
    """Return (problem, remedy) for a metric whose event cannot be joined to a unit."""
    return (
        f"{metric} counts {event}, which says neither its {unit} nor what it followed",
        (
            f"add {unit}: {{type: string}} or exposure_id: {{type: string}} to the attributes of "
            f"{event}, or the id of an event that has one"
        ),
    )
