"""Player of a scenario against the engine itself.

It makes the looks of a real controller, in a setting whose clock is moved.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import final

import msgspec

from ...endpoints import split
from ...errors import Busy, Conflict, OutcomeUnknown, Throttled, Unavailable
from ..controller import look
from ..state import documents, wishes
from ..state.documents import Stored
from ..state.planning import beginning
from ..state.ports import ControllerPorts
from ..state.states import Phase, RolloutPlan, RolloutState
from .results import PlayedEvent, Rehearsal, judge
from .scenario import Event, Killed, Person, Provider, Scenario, Second, Somebody, Stopped
from .setting import Setting
from .traps import ControllerDied, Trap, Traps, trapped_ports

_SECOND, _MINUTE = timedelta(seconds=1), timedelta(minutes=1)
_LONGEST = timedelta(days=14)  # of virtual time
_GRACE = timedelta(hours=1)  # of a longer one: each of its minutes is judged on all before it
# Between two looks. Nothing is judged more often than once a minute
_PERIODS: dict[Phase, timedelta] = {
    "baking": 30 * _SECOND,
    "waiting": 30 * _SECOND,
    "promoted": _MINUTE,
    "ended": _MINUTE,
}
_PERIOD = 10 * _SECOND
_PATIENCE = 5 * _MINUTE  # with a person who is asked, when nothing more is to happen
_AGAIN = 8  # looks at once, when one says that there is more to do


def play(scenario: Scenario, plan: RolloutPlan, endpoint: str, setting: Setting) -> Rehearsal:
    """Play a scenario until its rollout ends or waits for a person who does not come.

    `setting` is the environment, with its clock and traffic: simulated, or an offline stack.
    """
    began = time.perf_counter()
    shorter = plan.remove_old > _GRACE
    plan = msgspec.structs.replace(plan, remove_old=min(plan.remove_old, _GRACE))
    player = _Player(scenario, plan, endpoint, setting)
    state = player.play()
    rehearsal = Rehearsal(
        scenario=scenario,
        state=state,
        entries=tuple(documents.history(player.outside.state, state)),
        events=tuple(player.events),
        never=tuple(event.text for event in player.ahead),
        started=player.started,
        grace=_GRACE if shorter and state.end == "promoted" else None,
        kept=documents.kept_minutes(player.outside.blobs, state),
        minutes={variant: tuple(minutes) for variant, minutes in setting.minutes().items()},
        seconds=time.perf_counter() - began,
    )
    return judge(rehearsal)


@final
class _Player:
    """A scenario as it is played."""

    def __init__(
        self, scenario: Scenario, plan: RolloutPlan, endpoint: str, setting: Setting
    ) -> None:
        self.endpoint, self.setting, self.plan = endpoint, setting, plan
        # of people and of who else is there: no trap is set for them
        self.outside = setting.ports()
        self.traps = Traps()
        self.names = (f"controller {number}" for number in itertools.count(1))
        self.controllers: dict[str, ControllerPorts] = {}
        self.remembered: dict[str, Stored | None] = {}  # by each controller, of its last look
        self.stopped: set[str] = set()
        self.started = setting.now()
        self.due: list[tuple[datetime, int, Callable[[], None]]] = []
        self.count = itertools.count()
        self.ahead = list(scenario.events)
        self.waiting = [
            event for event in scenario.events if event.at.stage is not None
        ]  # for a stage's traffic to converge
        self.converged: set[int] = set()
        self.events: list[PlayedEvent] = []
        for event in scenario.events:
            if event.at.stage is None:
                self.schedule(self.started + event.at.after, partial(self.happen, event))

    def play(self) -> RolloutState:
        """Play the rehearsal's scenario to its end, and return the rollout's last state."""
        documents.begin(
            self.outside.state,
            self.endpoint,
            lambda number: beginning(
                number, self.endpoint, self.plan, self.started, who="rehearsal"
            ),
        )
        self.do_what_is_due()
        self.start_controller()
        since: datetime | None = None  # a person is asked, and nothing more is to happen
        while True:
            state = self.look()
            now = self.setting.now()
            if state.released or now - self.started > _LONGEST:
                return state
            since = (since or now) if state.phase == "waiting" and not self.due else None
            if since is not None and now - since >= _PATIENCE:
                return state
            self.pass_time(_PERIODS.get(state.phase, _PERIOD))

    def look(self) -> RolloutState:
        """Let every running controller do one iteration of its loop; return the rollout's state.

        Events that waited until the traffic of a step was served are then scheduled.
        """
        for name in list(self.controllers):
            if name in self.controllers and name not in self.stopped:
                self.look_as(name)
        stored = documents.read(self.outside.state, self.endpoint)
        assert stored is not None  # noqa: S101  play() began it
        state = stored.state
        if state.phase == "baking" and state.stage not in self.converged:
            self.converged.add(state.stage)
            for event in [event for event in self.waiting if event.at.stage == state.stage]:
                self.waiting.remove(event)
                self.schedule(self.setting.now() + event.at.after, partial(self.happen, event))
        return state

    def look_as(self, name: str) -> None:
        """Let one controller do one iteration of its control loop."""
        try:
            for _ in range(_AGAIN):
                remembered = self.remembered.pop(name, None)
                result = look(
                    self.controllers[name],
                    self.endpoint,
                    holder=name,
                    clock=self.setting.now,
                    remembered=remembered,
                )
                self.remembered[name] = result.stored
                if not result.again:
                    return
        except ControllerDied:
            del self.controllers[name]
            self.start_controller()
        except (Conflict, OutcomeUnknown, Throttled, Unavailable):
            return  # the next look sees what happened

    def pass_time(self, span: timedelta) -> None:
        """Move the simulated clock on by a span, with the scenario's events that fall into it."""
        end = self.setting.now() + span
        while self.setting.now() < end:
            due = self.due[0][0] if self.due else end
            stop = min(end, max(due, self.setting.now()))
            if stop > self.setting.now():
                self.setting.advance(stop - self.setting.now())
            self.do_what_is_due()

    def do_what_is_due(self) -> None:
        """Apply the scenario's events that are due by now."""
        while self.due and self.due[0][0] <= self.setting.now():
            heapq.heappop(self.due)[2]()

    def schedule(self, moment: datetime, action: Callable[[], None]) -> None:
        """Schedule a function to be called at a simulated time."""
        heapq.heappush(self.due, (moment, next(self.count), action))

    def start_controller(self) -> None:
        """Start one more simulated controller, which drives the rollout beside the others."""
        name = next(self.names)
        self.controllers[name] = trapped_ports(
            self.setting.ports(), self.traps, controller=name, document=documents.key(self.endpoint)
        )

    def happen(self, event: Event) -> None:
        """Apply one event of the scenario, such as a provider's fault or a person's command."""
        self.ahead.remove(event)
        stored = documents.read(self.outside.state, self.endpoint)
        self.events.append(
            PlayedEvent(
                at=self.setting.now(), seq=stored.state.seq if stored else 0, text=event.text
            )
        )
        match event.happens:
            case Person(verb=verb, because=because):
                wishes.ask(
                    self.outside.state,
                    self.endpoint,
                    verb,
                    who="somebody",
                    wished_at=self.setting.now(),
                    because=because,
                )
            case Somebody(changes=changes):
                self.shift(changes)
            case Killed(when=when, operation=operation):
                self.traps.set(Trap(when=when, operations=(operation,), springs=_die))
            case Stopped(when=when, operation=operation, span=span):
                self.traps.set(
                    Trap(when=when, operations=(operation,), springs=partial(self.stop, span=span))
                )
            case Second():
                self.start_controller()
            case Provider(does="throttled", times=times):
                self.traps.set(
                    Trap(
                        when="before", operations=("shift", "apply"), springs=_throttle, times=times
                    )
                )
            case Provider(does="lost reply", times=times):
                self.traps.set(
                    Trap(when="after", operations=("shift", "apply"), springs=_lose, times=times)
                )
            case change:
                end = self.setting.change(change)
                if event.lasts is not None:
                    self.schedule(self.setting.now() + event.lasts, end)

    def shift(self, changes: Mapping[str, Decimal]) -> None:
        """Shift traffic as somebody outside the rollout would, as soon as the target accepts it."""
        host = self.outside.endpoints
        state = host.observe(self.endpoint)
        if state is None:
            return
        requested = split.completed(
            changes,
            now={variant.name: variant.target_percent for variant in state.variants},
            where=self.endpoint,
        )
        try:
            host.shift(self.endpoint, requested, expect=state.token)
        except Busy:
            self.schedule(self.setting.now() + _PERIOD, partial(self.shift, changes))

    def stop(self, controller: str, *, span: timedelta) -> None:
        """Halt a controller in the middle of a call for a time in which another one takes over."""
        self.stopped.add(controller)
        if self.stopped.issuperset(self.controllers):
            self.start_controller()
        end = self.setting.now() + span
        while self.setting.now() < end:
            self.pass_time(min(_PERIOD, end - self.setting.now()))
            self.look()
        self.stopped.discard(controller)


def _die(controller: str) -> None:
    """Simulate a crash of the named controller by raising an error in its call."""
    raise ControllerDied(controller)


def _throttle(controller: str) -> None:
    """Simulate that the provider throttles the named controller's call, by raising its error."""
    raise Throttled(f"{controller}: slow down")


def _lose(controller: str) -> None:
    """Simulate that the reply to the named controller's call is lost, by raising an error."""
    raise OutcomeUnknown(f"{controller}: the reply was lost")
