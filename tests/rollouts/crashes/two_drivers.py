"""Two processes that drive one rollout at once.

At random points one is killed, or both, or one is held still while the other goes on.

A process of another name takes the place of one that was killed. `Duel(rollouts, seed,
kills).play()` judges at each point, and at the end.
"""

import random
from contextlib import ExitStack
from datetime import timedelta
from decimal import Decimal

from isthmus.endpoints.traffic import owner
from isthmus.rollouts.state import documents
from isthmus.rollouts.state.convergence import serving_split, target_split
from isthmus.tests.conformance.toy_models import settled
from isthmus.tests.rollouts.crashes.crashes import without_late
from isthmus.tests.rollouts.crashes.killed_drivers import FIRST, decisions, judged

HOLDS = (
    20,
    100,
    290,
)  # seconds: within a lease, after it, and nearly as long as an ended rollout watches for late calls
SECOND = timedelta(seconds=1)
KINDS = 50  # of points (what, in which phase) that a rollout passes


class Driver:
    """A process that waits to be told the time. `ready`: when it goes on."""

    def __init__(self, rollouts, ready):
        self.rollouts, self.ready = rollouts, ready
        self.process = rollouts.start_process()

    def go(self):
        """On to the next point: what it is about to do, or has done; "": it has ended."""
        self.rollouts.tell_the_time(self.process)
        return self.process.stdout.readline().strip()

    def kill(self):
        with self.process:
            self.process.kill()


class Duel:
    """`kills`: how many processes are killed, and how many held, at the most; `shares`: what the
    new variant may be told to have.
    """

    def __init__(self, rollouts, seed, *, kills, fails):
        self.rollouts, self.chance, self.kills, self.fails = (
            rollouts,
            random.Random(seed),
            kills,
            fails,
        )
        self.killed, self.held, self.passed, self.history = [], [], set(), {}
        stages = {stage.traffic for stage in rollouts.plan.stages}
        self.shares = {
            Decimal(0),
            Decimal(90),
            FIRST["challenger"],
            *stages,
        }  # 90: while the promoted version is handed over
        self.drivers, self.phase = [], "starting"

    def play(self):
        """The rollout's end; where processes were killed and held stays in `killed` and `held`, as
        (what, phase).
        """
        self.rollouts.begin(fails=self.fails)
        with ExitStack() as stack:
            stack.callback(lambda: [driver.kill() for driver in self.drivers])
            self.drivers = [Driver(self.rollouts, self.rollouts.now) for _ in range(2)]
            while self.drivers:
                self.step()
        return self.judge()

    def step(self):
        rollouts = self.rollouts
        now = min(driver.ready for driver in self.drivers)
        driver = self.chance.choice([driver for driver in self.drivers if driver.ready == now])
        if now > rollouts.now:
            rollouts.advance(now - rollouts.now)
        if not (what := driver.go()):
            self.drivers.remove(driver)
            assert driver.process.wait() == 0
            driver.kill()
            return
        what, _, seconds = what.partition(" ") if what.startswith("sleep") else (what, "", "0")
        driver.ready = rollouts.now + float(seconds) * SECOND
        if what != "sleep":  # before it nothing was changed that was not looked at
            self.look(what)
        point = (what, self.phase)
        first = point not in self.passed
        self.passed.add(point)
        if len(self.killed) < self.kills and self.falls_on(point, self.killed, first=first):
            both = len(self.killed) + 1 < self.kills and self.chance.random() < 0.3
            for dying in list(self.drivers) if both else [driver]:
                self.replace(dying, point)
        elif len(self.held) < self.kills and self.falls_on(point, self.held, first=first):
            self.held.append(point)
            driver.ready = rollouts.now + self.chance.choice(HOLDS) * SECOND

    def falls_on(self, point, before, *, first):
        """Whether it is this one's turn: by chance when a kind of point is first passed, and if
        need be when the rollout is nearly over.
        """
        what, phase = point
        often = 4 if what == "before endpoints.shift" else 1
        late = not before and phase in ("handing", "aborting")
        return late or (first and self.chance.random() < often * self.kills / KINDS)

    def replace(self, driver, point):
        driver.kill()
        self.killed.append(point)
        self.drivers.remove(driver)
        self.drivers.append(
            Driver(self.rollouts, self.rollouts.now + self.chance.randrange(30) * SECOND)
        )
        self.check_documents()

    def look(self, what):
        """Where a shift is fenced, the traffic never rises above what is durable at that moment."""
        state, endpoint = self.rollouts.state, self.rollouts.endpoints.observe("ranker")
        told = target_split(endpoint).get("challenger", Decimal(0))
        assert told in self.shares, f"{what}: {told} is no step of the plan"
        if self.rollouts.traits.fenced:
            assert told <= max(self.rollouts.told, state.intent.get("challenger", Decimal(0)))
        self.rollouts.told, self.phase = told, state.phase

    def check_documents(self):
        """What the history once said it says for ever, each epoch has one driver, and nobody but
        the rollout owns the traffic.
        """
        store, state = self.rollouts.target.state, self.rollouts.state
        history = {entry.seq: entry for entry in documents.history(store, state)}
        assert self.history.items() <= history.items()
        assert list(history) == list(range(1, len(history) + 1))
        drivers = {
            entry.epoch: entry.who for entry in history.values() if entry.who.startswith("driver")
        }
        assert all(entry.who in (drivers.get(entry.epoch), "ann") for entry in history.values()), (
            history
        )
        claim = owner.read(store, "ranker")
        assert (
            claim is None or claim.owner.owner == "none" or claim.owner.is_of("rollout", state.id)
        )
        self.history = history

    def judge(self):
        """It ends as if nobody had died: nothing is half done, the split is the plan's.

        What came late where nothing fences was undone.
        """
        rollouts = self.rollouts
        self.check_documents()
        state, history, served = rollouts.ended()
        endpoint = settled(rollouts.target)
        told = "\n".join(
            f"{entry.at:%H:%M:%S} {entry.who} {entry.what} {entry.why}" for entry in history
        )
        assert (state.released, state.outbox, state.lease.holder) == (True, (), ""), told
        assert owner.read(rollouts.target.state, "ranker").owner.owner == "none"
        assert (served, target_split(endpoint), serving_split(endpoint)) == (state.intent,) * 3, (
            told
        )
        assert {v.phase for v in endpoint.variants} == {"ready"}
        assert {v.name for v in endpoint.variants} == (
            {"champion"} if state.end == "promoted" else {"champion", "challenger"}
        ), told
        if not any(entry.what in ("drift", "late") for entry in history):
            return judged(rollouts, fails=self.fails)
        assert not rollouts.traits.fenced, told
        whole = rollouts.expected(fails=self.fails)
        assert state.end in (whole.state.end, "aborted"), told
        if state.end == whole.state.end:
            assert without_late(decisions(history)) == without_late(decisions(whole.entries)), told
        return state.end
