"""Build the section `monitors:`, and check it against the rest of the project."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..endpoints.rules import entity_of, explores
from ..experiments.checks import of_request
from ..reading.names import did_you_mean
from ..reading.report import ProblemReport, child
from ..reading.shapes import LATER
from ..sections.references import DeclaredNames, check_declared
from ..specs import reach
from ..specs.description import Endpoint, Event, ProjectSpec
from ..specs.monitors import AlarmLimits, Monitor

_OF_KIND = {
    "items": ("shown_to_organic", "calibration", "gini_rise"),
    "units": ("satisfied_ratio", "mix_drift"),
}


def build(name: str, values: dict[str, Any], report: ProblemReport) -> Monitor | None:
    """Build the Monitor struct from its section; report it unless it groups items or units."""
    key = f"monitors.{name}"
    kinds = [kind for kind in _OF_KIND if kind in values]
    if len(kinds) != 1:
        message = "items and units: a monitor groups one of them" if kinds else "it groups nothing"
        report.add(key, message, "write one of items: view.feature, units: gender")
        return None
    alarm = dict(values.get("alarm", {}))
    for figure in [figure for figure in alarm if figure not in _OF_KIND[kinds[0]]]:
        report.add(
            child(key, f"alarm.{figure}"),
            f"{figure} is no figure of {kinds[0]}",
            f"{kinds[0]} have {', '.join(_OF_KIND[kinds[0]])}",
        )
    if "mix_drift" in alarm:
        alarm["mix_drift"] = float(alarm["mix_drift"]) / 100
    for figure, problem, remedy in _senseless(alarm):
        report.add(child(key, f"alarm.{figure}"), problem, remedy)
    fields: dict[str, Any] = values | {"alarm": AlarmLimits(**alarm)}
    return Monitor(name=name, **fields)


def _senseless(alarm: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield (key, problem, remedy) for alarm limits that are always or never exceeded."""
    low, high = alarm.get("calibration", (0, 1))
    if not 0 <= low < high:
        yield (
            "calibration",
            f"{low:g} .. {high:g} is no range above 0",
            "write the lower bound first: [0.67, 1.5]",
        )
    if alarm.get("shown_to_organic", 2) <= 1:
        yield (
            "shown_to_organic",
            "at 1 a group is shown as it is clicked where no model chose",
            "write a number above 1",
        )
    if not 0 < alarm.get("gini_rise", 0.5) < 1:
        yield "gini_rise", "the Gini coefficient goes from 0 to 1", "write a number between: 0.05"
    if not 0 < alarm.get("satisfied_ratio", 0.5) <= 1:
        yield (
            "satisfied_ratio",
            "the lowest over the highest goes from 0 to 1",
            "write a number between: 0.8",
        )
    if not alarm.get("mix_drift", 0.5):
        yield "mix_drift", "every mix is 0 points away from another", "write 5%"


def check(spec: ProjectSpec, declared: DeclaredNames, report: ProblemReport) -> None:
    """Report every mistake in the project's bias monitors."""
    for monitor in spec.monitors.values():
        key = f"monitors.{monitor.name}"
        if not check_declared(
            monitor.endpoint,
            declared.endpoints,
            child(key, "endpoint"),
            report,
            noun="an endpoint",
            has="endpoints are",
        ):
            continue
        endpoint = spec.endpoints.get(monitor.endpoint)
        if endpoint is None or len(spec.events) < len(declared.events):
            continue
        if not endpoint.objective:
            report.add(
                child(key, "endpoint"),
                f"endpoint {endpoint.name} has no objective: nothing is shown through it",
                f"write endpoints.{endpoint.name}.objective, or name another endpoint",
            )
            continue
        objective = spec.objectives.get(endpoint.objective)
        if monitor.items and objective is not None and objective.is_number:
            report.add(
                child(key, "items"),
                f"it counts outcomes as 0 or 1, and {objective.name} is a number: {LATER}",
                "take the monitor out, or watch units: an attribute of the request",
            )
        elif monitor.items:
            _check_items(monitor, spec, declared, key, report)
            _check_clicks(monitor, endpoint, spec, key, report)
        else:
            _check_units(monitor, endpoint, spec, key, report)


