"""Random weather for a rollout: controllers that die, sleep and come late, people, somebody else,
faults, outages; a monitor judges.

`episode(seed)` is one rollout from its start until its traffic is given back. Every controller is a
thread of its own that holds still at any of its calls, so that every order of calls can come about;
only one thread runs at a time, so that a seed is one story.
"""

from __future__ import annotations

import random
import threading
from datetime import timedelta
from decimal import Decimal

import msgspec
from msgspec.structs import replace

from isthmus.errors import Busy, OutcomeUnknown, Throttled
from isthmus.project.specs.description import Guardrail, Hold, RolloutStep
from isthmus.rollouts import controller
from isthmus.rollouts.state import documents, wishes
from isthmus.rollouts.world import VariantBehaviour, World
from isthmus.target import CallLog

from ..monitor import Monitor
from ..scene import FAILING, HEALTHY, MINUTE, TARGETS, begun, plan, split

SECOND = timedelta(seconds=1)
SLEEPS = (100, 290)  # seconds that a controller is stopped for, at the longest
EFFECTS = ("endpoints.shift", "endpoints.apply", "registry.set_alias")


class Killed(BaseException):
    """kill -9: nothing catches it."""


class Violation(msgspec.Struct, frozen=True):
    promise: str
    what: str


class Process:
    """A controller: it looks when it is told to, and may be held at any of its calls."""

    def __init__(self, weather, number):
        self.weather, self.number, self.lives = weather, number, 0
        self.calls = CallLog()
        self.ports = weather.world.ports(self.calls)
        self.calls.listeners.append(weather.reading(self))
        self.calls.before, self.calls.after = weather.before(self), weather.after(self)
        self.until = None  # held so long
        self.saw, self.served = (
            0,
            {},
        )  # what its newest observation knows: others' changes, percents
        self.next = weather.world.now()
        self.remembered = None  # the document as its last look left it
        self.baton, self.alive = threading.Semaphore(0), True
        self.thread = threading.Thread(target=self.live, daemon=True)
        self.thread.start()

    @property
    def holder(self):
        return f"p{self.number}.{self.lives}"

    def live(self):
        while True:
            self.baton.acquire()
            if not self.alive:
                return
            try:
                self.weather.look(self)
            except Killed:
                self.lives += 1
            except Exception as error:  # noqa: BLE001  a look never raises: this is what the monitor reports
                self.weather.broken("a look ends", f"{type(error).__name__}: {error}")
            self.weather.baton.release()

    def run(self):
        """Until its look is over, or it is held."""
        self.until = None
        self.baton.release()
        self.weather.baton.acquire()

    def hold(self, until):
        self.until = until
        self.weather.baton.release()
        self.baton.acquire()
        if not self.alive:
            raise Killed

    def end(self):
        self.alive = False
        self.baton.release()
        if self.until is not None:
            self.weather.baton.acquire()
            self.baton.release()
        self.thread.join()


class Person:
    """Whose calls the monitor sees, and nothing stops."""

    def __init__(self, weather):
        self.calls, self.saw, self.served = CallLog(), 0, {}
        self.ports = weather.world.ports(self.calls)
        self.calls.listeners.append(lambda _call: self.look(weather))
        self.calls.before = lambda _call: weather.monitor.before()
        self.calls.after = lambda call: weather.monitor.after(call, self)

    def look(self, weather):
        self.saw, self.served = weather.monitor.changes, weather.world.shares()


