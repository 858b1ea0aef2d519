"""`isthmus experiment simulate SPEC.yaml`: the whole chain without traffic, from the gateway over HTTP to a verdict beside the truth."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, final

import msgspec
from msgspec.structs import replace

from ...endpoints.gateway.background import in_background
from ...endpoints.gateway.sample import SampleFailed
from ...endpoints.router import routed
from ...endpoints.smoke import ranked_key
from ...errors import Invalid, NotFound, Refused
from ...runtime import Project, open_target
from .. import run_report, run_results
from ..experiment import start
from ..run_figures import RunResults
from . import clock as simulated_time
from .behaviour import Setting, request
from .clock import MovedClock, SimulatedTime
from .driving import Drive, Played, Stopping
from .http_calls import HttpCalls
from .people import visits
from .simulation import Simulation, true_effect
from .simulation_file import read
from .world import world_of


class Truth(msgspec.Struct, frozen=True, kw_only=True):
    """What a simulation made true of a metric, relative to the control, beside what the run shows. None: it is not known, or not shown."""

    metric: str
    arm: str
    true: float | None
    shown: float | None
    low: float | None = None
    high: float | None = None


class Simulated(msgspec.Struct, frozen=True, kw_only=True):
    target: str
    simulation: Simulation
    played: Played
    results: RunResults | None = None  # of the experiment; None: only an endpoint was driven
    truths: tuple[Truth, ...] = ()
    page: Path | None = None
    clock: str = "simulated clock"

    def __str__(self) -> str:
        from .telling import text

        return text(self)


def simulate(project: Project, path: Path) -> Simulated:
    """Start the simulation's experiment if it does not run, let its days pass, and look at the results.

    ProjectError: the file's mistakes. Refused: the target is a cloud. NotFound: the endpoint is not up. KeyboardInterrupt: what was
    answered is logged, and the next simulation goes on where this one stopped.
    """
    check_here(project)
    simulation = read(path, project.spec)
    with project.lock("experiment simulate"):
        time = standing(project)
        moved = MovedClock(time.at)
        now = simulated_time.moved(project, project.target, moved)
        _check_up(now, simulation.endpoint)
        if simulation.experiment is not None:
            time = time.with_run(start(now, simulation.experiment).run, simulation.effects)
        played = play(project, simulation, time, moved)
        return _looked(simulated_time.moved(project, project.target, moved), simulation, played, time)


def check_here(project: Project) -> None:
    """Refused: people's own target would get visitors that nobody is."""
    target = project.target
    if not simulated_time.on_this_machine(target):
        raise Refused(
            f"target {target.name} is on {target.adapter.title}: made-up visitors would stand in its log beside people",
            remedy="simulate with --offline, or on a target of this machine",
        )


def standing(project: Project) -> SimulatedTime:
    """Where simulated time begins: where it stopped; on a target without any at `now:` of project.yaml, else now."""
    before = simulated_time.stored(project.target.blobs)
    return before or SimulatedTime(since=project.now(), at=project.now())


def play(project: Project, simulation: Simulation, time: SimulatedTime, moved: MovedClock) -> Played:
    """Let the days pass on a gateway of its own, whose project goes by the same clock; `moved` stands at their end afterwards."""
    setting = setting_of(project, simulation)
    blobs, stopping = project.target.blobs, Stopping()
    serving = simulated_time.moved(project, open_target(project.target.profile), moved, moving=True)
    with stopping.heard():
        with in_background(serving, simulation.endpoint, _First(setting, time)) as gateway, HttpCalls(gateway.url) as calls:
            drive = Drive(setting, calls, moved, time)
            played = drive.run(partial(simulated_time.store, blobs), project.progress, stopping)
        if stopping.asked:
            stop = KeyboardInterrupt()
            stop.add_note(f"What was answered is logged. The simulated clock stands at {moved.moment:%Y-%m-%d %H:%M} UTC;")
            stop.add_note("the same command goes on from there.")
            raise stop
    return replace(played, undelivered=gateway.lost)


def setting_of(project: Project, simulation: Simulation) -> Setting:
    """Invalid: the endpoint's candidates have no key, or the world is none."""
    endpoint = project.spec.endpoints[simulation.endpoint]
    key = ranked_key(project.spec, endpoint)
    if key is None:
        raise Invalid(f"{endpoint.name}: its exposures have no entity's key, so nothing can be ranked", remedy="add one to the event")
    world = world_of(project, simulation, endpoint.unit, key)
    return Setting(simulation=simulation, world=world, spec=project.spec, endpoint=endpoint, key=key)


@final
class _First:
    """A request to warm up with: that of the first visitor."""

    def __init__(self, setting: Setting, time: SimulatedTime) -> None:
        self._setting, self._time = setting, time

    def sample(self, endpoint: str) -> dict[str, Any]:
        setting, at = self._setting, self._time.at
        days = visits(setting.simulation, setting.world, setting.unit, since=at, start=at, end=at.max.replace(tzinfo=at.tzinfo))
        first = next(days, None)
        if first is None:
            raise SampleFailed(f"nobody visits {endpoint}")
        return request(setting, first)


def _check_up(project: Project, endpoint: str) -> None:
    if routed(project.target).observe(endpoint) is None:
        raise NotFound(f"{endpoint} is not up on {project.target.name}", remedy=f"isthmus deploy {endpoint}")


def _looked(project: Project, simulation: Simulation, played: Played, time: SimulatedTime) -> Simulated:
    if simulation.experiment is None:
        return Simulated(target=project.target.name, simulation=simulation, played=played)
    seen = run_results.results(project, simulation.experiment, despite_split=True)
    return Simulated(
        target=project.target.name,
        simulation=simulation,
        played=played,
        results=seen,
        truths=truths(simulation, seen, always=time.effects[seen.run] is not None),
        page=run_report.report(project, simulation.experiment, despite_split=True),
    )


def truths(simulation: Simulation, seen: RunResults, *, always: bool) -> tuple[Truth, ...]:
    """Of every metric and treatment. `always`: the same effects held as long as the run was simulated."""
    metrics = {of.metric.name: of.metric for of in seen.metrics}
    shown = {(effect.metric, effect.arm): effect.relative for effect in seen.effects}
    return tuple(
        Truth(
            metric=name,
            arm=arm,
            true=_relative_to_control(simulation, seen, arm, name) if always else None,
            shown=difference.value if difference else None,
            low=difference.low if difference else None,
            high=difference.high if difference else None,
        )
        for (name, arm), difference in shown.items()
        if name in metrics
    )


def _relative_to_control(simulation: Simulation, seen: RunResults, arm: str, metric: str) -> float | None:
    of = next(of.metric for of in seen.metrics if of.metric.name == metric)
    treatment, control = true_effect(simulation, of, arm), true_effect(simulation, of, seen.arms[0])
    return None if treatment is None or control is None else (1 + treatment) / (1 + control) - 1
