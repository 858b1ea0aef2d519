"""What `isthmus experiment` does. What project.yaml says becomes a run; whether it runs is state.

Each verb that changes something checks first, then changes the live document by one write. Killed anywhere, the same verb again goes on.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from ..endpoints.gateway.live_document import Change, Live, LiveRun
from ..endpoints.gateway.streams import STREAMS
from ..endpoints.port import EndpointState
from ..endpoints.router import routed
from ..endpoints.smoke import Smoke, smoke_arm
from ..errors import Conflict, Invalid, NotFound, Refused, Unavailable
from ..project.names import did_you_mean
from ..project.specs import OF_EVERY_ENDPOINT
from ..project.streams import streams_of
from ..reports.results import Rows
from ..runtime import Project
from . import buckets, ownership, runs, startable
from .answers import Ramped, Started, Stopped
from .audit import audit
from .closing import close
from .comparing import power, report, results
from .runs import Definition, FrozenRun, StoredLive
from .standing import listed as list
from .standing import status

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


def start(project: Project, name: str) -> Started:
    """Begin a run of an experiment of project.yaml with its share of the layer; a run that is live already: told, nothing changes.

    NotFound, ProjectError, Busy: the endpoint cannot serve its arms. Refused: too few free buckets, the traffic has another owner, or a
    run is live with another definition. Unavailable: an arm does not answer. Conflict: somebody was faster.
    """
    with project.lock("experiment start"):
        definition = startable.defined(project, name)
        before = runs.current(project.target.state, project.wall())
        if (run := startable.find(before.live, name)) is not None:
            return _again(project, before.live, run, definition)
        return _started(project, before, definition)


def _started(project: Project, before: StoredLive, definition: Definition) -> Started:
    layer = definition.layer
    share = definition.experiment.share
    ranges = startable.ranges_for(before.live, layer.name, buckets.count(share))
    layers = startable.layers_with(before.live, layer)
    arms = startable.arms_of(project, definition)
    startable.check_parameters(before.live, definition, arms)
    endpoint = routed(project.target).observe(layer.endpoint)
    if definition.experiment.aims:
        ownership.check_free(project, endpoint, definition.experiment.name)
        startable.check_unlike(definition.experiment, arms)
    arms = startable.with_defaults(project, before.live, layer, arms)
    frozen = _claimed(project, startable.frozen_run(project, definition, arms))
    for stream in streams_of(project.spec, project.spec.endpoints[layer.endpoint]):
        project.target.events.apply(STREAMS[stream])  # as `deploy` does: who is assigned from now on is logged
    answers = _tried(project, frozen) if endpoint is not None else {}
    run = replace(startable.live_run(frozen, ranges), started=project.wall())
    after = replace(before.live, layers=layers, runs=(*before.live.runs, run))
    entry = runs.next_change(before, run, "started", at=project.wall(), after=shown(run))
    runs.next_live(after, entry)  # too large: refused before the traffic is taken
    aims = definition.experiment.aims
    former = ownership.take(project, endpoint, frozen.run) if aims else None
    live = _gone_live(project, before, after, entry, endpoint, aims=aims)
    return _told(project, live, run, frozen, former=former, answers=answers)


def _again(project: Project, live: Live, run: LiveRun, definition: Definition) -> Started:
    """It is live already, as project.yaml says it. Raises what differs."""
    if run.state == "shipped":
        raise Refused(f"{run.run} has shipped {run.ships}", remedy=f"isthmus experiment close {run.experiment}, then start the next run")
    frozen = runs.frozen(project.target.state, run.run)
    if (differs := startable.conflicting(project, frozen, definition)) is not None:
        raise differs
    return _told(project, live, run, frozen, already=True)


def _told(
    project: Project,
    live: Live,
    run: LiveRun,
    frozen: FrozenRun,
    *,
    former: str | None = None,
    answers: dict[str, Smoke] | None = None,
    already: bool = False,
) -> Started:
    experiment = frozen.definition.experiment
    return Started(
        target=project.target.name,
        run=run.run,
        endpoint=frozen.definition.layer.endpoint,
        layer=run.layer,
        share=buckets.share(run.ranges),
        ranges=run.ranges,
        weights=runs.weights(experiment),
        holdout=experiment.holdout,
        targeting=experiment.targeting,
        git=frozen.git,
        config=live.version,
        owner_before=former,
        answers=answers or {},
        already=already,
    )


def _claimed(project: Project, wanted: FrozenRun) -> FrozenRun:
    try:
        return runs.claim(project.target.state, wanted)
    except Conflict as error:
        raise Conflict(
            f"somebody else starts {wanted.run} just now; nothing was changed", remedy=f"isthmus experiment status {wanted.run}"
        ) from error


def _tried(project: Project, frozen: FrozenRun) -> dict[str, Smoke]:
    """A few requests as each arm's units will be answered, or by each of two variants. Unavailable: one does not answer all."""
    endpoint, answers = frozen.definition.layer.endpoint, dict[str, Smoke]()
    for arm in frozen.shippable:
        parameters = {name: value for name, value in arm.parameters.items() if name not in OF_EVERY_ENDPOINT}
        defaults = {name: parameter.default for name, parameter in project.spec.endpoints[endpoint].parameters.items()}
        answers[arm.name] = smoke_arm(project, endpoint, arm.parameters.get("variant"), defaults | parameters)
        if not answers[arm.name].ok:
            raise Unavailable(
                f"{endpoint}: arm {arm.name} does not answer: {answers[arm.name]}",
                remedy=f"isthmus endpoints logs {endpoint}; no unit was assigned",
            )
    return answers


