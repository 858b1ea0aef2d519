"""How long an experiment takes, by what its log or its endpoint's units did."""

from __future__ import annotations

from ...core.runtime.project import Project
from ...errors import Invalid
from ...times import utc_milliseconds
from ..design.definition import definition_of
from ..design.power import (
    Past,
    Power,
    PreferencePower,
    first_metric,
    past_of_rate,
    power_of_arms,
    power_of_log,
    power_of_preference,
)
from . import log_cells
from .past import past as read_past


def power(
    project: Project,
    name: str,
    *,
    units_per_day: int | None = None,
    days: int = 14,
    control: float | None = None,
    past: Past | None = None,
) -> Power | PreferencePower:
    """Compute how many units and days an experiment needs to show an effect.

    Args:
        project: The project.
        name: The experiment.
        units_per_day: Of all arms together; None: as many as in the log.
        days: The smallest effect that this many days can show is computed, too.
        control: The rate of the first deciding metric; None: as in the log.
        past: The past values of the metric, if the caller has them already.

    Returns:
        The needed units and days; for an interleaved experiment the least that it needs.

    Raises:
        NotFound: There is no such experiment.
        Invalid: There is nothing to plan with, or `control` is passed for a site's log, which has
            it.
    """
    if name in project.spec.analyses:
        if control is not None:
            raise Invalid(
                f"{name} is analysed from its log, which says the control",
                remedy="leave --control out",
            )
        return _power_of_log(project, name, units_per_day, days)
    definition = definition_of(project, name)
    endpoint = definition.layer.endpoint
    unit, metric = project.spec.endpoints[endpoint].unit, first_metric(definition)
    if definition.experiment.interleave is not None:
        rate = read_past(project, metric, endpoint) if control is None else control
        return power_of_preference(
            definition, rate, unit=unit, units_per_day=units_per_day, days=days
        )
    if control is not None:
        past = past_of_rate(control, metric)
    past = past or read_past(project, metric, endpoint)
    return power_of_arms(definition, past, unit=unit, units_per_day=units_per_day, days=days)


def _power_of_log(project: Project, name: str, units_per_day: int | None, days: int) -> Power:
    """Compute how many units and days an analysis of a site's log needs to show effects."""
    analysis = project.spec.analyses[name]
    objective, arm = project.spec.objectives[analysis.metric], str(analysis.control)
    cells = log_cells.read(project, analysis, objective, utc_milliseconds(project.now()))
    control = cells.total()[arm]
    return power_of_log(name, objective, control, arm, units_per_day=units_per_day, days=days)
