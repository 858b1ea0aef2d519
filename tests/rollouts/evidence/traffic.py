"""Simulated rollouts by the thousand, and our verdicts on all of them at once:

NumPy's twin of rollouts/evidence/statistics.py and measurements.py.

A test compares the twin with `judge`, check by check. Arrays are (rollouts, minutes) of one stage.
"""

from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from scipy.special import ndtri

from isthmus.endpoints.port import Bucket
from isthmus.project.specs.description import RolloutStep
from isthmus.rollouts.evidence.guardrails import judge
from isthmus.rollouts.evidence.measurements import (
    LEAST_MINUTES,
    OUTRIGHT_MINUTES,
    OUTRIGHT_PART,
    OUTRIGHT_REQUESTS,
    OUTRIGHT_TIMES,
)
from isthmus.rollouts.evidence.statistics import CHANCES, FACTORS

from ..scene import MINUTE
from .plans import START, plan

STEPS = ((0.05, 10), (0.25, 10), (0.5, 20))  # the new variant's part, minutes: 40 looks


@dataclass(frozen=True, kw_only=True)
class Minutes:
    """`new_ms` and `old_ms` are the figures of a latency guardrail."""

    new: np.ndarray
    new_errors: np.ndarray
    old: np.ndarray
    old_errors: np.ndarray
    new_ms: np.ndarray
    old_ms: np.ndarray


@dataclass(frozen=True, kw_only=True)
class World:
    """`pack`: errors come so many at once.

    `bad`: of so many minutes, one has ten times the errors, of both variants.
    """

    per_minute: int
    rate: float
    times: float = 1.0  # the new variant's error rate over the old one's
    slower: float = 1.0  # its latency over the old one's
    pack: int = 1
    bad: int = 0
    quantile: float = 0.9
    spread: float = 0.7  # of a latency's logarithm: p99 is five times the median


def stage(world, share, length, rollouts, random):
    shape = (rollouts, length)
    new, old = (
        random.poisson(world.per_minute * share, shape),
        random.poisson(world.per_minute * (1 - share), shape),
    )
    rate = np.full(shape, world.rate)
    if world.bad:
        rate *= np.where(random.random(shape) < 1 / world.bad, 10, 1)
    return Minutes(
        new=new,
        new_errors=_errors(new, np.minimum(rate * world.times, 1), world.pack, random),
        old=old,
        old_errors=_errors(old, rate, world.pack, random),
        new_ms=world.slower * _latency(new, world, random),
        old_ms=_latency(old, world, random),
    )


def even_stage(world, new, old, length, rollouts, random):
    """Latencies only, of so many requests in every minute of the new and the old variant."""
    counts = [np.full((rollouts, length), requests) for requests in (new, old)]
    return _latencies_only(counts, [_latency(n, world, random) for n in counts], world)


def mean_stage(world, new, old, length, rollouts, random):
    """The same of a latency's mean, drawn request by request."""
    counts = [np.full((rollouts, length), requests) for requests in (new, old)]
    means = [
        np.stack(
            [
                np.exp(world.spread * random.standard_normal((rollouts, n), np.float32)).mean(
                    axis=1
                )
                for _ in range(length)
            ],
            axis=1,
        )
        for n in (new, old)
    ]
    return _latencies_only(counts, means, world)


def _latencies_only(counts, figures, world):
    none = np.zeros(counts[0].shape, int)
    return Minutes(
        new=counts[0],
        new_errors=none,
        old=counts[1],
        old_errors=none,
        new_ms=world.slower * figures[0],
        old_ms=figures[1],
    )


def buckets(m, rollout):
    """One rollout's minutes as a MetricSource gives them: by variant.

    Minutes without requests do not exist.
    """

    def of(requests, errors, ms):
        return tuple(
            Bucket(
                start=START + minute * MINUTE,
                requests=int(n),
                client_errors=0,
                server_errors=int(e),
                mean_ms=x,
                p50_ms=x,
                p90_ms=x,
                p99_ms=x,
            )
            for minute, (n, e, x) in enumerate(
                zip(requests[rollout], errors[rollout], map(float, ms[rollout]), strict=True)
            )
            if n
        )

    return {
        "challenger": of(m.new, m.new_errors, m.new_ms),
        "champion": of(m.old, m.old_errors, m.old_ms),
    }


