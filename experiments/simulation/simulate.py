"""`isthmus experiment simulate SPEC.yaml`: the whole chain without traffic.

From the gateway over HTTP to a verdict beside the truth.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, final

import msgspec
from msgspec.structs import replace

from ...core.runtime.project import Project, open_target
from ...endpoints import hosting
from ...endpoints.gateway.http.background import in_background
from ...endpoints.gateway.http.sample import SampleFailed
from ...endpoints.gateway.smoke import ranked_key
from ...endpoints.traffic.router import routed_endpoints
from ...errors import Invalid, NotFound, Refused
from ...reports.results import Shown
from ..results import page
from ..results.comparison import results as compare
from ..results.results import Results
from ..running.start import start
from . import clock as simulated_time
from .behaviour import SimulationSetting, request
from .clock import MovedClock, SimulatedTime
from .drive import Drive, SimulationTotals, Stopping
from .http_calls import HttpCalls
from .simulation import Effects, Simulation, true_effect
from .simulation_file import read
from .split import SeededSplit
from .visits import visits
from .world import world_of


class Truth(msgspec.Struct, frozen=True, kw_only=True):
    """The true effect on a metric, relative to the control, beside what the run shows.

    None: it is not known, or not shown.
    """

    metric: str
    arm: str
    true: float | None
    shown: float | None
    low: float | None = None
    high: float | None = None


class PlayedSimulation(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """A simulation that was played: who came, and the results beside the truth."""

    target: str
    simulation: Simulation
    played: SimulationTotals
    results: Results | None = None  # of the experiment; None: only an endpoint was driven
    truths: tuple[Truth, ...] = ()
    page: Path | None = None
    clock: str = "simulated clock"

    def __str__(self) -> str:
        from .text import text

        return text(self)


def simulate(project: Project, path: Path) -> PlayedSimulation:
    """Simulate an experiment's visitors, and return its results beside the true effects.

    The experiment is started if it does not run.

    Args:
        project: The project.
        path: The simulation's file.

    Raises:
        ProjectError: The file has mistakes.
        Refused: The target is a cloud.
        NotFound: The endpoint is not up.
        KeyboardInterrupt: What was answered is logged, and the next simulation goes on where this
            one stopped.
    """
    check_here(project)
    simulation = read(path, project.spec)
    with project.lock("experiment simulate"):
        going = Session(project)
        _check_up(going.project, simulation.endpoint)
        if simulation.experiment is not None:
            going.start(simulation.experiment, simulation.effects)
        played = going.play(simulation)
        return _result(going, simulation, played)


@final
class Session:
    """A project by simulated time, from where that stands."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self.time = present_time(project)
        self._clock = MovedClock(self.time.at)

    @property
    def project(self) -> Project:
        """Return the project at the simulated clock's present time."""
        return simulated_time.with_clock(self._project, self._project.target, self._clock)

    def start(self, experiment: str, effects: Effects | None) -> None:
        """Start a run of an experiment if none is live.

        `effects` are the true effects of its arms, as the simulation's file has them. It raises
        what `experiment.start` raises.
        """
        self.time = self.time.with_run(start(self.project, experiment).run, effects)

    def play(self, simulation: Simulation) -> SimulationTotals:
        """Simulate the days of a simulation against a gateway of its own.

        Whatever is drawn comes from the simulation's seed and from where the clock stands, and the
        visitors ask one after the other: the same seed gives the same figures.
        """
        stopping, serving = Stopping(), open_target(self._project.target.profile)
        setting = setting_of(self._project, simulation)
        seed = f"{simulation.endpoint}:{simulation.seed}:{self.time.at:%Y%m%d%H%M%S%f}"
        if hosting.aims(serving.capabilities, setting.endpoint.routing):
            serving.endpoints = SeededSplit(serving.endpoints, seed)
        moving = simulated_time.with_clock(self._project, serving, self._clock, moving=True)
        first = _First(setting, self.time)
        with (
            stopping.listening(),
            in_background(moving, simulation.endpoint, first, seed=seed) as gateway,
            HttpCalls(gateway.url) as calls,
        ):
            played = Drive(setting, calls, self._clock, self.time).run(
                self._note, self._project.progress, stopping
            )
        if stopping.asked:
            raise _interrupt(self.time.at)
        return replace(played, undelivered=gateway.lost)

    def _note(self, time: SimulatedTime) -> None:
        """Store the simulated time that is reached, and go on from it."""
        self.time = time
        simulated_time.store(self._project.target.blobs, time)


