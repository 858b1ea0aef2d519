"""Whole rollouts on simulated minutes, decided by `tick` alone, and how they end.

For the tests and benchmarks/rollouts/rollout_ends.py. The target follows at once and nothing else
happens, so how a rollout ends hangs on its guardrails and its traffic.
"""

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from msgspec.structs import replace

from isthmus.endpoints.port import Bucket
from isthmus.rollouts.evidence.lulls import expected_pace
from isthmus.rollouts.state.states import Observation
from isthmus.rollouts.tick import tick

from ..engine import ticks
from ..scene import MINUTE, START, begun

TEN = 10  # minutes of which one has all of the traffic, where it comes in bursts
LONGEST = timedelta(days=7)
REASONS = ("kept", "asks", "harm", "no data")
COMES = ("steady", "bursts", "random bursts")


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """What reaches an endpoint, and what the new variant does otherwise than the old one."""

    per_minute: int = 20  # on average
    comes: str = "steady"
    errors: float = 0.002
    more_errors: float = 0.0  # part of the new variant's requests that fail beside these
    slower: float = 1.0

    def expected(self, random, minute):
        """The expected requests of a minute."""
        if self.comes == "steady":
            return self.per_minute
        burst = minute % TEN == 0 if self.comes == "bursts" else random.random() < 1 / TEN
        return TEN * self.per_minute * burst


@dataclass(frozen=True, kw_only=True)
class Ending:
    """The end of a rollout: `why` is "" where it was promoted, and not taken back after that."""

    stage: int
    why: str
    asks: bool  # it waits for a person
    minutes: int
    failed: int  # requests of the new variant
    failed_before_verdict: int  # ... that were settled a minute before the first check failed

    @property
    def reason(self):
        """One of REASONS."""
        if not self.why:
            return "kept"
        if self.asks:
            return "asks"
        return "no data" if self.why == "no data" else "harm"


def rollout(plan, traffic, random):
    """Return how one rollout ends."""
    plan = replace(plan, capacity="keep", promote_alias=None)
    shift, now, failed, verdict = int(random.integers(TEN)), START, [0], None
    before = {plan.source: tuple(hour_before(traffic, shift, random))}
    state = begun(plan, START, pace=expected_pace(plan, before))
    minutes = {plan.source: (), plan.to: ()}
    while now < START + LONGEST:
        bake = state.bake_from
        state = decided(state, minutes, now)
        if verdict is None and (
            state.phase == "aborting"
            or any(tally.check.verdict == "fail" for tally in state.checks.values())
        ):
            verdict = sum(failed[:-1])
        if state.phase in ("aborting", "waiting", "handing"):
            asks = state.phase == "waiting"
            return Ending(
                stage=state.stage,
                why=state.outbox[-1].why if asks else state.cause,
                asks=asks,
                minutes=(now - START) // MINUTE,
                failed=sum(failed),
                failed_before_verdict=sum(failed) if verdict is None else verdict,
            )
        if state.bake_from != bake:
            minutes = {plan.source: (), plan.to: ()}
        state = replace(state, outbox=())
        share = float(state.intent[plan.to]) / 100
        expected = traffic.expected(random, (now - START) // MINUTE + shift)
        new = bucket(traffic, now, random, expected * share, new=True)
        old = bucket(traffic, now, random, expected * (1 - share), new=False)
        for name, of in ((plan.to, new), (plan.source, old)):
            minutes[name] += (of,) if of.requests else ()
        failed.append(new.server_errors)
        now += MINUTE
    raise AssertionError(f"no end after {LONGEST}")


def hour_before(traffic, shift, random):
    """The minutes with requests of the hour before a rollout, which its start reads."""
    for number in range(-60, 0):
        expected = traffic.expected(random, number + shift)
        of = bucket(traffic, START + number * MINUTE, random, expected, new=False)
        if of.requests:
            yield of


def decided(state, minutes, now):
    """Look until nothing is to be done, at a target that serves what it was told."""
    while True:
        observed = Observation(
            endpoint=ticks.endpoint(int(state.intent["challenger"])),
            owner="ours",
            settled=now,
            minutes=minutes,
        )
        state, actions = tick(state, observed, now, holder="a")
        if not actions or state.phase in ("aborting", "handing"):
            return state


def bucket(traffic, start, random, expected, *, new):
    """One variant's minute: requests by Poisson, errors by chance, p90 of log-normal latencies."""
    requests = int(random.poisson(expected)) if expected else 0
    rate = min(traffic.errors + traffic.more_errors * new, 1.0)
    ms = 10.0 * (traffic.slower if new else 1.0)
    if requests:
        ms *= float(np.quantile(random.lognormal(0, 0.5, requests), 0.9))
    return Bucket(
        start=start,
        requests=requests,
        client_errors=0,
        server_errors=int(random.binomial(requests, rate)),
        mean_ms=ms,
        p50_ms=ms,
        p90_ms=ms,
        p99_ms=ms,
    )
