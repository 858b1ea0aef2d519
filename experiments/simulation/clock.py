"""Simulated time: the clock of a project's log, which a simulation moves.

Where it stands between simulations is stored. Whoever opens a target that has simulated time goes
by it (`on_simulated_clock`): an experiment is then stopped, or looked at, after what was simulated,
and not before. It is the log's alone: traffic, rollouts and leases go by the target's own clock, as
the gateways and the provider do, and would wait for ever for one that stands still.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any, TypeVar, cast, final

import msgspec
from msgspec.structs import replace

from ...core.formats import StoredDocument, decode
from ...core.runtime.project import Project
from ...errors import NotFound
from ...project.profiles.options import on_this_machine as is_on_this_machine
from ...storage import BlobStore
from ...target import Target
from ...times import utc_milliseconds
from .behaviour import PendingEvent
from .simulation import Effects

_Verb = TypeVar("_Verb", bound=Callable[..., Any])
_PLACE = "simulation/clock.json"


@final
class MovedClock:
    """A clock that only moves forward, when it is told to."""

    def __init__(self, moment: datetime) -> None:
        self.moment = utc_milliseconds(moment)

    def __call__(self) -> datetime:
        return self.moment

    def move(self, moment: datetime) -> None:
        """Move the simulated clock forward to a moment; never back."""
        self.moment = max(self.moment, utc_milliseconds(moment))


class SimulatedTime(StoredDocument, frozen=True, kw_only=True):
    """The moment at which simulated time stands, as `simulation/clock.json`.

        `since`: when simulated time began. `waiting`: events that happened by `at` and come later.
    `effects`: what was true of each run's arms, by arm and event; None: not the same all the time,
    or not said by a file.
    """

    since: datetime
    at: datetime
    waiting: tuple[PendingEvent, ...] = ()
    effects: dict[str, Effects | None] = {}

    def with_run(self, run: str, effects: Effects | None) -> SimulatedTime:
        """Return the simulated time with the true effects of a run recorded in it.

        If an earlier simulation of the run had other effects, None is recorded: they are unknown.
        """
        same = self.effects.get(run, effects) == effects
        return replace(self, effects={**self.effects, run: effects if same else None})


def stored_time(blobs: BlobStore) -> SimulatedTime | None:
    """Return a target's stored simulated time, or None if nothing was simulated."""
    try:
        return decode(blobs.get(_uri(blobs)), SimulatedTime, what=_PLACE)
    except NotFound:
        return None


def store(blobs: BlobStore, time: SimulatedTime) -> None:
    """Store a target's simulated time."""
    blobs.put(_uri(blobs), msgspec.json.encode(time))


def forget(target: Target) -> None:
    """Delete a target's simulated time, when its simulated data are removed."""
    if on_this_machine(target) and stored_time(target.blobs) is not None:
        target.blobs.delete(_uri(target.blobs))


def with_clock(
    project: Project, target: Target, clock: MovedClock, *, moving: bool = False
) -> Project:
    """Return a copy of the project on this target that takes its time from a clock.

    With `moving` each query is at the clock's time. Otherwise a project whose log is old (`now:`)
    has its log end at the clock's present moment.
    """
    now = None if moving or project.spec.now is None else clock.moment
    spec = replace(project.spec, now=now)
    by_clock = Project(
        replace(project.description, spec=spec), target, progress=project.progress, clock=clock
    )
    by_clock.before_close = project.before_close
    return by_clock


def on_this_machine(target: Target) -> bool:
    """Return whether a target may be simulated on, as it is the laptop or an offline stack."""
    return not target.adapter.remote or is_on_this_machine(
        str(target.profile.options.get("endpoint_url", ""))
    )


def is_simulated(project: Project) -> bool:
    """Return whether the project takes its time from a simulated clock."""
    return isinstance(project.clock, MovedClock)


def simulated_span(target: Target) -> tuple[datetime, datetime] | None:
    """Return when simulated time began and its present moment.

    None: nothing was simulated there.
    """
    time = stored_time(target.blobs) if on_this_machine(target) else None
    return None if time is None else (time.since, time.at)


def on_simulated_clock(project: Project) -> Project:
    """Return the project on the simulated clock of its target, if there is one."""
    if project.clock is not None:
        return project
    time = stored_time(project.target.blobs) if on_this_machine(project.target) else None
    return project if time is None else with_clock(project, project.target, MovedClock(time.at))


def by_simulated_clock(verb: _Verb) -> _Verb:
    """Decorate a function of a project to use the target's simulated clock, if there is one."""

    @wraps(verb)
    def by_clock(project: Project, *args: Any, **options: Any) -> Any:
        return verb(on_simulated_clock(project), *args, **options)

    return cast("_Verb", by_clock)


def _uri(blobs: BlobStore) -> str:
    """Return the URI at which the simulated time is stored."""
    return f"{blobs.root.rstrip('/')}/{_PLACE}"