class Weather:
    """One episode."""

    def __init__(self, seed, *, looks=250, targets=TARGETS):
        self.chance = chance = random.Random(seed)
        self.traits = chance.choice(targets)
        self.plan = drawn(chance, self.traits)
        bad = VariantBehaviour(error_rate=chance.choice([0.02, 0.3, 0.9]))
        behaviours = {"champion": HEALTHY, "challenger": bad if chance.random() < 0.1 else HEALTHY}
        self.world = World(
            self.traits,
            self.plan.spec,
            split=self.plan.initial,
            per_minute=chance.choice([0, 60, 600]) if chance.random() < 0.2 else 1200,
            behaviours=behaviours,
            aliases={("ranker", "champion"): 1, ("ranker", "challenger"): 2},
        )
        self.baton = threading.Semaphore(0)
        self.violations, self.looks, self.most = [], 0, looks
        self.chaos, self.sick = True, chance.random() < 0.3
        self.stops = (
            chance.random() < 0.5
        )  # half of the episodes stop controllers directly before their calls
        self.monitor = Monitor(self)
        self.ann = Person(self)
        self.store = self.ann.ports.state
        documents.begin(
            self.store,
            "ranker",
            lambda number: replace(begun(self.plan, self.world.now()), id=number),
        )
        self.processes = [
            Process(self, number)
            for number in range(chance.choice([2, 3] if self.stops else [1, 2, 3]))
        ]

    def play(self):
        """Bad weather for so many looks, then calm until the rollout is over."""
        try:
            deadline = None
            while not self.over():
                if self.chaos and (self.looks >= self.most or self.violations):
                    self.chaos = False
                    self.world.outage = False
                    deadline = self.world.now() + timedelta(hours=12)
                if deadline is not None and self.world.now() > deadline:
                    state = documents.read(self.store, "ranker").state
                    self.broken("it ends", f"{state.phase} {state.stage} for hours")
                    break
                if deadline is not None:
                    self.answer()
                self.step()
            while any(process.until for process in self.processes):  # those who sleep still wake up
                self.wake()
                self.world.advance(5 * SECOND)
            self.monitor.finish()
        finally:
            for process in self.processes:
                process.end()
        return self

    def answer(self):
        """In calm weather a person says what is waited for."""
        state = documents.read(self.store, "ranker").state
        if state.wish.pause is not None:
            self.wish("resume")
        elif state.phase == "waiting" and not (state.wish.promote and state.wish.promote.because):
            self.wish("promote", because="go on")

    def over(self):
        stored = documents.read(self.store, "ranker")
        return stored is not None and stored.state.released and not stored.state.outbox

    def step(self):
        self.wake()
        if self.chaos:
            self.happen()
        now = self.world.now()
        ready = [
            process for process in self.processes if process.until is None and process.next <= now
        ]
        if ready and self.chance.random() < 0.7:
            process = self.chance.choice(ready)
            self.looks += 1
            process.run()
        else:
            self.world.advance(self.chance.choice([1, 5, 10, 10, 30, 61]) * SECOND)
        self.monitor.passing()

    def wake(self):
        for process in self.processes:
            if process.until is not None and process.until <= self.world.now():
                process.run()

    def look(self, process):
        process.next = self.world.now() + 10 * SECOND
        try:
            remembered, process.remembered = process.remembered, None
            result = controller.look(
                process.ports,
                "ranker",
                holder=process.holder,
                clock=self.world.now,
                remembered=remembered,
            )
        except Throttled:
            return  # the document itself could not be read
        process.remembered = result.stored
        process.next = self.world.now() + (0 if result.again else 10) * SECOND

    def happen(self):
        """Other people and other things."""
        chance, fleet, dice = self.chance, self.world.fleet, self.chance.random()
        if dice < 0.0006:
            self.wish("abort")
            if chance.random() < 0.5:  # and at once, whoever drives
                controller.look(
                    self.ann.ports, "ranker", holder="ann", clock=self.world.now, seize=True
                )
        elif dice < 0.004:
            self.wish(chance.choice(["promote", "pause"]), because=chance.choice(["", "I know"]))
        elif dice < 0.010:
            self.wish("resume")
        elif dice < 0.012:
            self.monitor.outside()
            alone = {"champion": Decimal(100)}
            self.world.set_split(
                split(chance.choice([0, 5, 50, 90, 100]))
                if "challenger" in fleet.variants
                else alone
            )
        elif dice < 0.014 and "challenger" in fleet.variants and not fleet.updating:
            self.monitor.outside()
            before = self.monitor.targets()
            self.world.set_split(split(77))
            self.world.set_split(before)  # a change and its way back between two looks
        elif dice < 0.017:
            fleet.rollbacks = chance.choice([1, 2, 7])
        elif dice < 0.020 and not fleet.updating:
            self.monitor.outside()
            fleet.occupy(chance.choice([30, 240, 400]) * SECOND)
        elif dice < 0.023:
            self.world.outage = not self.world.outage
        elif dice < 0.025 and self.sick and "challenger" in fleet.variants:
            self.world.behave(
                "challenger", chance.choice([HEALTHY, FAILING, VariantBehaviour(error_rate=0.015)])
            )
        elif dice < 0.028:
            self.nobody_looks()
        elif dice < 0.030:
            self.world.traffic.per_minute = chance.choice([0, 60, 600, 1200])

    def nobody_looks(self):
        """For a while; what is sick breaks then, also when the bake is just over."""
        end = self.monitor.state.bake_until
        if end is not None and end > self.world.now() and self.chance.random() < 0.5:
            self.world.advance(end - self.world.now())
        if self.sick and "challenger" in self.world.fleet.variants:
            self.world.behave("challenger", FAILING)
        self.world.advance(self.chance.randint(5, 40) * MINUTE)

    def wish(self, verb, because=""):
        if not self.over():
            wishes.ask(
                self.store, "ranker", verb, who="ann", wished_at=self.world.now(), because=because
            )

    # what can happen at a call

    def reading(self, process):
        def hook(call):
            if call.mutating:
                return
            if self.chaos and self.chance.random() < 0.003:
                raise Throttled("slow down")
            if not self.stops:
                self.maybe_held(process, 0.004)
            if call.operation == "endpoints.observe":
                process.saw, process.served = self.monitor.changes, self.world.shares()
            elif call.resource == "split/ranker":
                process.served = self.world.shares()  # the rest of the same look

        return hook

    def before(self, process):
        def hook(call):
            if self.chaos and self.chance.random() < 0.01:
                raise (
                    Busy("in mid-change")
                    if call.operation in EFFECTS[:2] and self.chance.random() < 0.5
                    else Throttled("slow down")
                )
            if self.stops and (call.operation in EFFECTS or call.resource == "split/ranker"):
                another = any(other.until for other in self.processes)
                self.maybe_held(process, 0.1 if another else 0.5, effect=True)
            else:
                self.maybe_held(process, 0.005 if self.stops else 0.02)
            self.monitor.before()

        return hook

    def after(self, process):
        def hook(call):
            self.monitor.after(call, process)
            if self.chaos and self.chance.random() < 0.01:
                raise self.chance.choice([Killed(), OutcomeUnknown("no reply")])

        return hook

    def maybe_held(self, process, probability, *, effect=False):
        if not self.chaos or self.chance.random() >= probability:
            return
        if self.chance.random() < (0.1 if self.stops else 0.4):
            raise Killed
        longest = self.chance.choice(SLEEPS)
        if effect and self.chance.random() < 0.4:
            self.wish(
                "abort"
            )  # what is late now is against what is meant, and comes as late as it can
            longest = max(SLEEPS)
        process.hold(
            self.world.now() + (longest if effect else self.chance.randint(1, longest)) * SECOND
        )

    def broken(self, promise, what):
        self.violations.append(
            Violation(promise, f"{self.world.now():%H:%M:%S} {self.traits.name}: {what}")
        )


