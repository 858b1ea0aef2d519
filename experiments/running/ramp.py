"""The share of a layer that a live run holds, and its changes."""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from ...core.runtime.project import Project
from ...endpoints.gateway.decide.live_document import LiveExperiments, LiveRun
from ...errors import NotFound, Refused
from ..design import buckets, live_runs, runs
from ..design.definition import never_ran
from .answers import Ramped
from .start import traffic_text


def ramp(project: Project, name: str, percent: Decimal, *, because: str = "") -> Ramped:
    """Change the share of a layer's units that take part in a run; no unit changes its arm.

    If it has the share already, nothing changes, and the result says so.

    Args:
        project: The project.
        name: The experiment.
        percent: The new share.
        because: The reason, for the history.

    Raises:
        NotFound: The run is not live.
        Refused: Too few buckets are free, or the run has shipped.
        Invalid: It is no share.
        Conflict: Somebody was faster.
    """
    with project.lock("experiment ramp"):
        count = buckets.count(percent)
        stored = runs.current(project.target.state)
        run = _live_run(project, stored.live, name)
        if run.state == "shipped":
            raise Refused(
                f"{run.run} has shipped {run.ships} to every unit: there is no share",
                remedy=f"isthmus experiment close {name}",
            )
        ranges = live_runs.ranges_for(stored.live, run.layer, count, run=run)
        ramped = replace(run, ranges=ranges)
        live = stored.live
        if ranges != run.ranges:
            entry = runs.next_change(
                stored,
                ramped,
                "ramped",
                changed_at=project.log_time(),
                before_text=traffic_text(run),
                after=traffic_text(ramped),
                because=because,
            )
            live = runs.change(
                project.target.state,
                stored,
                live_runs.with_replaced_run(stored.live, ramped),
                entry,
            )
        return Ramped(
            target=project.target.name,
            run=run.run,
            before=buckets.share(run.ranges),
            after=percent,
            ranges=ranges,
            ranges_before=run.ranges,
            config=live.version,
        )


def _live_run(project: Project, live: LiveExperiments, name: str) -> LiveRun:
    """Return the live run of an experiment; raise NotFound if it has ended or never ran."""
    run = live.run_of(name)
    if run is None:
        last = runs.last(project.target.state, name)
        if last is None:
            raise never_ran(project, name)
        raise NotFound(
            f"{last.run} was {last.what} at {last.at:%Y-%m-%d %H:%M} UTC",
            remedy=f"isthmus experiment start {name}",
        )
    return run