def differences(m, guardrails, fails, rollouts):
    """Checks of the first rollouts in which `judge` fails a guardrail and the twin does not, or the
    other way round.
    """
    stages = tuple(
        RolloutStep(traffic=Decimal(percent), bake=len(m.new[0]) * MINUTE)
        for percent in (5, 25, 50)
    )
    judged = plan(*guardrails, stages=stages)
    return sum(
        (check.verdict == "fail") != twin[rollout, look]
        for rollout in range(rollouts)
        for minutes in [buckets(m, rollout)]
        for look in range(m.new.shape[1])
        for check, twin in zip(
            judge(judged, minutes, {}, alone=False, settled=START + (look + 1) * MINUTE),
            fails,
            strict=True,
        )
    )


def _errors(requests, rate, pack, random):
    return (
        random.binomial(requests, rate)
        if pack == 1
        else np.minimum(requests, pack * random.poisson(requests * rate / pack))
    )


def _latency(requests, world, random):
    """A quantile of so many lognormal latencies, by its place among them: the k-th of n uniform
    numbers is a beta.
    """
    place = np.maximum(np.ceil(world.quantile * requests), 1)
    return np.exp(world.spread * ndtri(random.beta(place, np.maximum(requests + 1 - place, 1))))


def ratio_fails(m, ratio, needed):
    """(rollouts, looks): whether a check of `max_ratio` fails, by what came up to each look."""
    both = (m.new > 0) & (m.old > 0)
    n, e, old, old_e = (
        np.where(both, part, 0) for part in (m.new, m.new_errors, m.old, m.old_errors)
    )
    log_evidence = []
    for factor in FACTORS:
        terms = e * np.log(factor) + (e + old_e) * np.log(
            np.where(both, (ratio * n + old) / np.maximum(factor * ratio * n + old, 1), 1)
        )
        log_evidence.append(np.cumsum(terms, axis=1))
    phi = np.ones(n.shape)
    for look in range(n.shape[1]):
        seen = slice(0, look + 1)
        n_, e_, o_, f_ = n[:, seen], e[:, seen], old[:, seen], old_e[:, seen]
        with np.errstate(divide="ignore", invalid="ignore"):
            p = (e_.sum(1) / n_.sum(1))[:, None]
            q = (f_.sum(1) / o_.sum(1))[:, None]
            part = p * n_ / (p * n_ + q * o_)
            z = (e_ - (e_ + f_) * part) / np.sqrt((e_ + f_) * part * (1 - part))
        phi[:, look] = np.where((p[:, 0] > 0) & (q[:, 0] > 0), _dispersion(z, e_ + f_ > 0), 1)
    enough = np.cumsum(e + old_e > 0, axis=1) >= LEAST_MINUTES
    few_of_old = ratio * np.cumsum(old_e, axis=1) <= OUTRIGHT_PART * np.cumsum(old, axis=1)
    above = np.where(enough, _evidence(log_evidence, phi), -np.inf)
    most_fail = np.where(few_of_old, _most_fail(e, n, phi), -np.inf)
    return _either(above, most_fail, needed) | _outright(m, OUTRIGHT_PART)


def limit_fails(m, limit, needed):
    e, n = m.new_errors, m.new
    errors, requests = np.cumsum(e, axis=1), np.cumsum(n, axis=1)
    log_evidence = []
    for factor in FACTORS:
        rate = min(factor * limit, (1 + limit) / 2)
        log_evidence.append(
            errors * np.log(rate / limit) + (requests - errors) * np.log((1 - rate) / (1 - limit))
        )
    phi = np.ones(n.shape)
    for look in range(n.shape[1]):
        n_, e_ = n[:, : look + 1], e[:, : look + 1]
        with np.errstate(divide="ignore", invalid="ignore"):
            p = (e_.sum(1) / n_.sum(1))[:, None]
            z = (e_ - n_ * p) / np.sqrt(n_ * p * (1 - p))
        phi[:, look] = np.where((p[:, 0] > 0) & (p[:, 0] < 1), _dispersion(z, n_ > 0), 1)
    enough = np.cumsum(e > 0, axis=1) >= LEAST_MINUTES
    above = np.where(enough, _evidence(log_evidence, phi), -np.inf)
    proof = (
        _either(above, _most_fail(e, n, phi), needed)
        if limit <= OUTRIGHT_PART
        else above >= np.log(needed)
    )
    return proof | _outright(m, max(OUTRIGHT_PART, limit))