def drawn(chance, traits):
    """A plan of short bakes, for which a target's metrics are not too late."""
    least = int(traits.metrics_delay / MINUTE) + 2
    shares = [*sorted(chance.sample([25, 40, 50, 75], chance.randint(0, 2))), 100]
    stages = tuple(
        RolloutStep(
            traffic=Decimal(share),
            bake=chance.randint(least, least + 4) * MINUTE,
            pause=chance.random() < 0.1,
        )
        for share in shares
    )
    limits = (
        Guardrail(metric="error_rate", max=0.01),
        Guardrail(metric="error_rate", max_ratio=2, dry_run=chance.random() < 0.2),
    )
    return plan(
        traits,
        stages=stages,
        guardrails=limits[: chance.choice([1, 2, 2])],
        failure_limit=chance.choice([1, 2]),
        on_drift=chance.choice(["correct", "correct", "pause", "abort"]),
        on_no_data=Hold(hold=10 * MINUTE, then=chance.choice(["abort", "pause"])),
        on_inconclusive=Hold(then=chance.choice(["abort", "pause"])),
        capacity=chance.choice(["scale", "keep"]),
        promote_alias=chance.choice(["champion", "champion", None]),
        remove_old=chance.choice([0, 5, 20]) * MINUTE,
    )


def episode(seed, **options):
    """One rollout in weather of its own."""
    return Weather(seed, **options).play()
