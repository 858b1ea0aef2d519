"""What `isthmus experiment` does. What project.yaml says becomes a run; whether it runs is state.

Each verb that changes something checks first, then changes the live document by one write. Killed
anywhere, the same verb again goes on.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from ..core.runtime.project import Project
from ..endpoints.gateway.decide.live_document import Change, Live, LiveRun
from ..errors import Invalid, NotFound, Refused
from ..project.reading.names import did_you_mean
from ..reports.results import Rows
from .design import buckets, runs
from .design import definition as startable
from .design.runs import StoredLive
from .measure.audit import audit
from .results.comparison import power, report, results
from .running import ownership
from .running.answers import Ramped, Stopped
from .running.close import close
from .running.start import start, traffic_text
from .running.status import listing as list
from .running.status import status

if TYPE_CHECKING:
    from .simulation.simulate import Simulated

__all__ = [  # im.experiment
    "audit",
    "close",
    "history",
    "list",
    "power",
    "ramp",
    "report",
    "results",
    "simulate",
    "start",
    "status",
    "stop",
]


def ramp(project: Project, name: str, percent: Decimal, *, because: str = "") -> Ramped:
    """Change the share of a layer that a run holds.

    Nobody changes arm. The same share again: told, nothing changes.

    `because` stands in the history.

    NotFound: it is not live. Refused: too few free buckets, or it has shipped. Invalid: no share.
    Conflict: somebody was faster.
    """
    with project.lock("experiment ramp"):
        wanted = buckets.count(percent)
        before = runs.current(project.target.state, project.log_time())
        run = _live(project, before.live, name)
        if run.state == "shipped":
            raise Refused(
                f"{run.run} has shipped {run.ships} to every unit: there is no share",
                remedy=f"isthmus experiment close {name}",
            )
        ranges = startable.ranges_for(before.live, run.layer, wanted, run=run)
        ramped = replace(run, ranges=ranges)
        live = before.live
        if ranges != run.ranges:
            entry = runs.next_change(
                before,
                ramped,
                "ramped",
                at=project.log_time(),
                before_text=traffic_text(run),
                after=traffic_text(ramped),
                because=because,
            )
            live = runs.change(
                project.target.state, before, startable.replaced(before.live, ramped), entry
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


def stop(project: Project, name: str, *, because: str, ship: str | None = None) -> Stopped:
    """End a run: every unit has the endpoint's own parameters again.

    `ship`: every unit has this arm's instead, until `close`.

    Also ends what a start left that was killed, and a run that has shipped. Again: told, nothing
    changes. NotFound: it never ran, or has no such arm. Refused: its `close` is under way.
    Conflict: somebody was faster.
    """
    if not because.strip():
        raise Invalid(
            "a run is stopped for a reason, which the history keeps", remedy='--because "..."'
        )
    with project.lock("experiment stop"):
        before = runs.current(project.target.state, project.log_time())
        run = startable.find(before.live, name)
        if run is None:
            return _stopped_already(project, before.live, name)
        return (
            _ship(project, before, run, ship, because)
            if ship is not None
            else _end(project, before, run, because)
        )


def _ship(project: Project, before: StoredLive, run: LiveRun, arm: str, because: str) -> Stopped:
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
    live, shipped = (
        before.live,
        replace(run, state="shipped", ships=arm, ranges=()),
    )  # its buckets are free for the next experiment
    if run.state == "running":
        entry = runs.next_change(
            before,
            shipped,
            "shipped",
            at=project.log_time(),
            before_text=traffic_text(run),
            after=f"{arm} ships",
            because=because,
        )
        live = runs.change(project.target.state, before, startable.replaced(live, shipped), entry)
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


def _end(project: Project, before: StoredLive, run: LiveRun, because: str) -> Stopped:
    freed, moment = replace(run, ranges=()), project.log_time()
    entry = runs.next_change(
        before,
        freed,
        "stopped",
        at=moment,
        before_text=traffic_text(run),
        after="stopped",
        because=because,
    )
    live = runs.change(project.target.state, before, startable.without(before.live, run.run), entry)
    endpoint = before.live.layers[run.layer].endpoint
    released = (endpoint,) if run.aims else ()
    ownership.give_back(project, endpoint, run.run)
    return Stopped(
        target=project.target.name,
        run=run.run,
        config=live.version,
        aims=run.aims,
        released=released,
    )


def _stopped_already(project: Project, live: Live, name: str) -> Stopped:
    """Not live: what is left of a start or a stop that was killed is the traffic.

    NotFound: it never ran.
    """
    released = ownership.give_back_all(project, name)
    last = runs.last(project.target.state, name)
    if last is None and not released:
        raise startable.never_ran(project, name)
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


def history(project: Project, name: str | None = None) -> Rows[Change]:
    """Every change of the target's experiments, or of one, oldest first.

    NotFound: the one never ran.
    """
    changes = runs.history(project.target.state, name)
    if name is not None and not changes:
        raise startable.never_ran(project, name)
    return Rows(changes)


def simulate(project: Project, path: str | Path) -> Simulated:
    """Let a simulation's made-up visitors come to the gateway, on a simulated clock, and compare
    with what is true.
    """
    from .simulation.simulate import simulate as play

    return play(project, Path(path))


def _live(project: Project, live: Live, name: str) -> LiveRun:
    run = startable.find(live, name)
    if run is None:
        last = runs.last(project.target.state, name)
        if last is None:
            raise startable.never_ran(project, name)
        raise NotFound(
            f"{last.run} was {last.what} at {last.at:%Y-%m-%d %H:%M} UTC",
            remedy=f"isthmus experiment start {name}",
        )
    return run