def _interrupt(moment: datetime) -> KeyboardInterrupt:
    """Return the KeyboardInterrupt of a stopped simulation, with a note on its time."""
    stop = KeyboardInterrupt()
    stop.add_note(
        f"What was answered is logged. The simulated clock stands at {moment:%Y-%m-%d %H:%M} "
        "UTC: the same command goes on there."
    )
    return stop


def check_here(project: Project) -> None:
    """Raise an error unless the target may be simulated on: the laptop or an offline stack.

    On a cloud the log would mix made-up visitors with people.

    Raises:
        Refused: It is a cloud.
    """
    target = project.target
    if not simulated_time.on_this_machine(target):
        raise Refused(
            f"target {target.name} is on {target.adapter.title}: made-up visitors would "
            "stand in its log beside people",
            remedy="simulate with --offline, or on a target of this machine",
        )


def present_time(project: Project) -> SimulatedTime:
    """Return the simulated time at which a simulation goes on.

    On a target without one it is `now:` of project.yaml, else the present time.
    """
    stored = simulated_time.stored_time(project.target.blobs)
    return stored or SimulatedTime(since=project.now(), at=project.now())


def setting_of(project: Project, simulation: Simulation) -> SimulationSetting:
    """Return all that simulated visitors of an endpoint need: world, endpoint and item key.

    Raises:
        Invalid: The endpoint's candidates have no key, or the world is none.
    """
    endpoint = project.spec.endpoints[simulation.endpoint]
    key = ranked_key(project.spec, endpoint)
    if key is None:
        raise Invalid(
            f"{endpoint.name}: its exposures have no entity's key, so nothing can be ranked",
            remedy="add one to the event",
        )
    world = world_of(project, simulation, endpoint.unit, key)
    return SimulationSetting(
        simulation=simulation, world=world, spec=project.spec, endpoint=endpoint, key=key
    )


@final
class _First:
    """A request to warm up with: that of the first visitor."""

    def __init__(self, setting: SimulationSetting, time: SimulatedTime) -> None:
        self._setting, self._time = setting, time

    def sample(self, endpoint: str) -> dict[str, Any]:
        """Return the first simulated visitor's ranking request for a smoke test of the endpoint.

        Raises SampleFailed if nobody visits.
        """
        setting, moment = self._setting, self._time.at
        days = visits(
            setting.simulation,
            setting.world,
            setting.unit,
            since=moment,
            start=moment,
            end=moment.max.replace(tzinfo=moment.tzinfo),
        )
        first = next(days, None)
        if first is None:
            raise SampleFailed(f"nobody visits {endpoint}")
        return request(setting, first)


def _check_up(project: Project, endpoint: str) -> None:
    """Raise NotFound if the endpoint is not deployed."""
    if routed_endpoints(project.target).observe(endpoint) is None:
        raise NotFound(
            f"{endpoint} is not up on {project.target.name}", remedy=f"isthmus deploy {endpoint}"
        )


def _result(going: Session, simulation: Simulation, played: SimulationTotals) -> PlayedSimulation:
    """Return the totals of the simulation, with the experiment's results."""
    project = going.project
    if simulation.experiment is None:
        return PlayedSimulation(target=project.target.name, simulation=simulation, played=played)
    results = compare(project, simulation.experiment, despite_split=True)
    return PlayedSimulation(
        target=project.target.name,
        simulation=simulation,
        played=played,
        results=results,
        truths=truths(simulation, results, always=going.time.effects[results.run] is not None),
        page=page.report(project, simulation.experiment, despite_split=True),
    )


def truths(simulation: Simulation, results: Results, *, always: bool) -> tuple[Truth, ...]:
    """Return the true effect on each metric beside the measured one.

    With `always` the same effects held as long as the run was simulated; else they are unknown.
    """
    metrics = {metric.metric.name: metric.metric for metric in results.metrics}
    shown = {(effect.metric, effect.arm): effect.relative for effect in results.effects}
    return tuple(
        Truth(
            metric=name,
            arm=arm,
            true=_relative_to_control(simulation, results, arm, name) if always else None,
            shown=difference.value if difference else None,
            low=difference.low if difference else None,
            high=difference.high if difference else None,
        )
        for (name, arm), difference in shown.items()
        if name in metrics
    )


def _relative_to_control(
    simulation: Simulation, results: Results, arm: str, metric: str
) -> float | None:
    """Return an arm's true effect relative to the control's, or None if it is unknown."""
    spec = next(spec.metric for spec in results.metrics if spec.metric.name == metric)
    treatment, control = (
        true_effect(simulation, spec, arm),
        true_effect(simulation, spec, results.arms[0]),
    )
    return None if treatment is None or control is None else (1 + treatment) / (1 + control) - 1