def _either(above, most_fail, needed):
    """Two tests share the false alarms: their mean is what proves."""
    return np.logaddexp(above, most_fail) - np.log(2) >= np.log(needed)


def _most_fail(errors, requests, phi):
    above, below = np.cumsum(errors, axis=1), np.cumsum(requests - errors, axis=1)
    log_evidence = np.logaddexp.reduce(
        [above * np.log(2 * chance) + below * np.log(2 * (1 - chance)) for chance in CHANCES],
        axis=0,
    ) - np.log(len(CHANCES))
    return log_evidence / phi


def sign_fails(m, ratio, needed, count):
    """`count`: requests of both that make a minute count."""
    counts = (m.new >= count) & (m.old >= count)
    above = counts & (m.new_ms / m.old_ms > ratio)
    minutes, beyond = np.cumsum(counts, axis=1), np.cumsum(above, axis=1)
    log_evidence = [
        beyond * np.log(2 * chance) + (minutes - beyond) * np.log(2 * (1 - chance))
        for chance in CHANCES
    ]
    fails = _evidence(log_evidence, np.ones(minutes.shape)) >= np.log(needed)
    far = counts & (m.new_ms / m.old_ms > OUTRIGHT_TIMES * ratio)
    running, outright = np.zeros(len(far)), np.zeros(far.shape, bool)
    for look in range(far.shape[1]):
        running = np.where(counts[:, look], np.where(far[:, look], running + 1, 0), running)
        outright[:, look] = running >= OUTRIGHT_MINUTES
    return fails | np.maximum.accumulate(outright, axis=1)


def z_fails(m, least=200):
    """The usual way: a one-sided two-proportion z-test at 5 %, at every look as if it were the only
    one.
    """
    n, e, old, old_e = (
        np.cumsum(part, axis=1) for part in (m.new, m.new_errors, m.old, m.old_errors)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        pooled = (e + old_e) / (n + old)
        z = (e / n - old_e / old) / np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / old))
    return (z > 1.6449) & (n >= least) & (old >= least)


def taken_back(fails, running=2):
    """(rollouts,): the minute, from 1, after which so many checks running had failed; 0: never."""
    together = np.ones(fails.shape, bool)
    for back in range(running):
        together[:, back:] &= fails[:, : fails.shape[1] - back]
        together[:, :back] = False
    return np.where(together.any(1), together.argmax(1) + 1, 0)


def _dispersion(z, counted):
    """The mean square of the differences between neighbours that count."""
    rollouts = len(z)
    last, squares, number = np.zeros(rollouts), np.zeros(rollouts), np.zeros(rollouts)
    for minute in range(z.shape[1]):
        on = counted[:, minute]
        squares += np.where(on & (number > 0), (z[:, minute] - last) ** 2, 0)
        last = np.where(on, z[:, minute], last)
        number += on
    return np.where(number > 1, np.maximum(squares / (2 * np.maximum(number - 1, 1)), 1), 1)


def _evidence(log_evidence, phi):
    """The logarithm of the alternatives' mean."""
    return np.logaddexp.reduce([part / phi for part in log_evidence], axis=0) - np.log(
        len(log_evidence)
    )


def _outright(m, part):
    """Two neighbours among the new variant's minutes with requests, most of which failed."""
    outright = np.zeros(m.new.shape, bool)
    zero = np.zeros(len(m.new))
    bad, n, old, old_e = zero > 0, zero, zero, zero
    for look in range(m.new.shape[1]):
        there = m.new[:, look] > 0
        now = there & (m.new_errors[:, look] > part * m.new[:, look])
        both = now & bad & (n + m.new[:, look] >= OUTRIGHT_REQUESTS)
        outright[:, look] = both & (old_e + m.old_errors[:, look] <= part * (old + m.old[:, look]))
        bad = np.where(there, now, bad)
        n, old, old_e = (
            np.where(there, a[:, look], b)
            for a, b in ((m.new, n), (m.old, old), (m.old_errors, old_e))
        )
    return np.maximum.accumulate(outright, axis=1)