def _gone_live(project: Project, before: StoredLive, after: Live, entry: Change, endpoint: EndpointState | None, *, aims: bool) -> Live:
    """The run is live, and the traffic its own: of two starts the one that comes too late may have taken it meanwhile."""
    try:
        live = runs.change(project.target.state, before, after, entry)
    except Conflict:
        there = startable.find(runs.current(project.target.state, project.wall()).live, runs.experiment_of(entry.run))
        if there is not None and there.aims:
            ownership.take(project, endpoint, there.run)
        raise
    if aims:
        ownership.take(project, endpoint, entry.run)
    return live


def ramp(project: Project, name: str, percent: Decimal, *, because: str = "") -> Ramped:
    """Change the share of a layer that a run holds. Nobody changes arm. The same share again: told, nothing changes.

    `because` stands in the history.

    NotFound: it is not live. Refused: too few free buckets, or it has shipped. Invalid: no share. Conflict: somebody was faster.
    """
    with project.lock("experiment ramp"):
        wanted = buckets.count(percent)
        before = runs.current(project.target.state, project.wall())
        run = _live(project, before.live, name)
        if run.state == "shipped":
            raise Refused(f"{run.run} has shipped {run.ships} to every unit: there is no share", remedy=f"isthmus experiment close {name}")
        ranges = startable.ranges_for(before.live, run.layer, wanted, run=run)
        ramped = replace(run, ranges=ranges)
        live = before.live
        if ranges != run.ranges:
            entry = runs.next_change(
                before, ramped, "ramped", at=project.wall(), before_text=shown(run), after=shown(ramped), because=because
            )
            live = runs.change(project.target.state, before, startable.replaced(before.live, ramped), entry)
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
    """End a run: every unit has the endpoint's own parameters again. `ship`: every unit has this arm's instead, until `close`.

    Also ends what a start left that was killed, and a run that has shipped. Again: told, nothing changes. NotFound: it never ran, or has
    no such arm. Refused: its `close` is under way. Conflict: somebody was faster.
    """
    if not because.strip():
        raise Invalid("a run is stopped for a reason, which the history keeps", remedy='--because "..."')
    with project.lock("experiment stop"):
        before = runs.current(project.target.state, project.wall())
        run = startable.find(before.live, name)
        if run is None:
            return _stopped_already(project, before.live, name)
        return _shipped(project, before, run, ship, because) if ship is not None else _ended(project, before, run, because)


def _shipped(project: Project, before: StoredLive, run: LiveRun, arm: str, because: str) -> Stopped:
    parameters = {live_arm.name: live_arm.parameters for live_arm in run.arms}
    if run.interleave is not None and arm == run.arms[0].name:
        raise Refused(
            f"{run.run} makes one order of two: {arm} is neither of them", remedy=f"--ship {run.interleave[0]}, or {run.interleave[1]}"
        )
    if arm not in parameters:
        raise NotFound(f"{run.run} has no arm {arm}", remedy=did_you_mean(arm, run.interleave or parameters, has="it has"))
    if run.state == "shipped" and run.ships != arm:
        raise Refused(
            f"{run.run} has shipped {run.ships}", remedy="stop it without --ship first: units then have the endpoint's own parameters"
        )
    live, shipped = before.live, replace(run, state="shipped", ships=arm, ranges=())  # its buckets are free for the next experiment
    if run.state == "running":
        entry = runs.next_change(
            before, shipped, "shipped", at=project.wall(), before_text=shown(run), after=f"{arm} ships", because=because
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


def _ended(project: Project, before: StoredLive, run: LiveRun, because: str) -> Stopped:
    freed, moment = replace(run, ranges=()), project.wall()
    entry = runs.next_change(before, freed, "stopped", at=moment, before_text=shown(run), after="stopped", because=because)
    live = runs.change(project.target.state, before, startable.without(before.live, run.run), entry)
    endpoint = before.live.layers[run.layer].endpoint
    released = (endpoint,) if run.aims else ()
    ownership.give_back(project, endpoint, run.run)
    return Stopped(target=project.target.name, run=run.run, config=live.version, aims=run.aims, released=released)


def _stopped_already(project: Project, live: Live, name: str) -> Stopped:
    """Not live: what is left of a start or a stop that was killed is the traffic. NotFound: it never ran."""
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
    """Every change of the target's experiments, or of one, oldest first. NotFound: the one never ran."""
    changes = runs.history(project.target.state, name)
    if name is not None and not changes:
        raise startable.never_ran(project, name)
    return Rows(changes)


def simulate(project: Project, path: str | Path) -> Simulated:
    """Let a simulation's made-up visitors come to the gateway, on a simulated clock, and compare with what is true."""
    from .simulation.simulate import simulate as play

    return play(project, Path(path))


def _live(project: Project, live: Live, name: str) -> LiveRun:
    run = startable.find(live, name)
    if run is None:
        last = runs.last(project.target.state, name)
        if last is None:
            raise startable.never_ran(project, name)
        raise NotFound(f"{last.run} was {last.what} at {last.at:%Y-%m-%d %H:%M} UTC", remedy=f"isthmus experiment start {name}")
    return run


def shown(run: LiveRun) -> str:
    return f"{run.ships} ships" if run.state == "shipped" else f"{buckets.share(run.ranges):.2f} %"
