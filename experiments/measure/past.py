"""The past weeks of an endpoint's units: the basis of a plan."""

from __future__ import annotations

from ...core.runtime.project import Project
from ...project.specs.experiments import Metric
from ...reports.columns import plural
from ..design.power import Past
from ..statistics.ratio import points
from . import run_cells


def past(project: Project, metric: Metric, endpoint: str, drop_above: int | None = None) -> Past:
    """Query what an endpoint's units did in the last 28 days, to plan an experiment.

    Units that the experiment would leave out by its `drop_above` add nothing.

    Raises:
        Invalid: The endpoint has answered no unit in that time.
    """
    now = project.now()
    cells = run_cells.read_endpoint(project, endpoint, metric, now, drop_above)
    until, _ = run_cells.cutoffs(project.spec, (metric,), now)
    arms = cells.sums_at(metric, until, metric.within)
    days = max((now.date() - cells.first_day).days, 1)
    return Past(
        sums=arms["all"],
        saved=points(arms)["all"].saved,
        a_day=sum(cells.units().values()) / days,
        source=f"from {plural(arms['all'].units, 'unit')} of {endpoint} in the last 28 days",
    )
