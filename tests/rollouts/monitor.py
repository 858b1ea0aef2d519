"""What was promised of a rollout, compared with what is written and done in the scripted world."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from isthmus.core.formats import decode
from isthmus.rollouts.evidence import guardrails
from isthmus.rollouts.state import documents
from isthmus.rollouts.state.convergence import is_split, settled_by
from isthmus.rollouts.state.states import HistoryEntry, RolloutState
from isthmus.rollouts.state.transitions import MOST_CALLS

judge = guardrails.judge  # of its own, also where a mutant replaces the engine's


class Monitor:
    """Compares what is written, and what is done, with what was promised.

    It sees the world's truth, not what controllers see.
    """

    def __init__(self, weather):
        self.weather, self.world = weather, weather.world
        self.state = None  # the durable document
        self.entries, self.keys, self.epochs, self.bakes = {}, {}, {}, {}
        self.changes = 0  # of the endpoint, by others
        self.started = self.blind = (
            0  # those from before the bake; the newest that our own touch may hide
        )
        self.changes_at_end = self.rolled_back_at_end = 0
        self.asked = {}  # before a call
        self.counts = Counter()
        self.raised, self.late = None, timedelta(0)  # by a call that came late

    def outside(self):
        """Somebody else changes the endpoint."""
        self.changes += 1
        if self.state.bake_from is not None and self.state.bake_token is None:
            self.blind = self.changes

    def before(self):
        self.asked = self.targets()

    def after(self, call, process):
        if call.operation == "endpoints.shift" or call.resource == "split/ranker":
            self.shifted()
        elif call.operation == "state.put":
            self.put(call, process)

    def targets(self):
        return self.world.requested_shares()

    def shifted(self):
        """(a, c): what a call of ours leaves is what is durable at this moment, or what was there
        before.
        """
        state, asked = self.state, self.targets()
        self.counts["shifts"] += 1
        if sum(asked.values()) != 100 or any(
            share % state.plan.resolution for share in asked.values()
        ):
            self.broken("a split sums to 100 and is representable", f"{asked}")
        if is_split(asked, state.intent, state.plan) or is_split(asked, self.asked, state.plan):
            return
        if state.plan.fenced:
            self.broken(
                "(a, c) no other split than the durable intent",
                f"{asked} for {state.intent} in {state.phase}",
            )
        elif asked.get("challenger", 0) > state.intent.get("challenger", 0):
            self.counts["late raises"] += 1
            self.raised = self.raised or self.world.now()

    def passing(self):
        """How long a late raise lasted."""
        if self.raised and self.world.shares().get("challenger", 0) <= self.state.intent.get(
            "challenger", 0
        ):
            self.late, self.raised = max(self.late, self.world.now() - self.raised), None

    def put(self, call, process):
        value = self.world.documents.values[call.resource].value
        if "/history/" in call.resource:
            if self.keys.setdefault(call.resource, value) != value:
                self.broken("(i) history is append-only", f"{call.resource} was written twice")
        elif call.resource == "rollouts/ranker":
            self.written(decode(value, RolloutState, what="the document"), value, process)

    def written(self, state, value, process):
        before, self.state = self.state, state
        self.counts["writes"] += 1
        if len(value) > documents.LARGEST:
            self.broken("the document stays small", f"{len(value)} bytes")
        for entry in state.outbox:
            if self.entries.setdefault(entry.seq, entry) != entry:
                self.broken(
                    "(i) history is append-only", f"entry {entry.seq} is another one by now"
                )
        if (
            state.lease.holder
            and self.epochs.setdefault(state.lease.epoch, state.lease.holder) != state.lease.holder
        ):
            self.broken("(c) one holder an epoch", f"epoch {state.lease.epoch}")
        if before is None:
            return
        if state.seq < before.seq or state.lease.epoch < before.lease.epoch:
            self.broken(
                "(a) the document moves forward",
                f"seq {before.seq} -> {state.seq}, epoch {before.lease.epoch}",
            )
        if state.phase in ("baking", "waiting"):
            self.bake(before, state, process)
        if before.phase in ("baking", "waiting") and (
            state.stage > before.stage or state.phase in ("promoted", "handing")
        ):
            self.stepped(before, state, process)
        if state.phase == "ended" != before.phase:
            self.changes_at_end, self.rolled_back_at_end = (
                self.changes,
                self.world.fleet.rolled_back,
            )
        self.abort(before, state)

    def bake(self, before, state, process):
        where, span = (state.stage, state.attempt), (state.bake_from, state.bake_until)
        if self.bakes.setdefault(where, span) != span:
            self.broken(
                "(d) no bake is shortened or begun again",
                f"step {where}: {self.bakes[where]} -> {span}",
            )
        if before.phase not in ("baking", "waiting") or before.attempt != state.attempt:
            self.started = process.saw
            self.counts["bakes"] += 1
            if not is_split(process.served, state.intent, state.plan):
                self.broken(
                    "(g) only after observed convergence", f"{process.served} for {state.intent}"
                )
        elif before.checks and state.checks and self.until(state) < self.until(before):
            self.broken(
                "(e) no minute is judged twice", f"{self.until(before)} -> {self.until(state)}"
            )

    def until(self, state):
        return min(tally.until for tally in state.checks.values())

    def stepped(self, before, state, process):
        """A step up: the time is over, the data are there and good, and nobody was there meanwhile."""
        entry = next((e for e in reversed(state.outbox) if e.what in ("step", "promoted")), None)
        if entry is None:
            self.broken(
                "(i) the history is whole", f"nothing tells of the step from {before.stage}"
            )
            return
        settled, asked = settled_by(state.plan, entry.at), before.wish.promote
        self.counts["steps"] += 1
        if settled < before.bake_until:
            self.broken(
                "(d) no bake is shortened",
                f"step {before.stage} at {entry.at:%H:%M:%S}, a bake until "
                f"{before.bake_until:%H:%M}",
            )
        if not (asked and asked.because):
            self.data(before, settled)
        if process.saw > max(self.started, self.blind):
            self.broken(
                "(d) drift begins a whole new bake",
                f"step {before.stage}: somebody was there in its bake",
            )

    def data(self, before, settled):
        """(h), by the world's own minutes, and by an evaluation of its own."""
        minutes = {
            variant: tuple(
                minute.bucket for minute in listed if before.bake_from <= minute.start < settled
            )
            for variant, listed in self.world.minutes.items()
        }
        alone = before.plan.stages[before.stage - 1].traffic == 100
        checks = judge(before.plan, minutes, {}, alone=alone, settled=settled)
        for check, guardrail in zip(checks, before.plan.guardrails, strict=True):
            if not guardrail.dry_run and check.verdict not in ("pass", "not judged"):
                self.broken(
                    "(h) only good data lead on",
                    f"step {before.stage}: {check.guardrail} {check.verdict}: {check.why}",
                )

    def abort(self, before, state):
        if before.wish.abort and not state.wish.abort:
            self.broken("(f) nothing takes an abort back", "the wish is gone")
        if before.phase == "aborting" and state.phase not in ("aborting", "ended"):
            self.broken("(f) an abort is monotone", f"aborting -> {state.phase}")
        if before.phase == "ended" != state.phase:
            self.broken("the end is the end", f"ended -> {state.phase}")
        wished = before.wish.abort is not None and before.phase not in ("handing", "ended")
        if (
            wished
            and before.intent
            and state.intent.get("challenger", 0) > before.intent["challenger"]
        ):
            self.broken("(f) abort beats promote", f"{before.intent} -> {state.intent}")
        if wished and state.end == "promoted":
            self.broken("(f) abort beats promote", "it was promoted")

    def finish(self):
        """Every entry is in the history, and nothing of ours came after the end."""
        state = self.state
        stored = {decode(value, HistoryEntry, what=key).seq for key, value in self.keys.items()}
        if missing := set(range(1, state.seq + 1)) - stored - {entry.seq for entry in state.outbox}:
            self.broken(
                "(i) the history is whole", f"{sorted(missing)} of {state.seq} are not there"
            )
        self.counts[f"end {state.end}"] += 1
        if (
            not state.released
            or not state.taken
            or state.end not in ("promoted", "aborted")
            or self.changes != self.changes_at_end
        ):
            return
        if state.sent > MOST_CALLS and self.world.fleet.rolled_back > self.rolled_back_at_end:
            self.counts["ends whose target went back each time"] += (
                1  # after six calls nobody asks any more: it may be meant
            )
        elif not is_split(self.world.shares(), state.intent, state.plan):
            self.broken(
                "what is late is undone",
                f"{self.world.shares()} after {state.end}, for {state.intent}",
            )
        named = self.world.models.aliases.get(("ranker", "champion"))
        if state.plan.promote_alias and named != (2 if state.end == "promoted" else 1):
            self.broken("what is late is undone", f"champion names {named} after {state.end}")

    def broken(self, promise, what):
        self.weather.broken(promise, what)
