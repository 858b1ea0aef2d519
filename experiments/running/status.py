"""How an experiment stands: its newest run, what the log has of it, and what differs by now."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Literal

import msgspec
from msgspec.structs import replace

from ...core.runtime.project import Project
from ...endpoints.gateway.decide.live_document import Change, LiveExperiments, LiveRun
from ...endpoints.gateway.log.streams import ASSIGNMENTS
from ...endpoints.traffic import owner
from ...errors import Invalid, Refused
from ...reports.results import StructRows
from ..design import buckets, runs
from ..design.definition import differences, never_ran
from ..design.runs import FrozenRun
from ..results import store as results_store
from .answers import RunState, RunStatus

_UNITS = f"""
SELECT arm, count(DISTINCT unit) AS units, max(config) AS config FROM {ASSIGNMENTS.name}
WHERE run = $run AND reason = 'split' AND segment = '' AND dt >= $first GROUP BY arm
"""


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A line of `experiment list`."""

    run: str  # the experiment's name where there is no run
    layer: str = "-"
    state: RunState | Literal["not started", "analysis"]
    share: Decimal | None = None
    units: int | None = None
    since: datetime | None = None
    metric: str
    verdict: str = ""  # of the newest look; "": nobody has looked
    owner: str = ""


def status(project: Project, name: str, *, counted: bool = True) -> RunStatus:
    """Return the state of an experiment's live run, or of its last one.

    Args:
        project: The project.
        name: The experiment.
        counted: Whether to query the log for the number of units.

    Raises:
        NotFound: It never ran on this target.
    """
    state = project.target.state
    live, last = runs.current(state).live, runs.last(state, name)
    run = live.run_of(name)
    if run is None and last is None:
        raise never_ran(project, name)
    frozen = runs.frozen_run(state, run.run if run else last.run if last else "")
    status = status_of(project, frozen, live, last)
    if not counted:
        return status
    units, newest_config = _logged_units(project, frozen)
    return replace(status, units=units, seen=newest_config)


def status_of(
    project: Project, frozen: FrozenRun, live: LiveExperiments, last: Change | None
) -> RunStatus:
    """Return the state of the newest run of an experiment, without its number of units.

    Args:
        project: The project.
        frozen: The run.
        live: The document of all live runs.
        last: The newest change of the run.
    """
    experiment, layer = frozen.definition.experiment, frozen.definition.layer
    run = live.run_of(experiment.name)
    return RunStatus(
        target=project.target.name,
        run=frozen.run,
        state=_state(run, last),
        layer=experiment.layer,
        share=buckets.share(run.ranges) if run else Decimal(0),
        ranges=run.ranges if run else (),
        ships=run.ships if run else "",
        weights=experiment.weights,
        interleave=experiment.interleave,
        holdout=experiment.holdout,
        aims=frozen.aims,
        owner=_owner(project, layer.endpoint) if run and frozen.aims else "",
        config=live.version,
        digest=frozen.digest,
        git=frozen.git,
        started=run.started if run else frozen.at,
        last=last,
        differs=differences(project, frozen) if run else (),
    )


def _owner(project: Project, endpoint: str) -> str:
    """Return a clause on who owns an endpoint's traffic, or on how a run can take it again."""
    claim = owner.read(project.target.state, endpoint)
    if claim is None or not claim.owner.lasting:
        return f"of {endpoint} has no owner; to take it again: isthmus experiment start"
    return (
        f"of {endpoint}: {claim.owner.owner} {claim.owner.name} since "
        f"{claim.owner.changed:%Y-%m-%d %H:%M} UTC"
    )


def _logged_units(project: Project, frozen: FrozenRun) -> tuple[dict[str, int] | None, int | None]:
    """Return the logged units by arm, and the newest version of the live document among them.

    Both are None if the table does not exist yet.
    """
    warehouse = project.target.warehouse
    if warehouse.observe(ASSIGNMENTS.name) is None:
        return None, None
    rows = warehouse.query(
        _UNITS, {"run": frozen.run, "first": runs.first_day(frozen, project.spec).isoformat()}
    ).to_pylist()
    configs = [row["config"] for row in rows if row["config"] is not None]
    return {row["arm"]: row["units"] for row in rows}, max(configs, default=None)


def listing(project: Project, *, counted: bool = True) -> StructRows[Listed]:
    """List every experiment of project.yaml, and live runs that it no longer names.

    Args:
        project: The project.
        counted: Whether to query the log for the number of units; else they are those of the newest
            look.
    """
    live, spec = runs.current(project.target.state).live, project.spec
    names = dict.fromkeys([*spec.experiments, *(run.experiment for run in live.runs)])
    analyses = [
        Listed(run=analysis.name, state="analysis", metric=analysis.metric, owner=analysis.owner)
        for analysis in spec.analyses.values()
    ]
    return StructRows(
        (*(_list_line(project, live, name, counted=counted) for name in names), *analyses)
    )


def _list_line(project: Project, live: LiveExperiments, name: str, *, counted: bool) -> Listed:
    """Return one experiment's line of the list: its run, state, share, units and verdict."""
    run, last = live.run_of(name), runs.last(project.target.state, name)
    if run is None and last is None:
        experiment = project.spec.experiments[name]
        return Listed(
            run=name,
            layer=experiment.layer,
            state="not started",
            metric=", ".join(experiment.metric),
            owner=experiment.owner,
        )
    frozen = runs.frozen_run(project.target.state, run.run if run else last.run if last else "")
    experiment, results = (
        frozen.definition.experiment,
        results_store.newest(project.target.blobs, frozen.run),
    )
    units = (
        _logged_units(project, frozen)[0] if counted else results.split.counts if results else None
    )
    return Listed(
        run=frozen.run,
        layer=experiment.layer,
        state=_state(run, last),
        share=buckets.share(run.ranges) if run and run.state == "running" else None,
        units=None if units is None else sum(units.values()),
        since=run.started if run else last.at if last else None,
        metric=", ".join(experiment.metric),
        verdict=f"{results.headline}{': the split' * results.split.alarm}" if results else "",
        owner=experiment.owner,
    )


def _state(run: LiveRun | None, last: Change | None) -> RunState:
    """Return a run's state; a run that is not live was closed or stopped.

    `last` is the newest change of the experiment.
    """
    return run.state if run else "closed" if last and last.what == "closed" else "stopped"


def live_lines(project: Project) -> tuple[str, ...]:
    """Return a line of text for each live run, for `isthmus status`.

    If the document of live runs is damaged, one line says so.
    """
    try:
        return tuple(
            _live_line(project, run) for run in runs.current(project.target.state).live.runs
        )
    except (Invalid, Refused) as error:
        return (f"{error}   {error.remedy}",)


def _live_line(project: Project, run: LiveRun) -> str:
    """Return a line of text on a live run."""
    keys = differences(project, runs.frozen_run(project.target.state, run.run))
    state = (
        f"{run.ships} ships"
        if run.state == "shipped"
        else f"running   {buckets.share(run.ranges):.2f} %"
    )
    otherwise = f"   project.yaml says otherwise by now: {', '.join(keys)}" if keys else ""
    return (
        f"{run.run:<20} layer {run.layer}   {state}   started {run.started:%Y-%m-%d %H:%M} "
        f"UTC{otherwise}"
    )
