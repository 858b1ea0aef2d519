"""The end of a run: its units have the endpoint's own parameters again, or an arm's that ships."""

from __future__ import annotations

from msgspec.structs import replace

from ...core.runtime.project import Project
from ...endpoints.gateway.decide.live_document import LiveExperiments, LiveRun
from ...errors import Invalid, NotFound, Refused
from ...project.reading.names import did_you_mean
from ..design import buckets, live_runs, runs
from ..design.definition import never_ran
from ..design.runs import StoredLive
from . import ownership
from .answers import Stopped
from .start import traffic_text


def stop(project: Project, name: str, *, because: str, ship: str | None = None) -> Stopped:
    """Stop a run: all units get the endpoint's own parameters, or with `ship` an arm's.

    It also ends a run that has shipped, and what an interrupted start left. If the run is stopped
    already, nothing changes, and the result says so.

    Args:
        project: The project.
        name: The experiment.
        because: The reason, for the history.
        ship: The arm whose parameters every unit gets instead, until `close`.

    Raises:
        NotFound: It never ran, or has no such arm.
        Refused: Its `close` is under way.
        Conflict: Somebody was faster.
    """
    if not because.strip():
        raise Invalid(
            "a run is stopped for a reason, which the history keeps", remedy='--because "..."'
        )
    with project.lock("experiment stop"):
        stored = runs.current(project.target.state)
        run = stored.live.run_of(name)
        if run is None:
            return _stopped_already(project, stored.live, name)
        if ship is not None:
            return _ship(project, stored, run, ship, because)
        return _remove_run(project, stored, run, because)


def _ship(project: Project, stored: StoredLive, run: LiveRun, arm: str, because: str) -> Stopped:
    """Give every unit the parameters of one arm, and free the run's hash buckets.

    `because` is the reason, for the history.
    """
    parameters = {live_arm.name: live_arm.parameters for live_arm in run.arms}
    if run.interleave is not None and arm == run.arms[0].name:
        raise Refused(
            f"{run.run} makes one order of two: {arm} is neither of them",
            remedy=f"--ship {run.interleave[0]}, or {run.interleave[1]}",
        )
    if arm not in parameters:
        raise NotFound(
            f"{run.run} has no arm {arm}",
            remedy=did_you_mean(arm, run.interleave or parameters, has="it has"),
        )
    if run.state == "shipped" and run.ships != arm:
        raise Refused(
            f"{run.run} has shipped {run.ships}",
            remedy="stop it without --ship first: units then have the endpoint's own parameters",
        )
    live, shipped = stored.live, replace(run, state="shipped", ships=arm, ranges=())
    if run.state == "running":
        entry = runs.next_change(
            stored,
            shipped,
            "shipped",
            changed_at=project.log_time(),
            before_text=traffic_text(run),
            after=f"{arm} ships",
            because=because,
        )
        after = live_runs.with_replaced_run(live, shipped)
        live = runs.change(project.target.state, stored, after, entry)
    return Stopped(
        target=project.target.name,
        run=run.run,
        ships=arm,
        parameters=parameters[arm],
        holdout=buckets.percent(run.holdout),
        config=live.version,
        already=run.state == "shipped",
        aims=run.aims,
    )


def _remove_run(project: Project, stored: StoredLive, run: LiveRun, because: str) -> Stopped:
    """Remove a run from the document of live runs, and release its endpoint's traffic.

    `because` is the reason, for the history.
    """
    entry = runs.next_change(
        stored,
        replace(run, ranges=()),
        "stopped",
        changed_at=project.log_time(),
        before_text=traffic_text(run),
        after="stopped",
        because=because,
    )
    after = live_runs.without_run(stored.live, run.run)
    live = runs.change(project.target.state, stored, after, entry)
    endpoint = stored.live.layers[run.layer].endpoint
    ownership.give_back(project, endpoint, run.run)
    return Stopped(
        target=project.target.name,
        run=run.run,
        config=live.version,
        aims=run.aims,
        released=(endpoint,) if run.aims else (),
    )


def _stopped_already(project: Project, live: LiveExperiments, name: str) -> Stopped:
    """Release traffic that an interrupted start or stop left owned; return that it is stopped.

    `name` is the experiment's.

    Raises:
        NotFound: It never ran.
    """
    released = ownership.give_back_all(project, name)
    last = runs.last(project.target.state, name)
    if last is None and not released:
        raise never_ran(project, name)
    run = last.run if last else f"{name}.{max(runs.numbers(project.target.state, name), default=1)}"
    closed = last is not None and last.what == "closed"
    return Stopped(
        target=project.target.name,
        run=run,
        ended="closed" if closed else "stopped",
        config=live.version,
        already=True,
        released=released,
    )
