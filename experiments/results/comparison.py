"""An experiment's results, whoever assigned its units: the gateway, or the site whose log is
analysed.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from ...core.runtime.project import Project
from ...errors import Invalid
from ...times import utc_milliseconds
from ..design import interleaved_power as duel_powering
from ..design import log_power as powering
from ..design import power as run_powering
from ..design.interleaved_power import DuelPower
from ..design.log_power import Power
from . import log_page as page_of_log
from . import log_results as of_log
from . import page as run_report
from . import run_results
from .log_results import Results
from .results import RunResults


def results(
    project: Project,
    name: str,
    *,
    as_of: datetime | None = None,
    last: bool = False,
    despite_split: bool = False,
) -> Results | RunResults:
    """Compare the arms of an experiment, or of one of its runs (`name.2`).

    `last`: what the last look at a run showed, without a query. Raises as results.results and
    run_results.results; Invalid: of a log nothing is stored, of two moments there is one, or it has
    not come yet.
    """
    if as_of is not None and utc_milliseconds(as_of) > project.now():
        raise Invalid(
            f"{as_of:%Y-%m-%d %H:%M} has not come yet: windows that are open would be taken "
            "for closed",
            remedy="leave it out",
        )
    if name in project.spec.analyses:
        if last:
            raise Invalid(
                f"{name} is analysed from its log: no look at it is stored",
                remedy=f"isthmus experiment results {name}",
            )
        return of_log.results(project, name, as_of=as_of)
    if last and as_of is not None:
        raise Invalid(
            "--last is the newest look, and --as-of is another one",
            remedy="take one of the two out",
        )
    if last:
        return run_results.last(project, name, despite_split=despite_split)
    return run_results.results(project, name, as_of=as_of, despite_split=despite_split)


def report(project: Project, name: str, *, despite_split: bool = False) -> Path:
    """Write the page of an experiment, or of the newest look at a run, and give a path that opens
    it. Raises as `results`.
    """
    if name in project.spec.analyses:
        return page_of_log.report(project, name)
    return run_report.report(project, name, despite_split=despite_split)


def power(
    project: Project,
    name: str,
    *,
    units_per_day: int | None = None,
    days: int = 14,
    control: float | None = None,
) -> Power | DuelPower:
    """How many units an effect needs, and how many days; of two orders that are interleaved at the
    least.

    Raises as powering.power, run_powering.power and duel_powering.power; Invalid: its log has one.
    """
    if name in project.spec.analyses:
        if control is not None:
            raise Invalid(
                f"{name} is analysed from its log, which says the control",
                remedy="leave --control out",
            )
        return powering.power(project, name, units_per_day=units_per_day, days=days)
    experiment = project.spec.experiments.get(name)
    if experiment is not None and experiment.interleave is not None:
        return duel_powering.power(
            project, name, units_per_day=units_per_day, days=days, control=control
        )
    return run_powering.power(
        project, name, units_per_day=units_per_day, days=days, control=control
    )