def _check_items(
    monitor: Monitor, spec: ProjectSpec, declared: DeclaredNames, key: str, report: ProblemReport
) -> None:
    """Report a monitor whose items are grouped by an undeclared feature or key."""
    view, dot, _ = monitor.items.partition(".")
    if dot:
        check_declared(
            view,
            declared.feature_views,
            child(key, "items"),
            report,
            noun="a feature view",
            has="views are",
        )
    elif entity_of(monitor.items, spec) is None:
        keys = [entity.key for entity in spec.entities.values()]
        message = f"{monitor.items} is not a key of an entity"
        report.add(
            child(key, "items"),
            message,
            "write a feature as view.feature   "
            f"{did_you_mean(monitor.items, keys, has='keys are')}",
        )


def _check_clicks(
    monitor: Monitor, endpoint: Endpoint, spec: ProjectSpec, key: str, report: ProblemReport
) -> None:
    """Report alarm limits on clicks if clicks cannot be joined to exposures."""
    of_clicks = [
        figure
        for figure in ("shown_to_organic", "calibration")
        if getattr(monitor.alarm, figure) is not None
    ]
    if of_clicks and outcome_by(endpoint, spec) is None and endpoint.objective in spec.objectives:
        objective = spec.objectives[endpoint.objective]
        message = f"no {objective.outcome} says which exposure it followed"
        remedy = (
            f"add exposure_id: {{type: string}} to the attributes of {objective.outcome} or of "
            f"{objective.exposure}"
        )
        report.add(child(key, f"alarm.{of_clicks[0]}"), message, remedy)
    if monitor.alarm.shown_to_organic is not None and not explores(endpoint, spec):
        message = f"{endpoint.name} explores nothing, so a model chose whatever was clicked"
        report.add(
            child(key, "alarm.shown_to_organic"),
            message,
            f"write explore: 5% in endpoints.{endpoint.name}",
        )


def outcome_by(endpoint: Endpoint, spec: ProjectSpec) -> Event | None:
    """Return the event by which outcomes are joined to gateway exposures, or None.

    It is the objective's outcome itself, or its exposure.
    """
    objective = spec.objectives.get(endpoint.objective)
    events = (
        [spec.events.get(name) for name in (objective.outcome, objective.exposure)]
        if objective
        else []
    )
    return next(
        (event for event in events if event is not None and reach.has_exposure(event)), None
    )


def reads(monitor: Monitor, spec: ProjectSpec) -> set[tuple[str, str | None]]:
    """Return the (event, attribute) pairs that a bias monitor reads.

    The attribute is None where events are only counted.
    """
    endpoint = spec.endpoints.get(monitor.endpoint)
    objective = spec.objectives.get(endpoint.objective) if endpoint else None
    if endpoint is None or objective is None:
        return set()
    if monitor.units:
        return {
            (objective.outcome, None),
            *reach.steps(objective.outcome, endpoint.unit, spec.events),
        }
    event = outcome_by(endpoint, spec)
    return {(objective.outcome, None), (event.name, reach.EXPOSURE_ID)} if event else set()


def _check_units(
    monitor: Monitor, endpoint: Endpoint, spec: ProjectSpec, key: str, report: ProblemReport
) -> None:
    """Report a monitor whose units are grouped by something other than a request attribute."""
    attributes, noun, has = of_request(endpoint, spec)
    place = child(key, "units")
    if check_declared(monitor.units, attributes, place, report, noun=noun, has=has) and attributes[
        monitor.units
    ].type not in (
        "string",
        "int",
        "bool",
    ):
        kind = attributes[monitor.units].type
        report.add(
            place,
            f"{monitor.units} is a {kind}, and a group is of one value",
            "use an attribute of type string, int or bool",
        )
    objective = spec.objectives.get(endpoint.objective)
    if (
        monitor.alarm.satisfied_ratio is None
        or objective is None
        or objective.outcome not in spec.events
    ):
        return
    if reach.path(objective.outcome, endpoint.unit, spec.events) is None:
        message = f"{objective.outcome} says neither its {endpoint.unit} nor what it followed"
        remedy = (
            f"add {endpoint.unit}: {{type: string}} or exposure_id: {{type: string}} to the "
            f"attributes of {objective.outcome}"
        )
        report.add(child(key, "alarm.satisfied_ratio"), message, remedy)
