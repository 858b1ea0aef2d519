"""Sensitivity of guardrails: the smallest change that one finds in a step, nine times in ten. Pure.

It is quick. The evidence of errors is judged as it stands when the last checks running begin: what
is found before is not counted, so a little more is found than is said. Latencies are followed
minute by minute.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from itertools import pairwise
from statistics import NormalDist

import msgspec

from ...endpoints.port import Bucket
from ...project.rollouts.guardrails import METRICS
from ...project.specs.description import Guardrail
from ..state.states import RolloutPlan
from . import statistics
from .guardrails import needed_evidence
from .measurements import LEAST_MINUTES, RATE_TESTS, latency
from .statistics import Counts

OFTEN = 0.9
_MOST_TIMES = 1000.0
_NORMAL = NormalDist()
_POINTS = [(i + 0.5) / 9 for i in range(9)]  # of a distribution, equally likely


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """The traffic of an endpoint, and its old variant's errors and latencies of late."""

    per_minute: float  # requests, of all variants
    error_rate: dict[str, float] = {}  # by metric
    # by latency metric: `spread_of` its minutes; a metric that is absent is not foreseen
    spread: dict[str, float] = {}


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A step as far as it matters for what a guardrail finds."""

    share: float  # the new variant's part, from 0 to 1
    minutes: int
    needed: float  # the evidence that fails (guardrails.needed_evidence)
    running: int  # checks that must fail one after the other


def traffic_of(minutes: Mapping[str, Sequence[Bucket]], old: str) -> Traffic | None:
    """Summarise metrics by minute as the traffic on which guardrails can be forecast.

    None if the old variant, `old`, has no requests.
    """
    buckets = minutes.get(old, ())
    if not buckets:
        return None
    requests = sum(bucket.requests for bucket in buckets)
    servers = sum(bucket.server_errors for bucket in buckets)
    clients = sum(bucket.client_errors for bucket in buckets)
    starts = [bucket.start for variant in minutes.values() for bucket in variant]
    length = (max(starts) - min(starts)) // timedelta(minutes=1) + 1
    spreads = {
        name: spread_of(buckets, name)
        for name, metric in METRICS.items()
        if metric.kind == "latency"
    }
    return Traffic(
        per_minute=sum(bucket.requests for variant in minutes.values() for bucket in variant)
        / length,
        error_rate={
            "error_rate": (servers + clients) / requests,
            "server_error_rate": servers / requests,
        },
        spread={name: spread for name, spread in spreads.items() if spread is not None},
    )


def spread_of(buckets: Sequence[Bucket], metric: str) -> float | None:
    """Return how much a latency metric varies between minutes; None for too few of them.

    10 minutes need enough requests. It is the standard deviation of its logarithm times the root of
    the minute's requests, from the differences between neighbours.
    """
    figures = [
        (bucket.requests, latency(bucket, metric))
        for bucket in buckets
        if bucket.requests >= METRICS[metric].least
    ]
    minutes = [(requests, figure) for requests, figure in figures if figure > 0]
    if len(minutes) < 10:
        return None
    squares = [
        math.log(after / earlier) ** 2 / (1 / n + 1 / m)
        for (n, earlier), (m, after) in pairwise(minutes)
    ]
    return math.sqrt(sum(squares) / len(squares))


def foresight(plan: RolloutPlan, guardrail: Guardrail, traffic: Traffic) -> str:
    """Return a sentence on the smallest change that a guardrail is likely to detect.

    An example is `at 600/min sees 3 % or more in step 1, nine times in ten`, for the first step in
    which the guardrail detects anything.
    """
    rate_text, kind = f"at {traffic.per_minute:,.0f}/min", METRICS[guardrail.metric].kind
    if sight := _detectable_change(plan, guardrail, traffic):
        return f"{rate_text} {sight}"
    if kind == "latency" and not _is_judged(plan, guardrail, guardrail.metric, traffic):
        return f"{rate_text} {_too_few_requests(plan, guardrail, traffic)}"
    if kind == "score" or (kind == "latency" and guardrail.metric not in traffic.spread):
        return "what it sees is not foreseen"
    if kind == "latency":
        return f"{rate_text} sees nothing that is not far beyond its limit"
    return f"{rate_text} sees only what is broken outright"


def _detectable_change(plan: RolloutPlan, guardrail: Guardrail, traffic: Traffic) -> str:
    """Return a clause on the smallest change that a guardrail detects, and in which step.

    It is for the first step in which it detects anything; "" if there is none.
    """
    needed = needed_evidence(plan.false_alarm, plan.guardrails, len(plan.stages))
    for number, stage in enumerate(plan.stages, 1):
        if guardrail.max is None and stage.traffic == 100:
            continue
        minutes = stage.bake // timedelta(minutes=1)
        step = Step(
            share=float(stage.traffic) / 100,
            minutes=minutes,
            needed=needed,
            running=plan.failure_limit,
        )
        if (value := smallest(guardrail, step, traffic)) is not None:
            return f"sees {_amount(guardrail, value)} or more in step {number}, nine times in ten"
    return ""


def _amount(guardrail: Guardrail, value: float) -> str:
    """Format a guardrail's value with its unit, as text: `1.3x`, `120 ms` or `3 %`."""
    if guardrail.max is None:
        return f"{value:.2g}x"
    return (
        f"{value:.3g} ms" if METRICS[guardrail.metric].kind == "latency" else f"{100 * value:.2g} %"
    )


def _too_few_requests(plan: RolloutPlan, guardrail: Guardrail, traffic: Traffic) -> str:
    """Return a sentence that no minute has enough requests for a latency guardrail.

    It names another latency percentile that could be judged with this traffic.
    """
    others = [
        name
        for name, about in METRICS.items()
        if about.kind == "latency" and _is_judged(plan, guardrail, name, traffic)
    ]
    instead = max(others, key=lambda name: METRICS[name].least, default=None)
    none = (
        f"no minute has {METRICS[guardrail.metric].least} "
        f"requests{' of both' if guardrail.max is None else ''}"
    )
    return (
        f"{none}: {instead} can be judged" if instead else f"{none}, nor enough for another latency"
    )


def _is_judged(plan: RolloutPlan, guardrail: Guardrail, metric: str, traffic: Traffic) -> bool:
    """Return whether a minute of average traffic has enough requests to judge a latency metric.

    The step in which the guardrail has the most requests counts.
    """
    shares = [float(stage.traffic) / 100 for stage in plan.stages]
    parts = (min(share, 1 - share) if guardrail.max is None else share for share in shares)
    return max(parts) * traffic.per_minute >= METRICS[metric].least


def smallest(guardrail: Guardrail, step: Step, traffic: Traffic) -> float | None:
    """Return the smallest value of a metric that its guardrail is likely to detect in a step.

    It is an error rate, milliseconds, or a multiple of the old variant's value; None if nothing can
    be predicted.
    """
    new, old = traffic.per_minute * step.share, traffic.per_minute * (1 - step.share)
    compared = guardrail.max is None
    if METRICS[guardrail.metric].kind == "score":
        return None
    if METRICS[guardrail.metric].kind == "latency":
        spread = traffic.spread.get(guardrail.metric)
        return None if spread is None else _latency(guardrail, step, new, old, spread)
    if compared:
        return _times_above(
            guardrail.limit, step, new, old, traffic.error_rate.get(guardrail.metric, 0.0)
        )
    return _rate_above(guardrail.limit, step, new)


def _rate_above(limit: float, step: Step, new: float) -> float | None:
    """Return the smallest error rate above an absolute limit that a step is likely to detect.

    `new` is the new variant's requests a minute. None if no rate up to 50 % is detected.
    """
    minutes = step.minutes - step.running + 1
    requests = round(new * minutes)
    if minutes < 1 or requests < 1:
        return None

    def log_evidence(phi: float, errors: int) -> float:
        return statistics.limit_evidence([Counts(requests, errors)], limit, phi)

    least = [
        _fewest_errors(partial(log_evidence, phi), requests, RATE_TESTS * step.needed)
        for phi in _dispersions(minutes)
    ]

    def power(rate: float) -> float:
        return _mean(_at_least(errors, rate * requests) for errors in least) * _failing_minutes(
            minutes, new * rate
        )

    return _smallest_effect(power, limit, 0.5)


def _times_above(ratio: float, step: Step, new: float, old: float, base: float) -> float | None:
    """Return the smallest ratio of error rates that a step is likely to detect, or None.

    It is the new variant's rate over the old one's, above the limit `ratio`; `base` is the old
    one's rate, `new` and `old` are requests a minute.
    """
    minutes = step.minutes - step.running + 1
    requests, others = round(new * minutes), round(old * minutes)
    if minutes < 1 or requests < 1 or not base:
        return None
    likely = [
        max(0, round(base * others + _NORMAL.inv_cdf(point) * math.sqrt(base * others)))
        for point in _POINTS
    ]
    failing = max(LEAST_MINUTES, round(minutes * -math.expm1(-base * (new * ratio + old))))

    def log_evidence(phi: float, errors_of_old: int, errors: int) -> float:
        return statistics.ratio_evidence(
            [(Counts(requests, errors), Counts(others, errors_of_old))], ratio, phi
        )

    least = [
        _fewest_errors(partial(log_evidence, phi, other), requests, RATE_TESTS * step.needed)
        for phi in _dispersions(failing)
        for other in likely
    ]

    def power(times: float) -> float:
        rate = times * base
        return _mean(_at_least(errors, rate * requests) for errors in least) * _failing_minutes(
            minutes, new * rate + old * base
        )

    return _smallest_effect(power, ratio, min(_MOST_TIMES, 0.5 / base))


def _latency(
    guardrail: Guardrail, step: Step, new: float, old: float, spread: float
) -> float | None:
    """Return the smallest latency that a guardrail is likely to detect in a step, or None.

    It is in ms, or a multiple of the old variant's. `new` and `old` are requests a minute, and
    `spread` is how much the latency varies.
    """
    least, alone = METRICS[guardrail.metric].least, guardrail.max is not None
    counting = _at_least(least, new) * (1.0 if alone else _at_least(least, old))
    minutes = int(step.minutes * counting)
    chance = (
        _smallest_effect(lambda above: _sign_power(above, minutes, step), 0.5, 1.0)
        if minutes >= LEAST_MINUTES
        else None
    )
    if chance is None:
        return None
    noise = spread * math.sqrt(1 / new + (0.0 if alone else 1 / old))
    return guardrail.limit * math.exp(noise * _NORMAL.inv_cdf(min(chance, 1 - 1e-9)))


def _sign_power(above: float, minutes: int, step: Step) -> float:
    """Return how likely a sign test over so many minutes fails often enough to end a step.

    `above` is the probability that a minute is above the limit.
    """
    threshold = math.log(step.needed)
    going = {(0, 0): 1.0}  # (minutes above, checks running that failed) -> chance
    ended = 0.0
    for minute in range(1, minutes + 1):
        later: dict[tuple[int, int], float] = {}
        for (count, running), chance in going.items():
            for more, part in ((1, above), (0, 1 - above)):
                fails = (
                    minute >= LEAST_MINUTES
                    and statistics.sign_evidence(count + more, minute) >= threshold
                )
                state = (count + more, running + 1 if fails else 0)
                if state[1] >= step.running:
                    ended += chance * part
                else:
                    later[state] = later.get(state, 0.0) + chance * part
        going = later
    return ended


def _dispersions(minutes: int) -> list[float]:
    """Return equally likely estimates of the dispersion of independent errors, each at least 1.

    They are half the mean square of successive differences (von Neumann 1941) over so many minutes.
    """
    width = math.sqrt((3 * minutes - 4) / (minutes - 1) ** 2) if minutes > 1 else 0.0
    return [max(1.0, 1 + width * _NORMAL.inv_cdf(point)) for point in _POINTS]


def _failing_minutes(minutes: int, errors: float) -> float:
    """Return the probability that enough minutes have an error for a test to be able to fail.

    `errors` is a minute's expected number of errors.
    """
    part = -math.expm1(-errors)
    fewer = sum(
        math.comb(minutes, count) * part**count * (1 - part) ** (minutes - count)
        for count in range(min(LEAST_MINUTES, minutes + 1))
    )
    return 1 - fewer


def _at_least(count: float, mean: float) -> float:
    """Return the probability that a Poisson variable is at least `count`.

    It is approximated by Anscombe's square root (1948).
    """
    return (
        1.0
        if count <= 0
        else _NORMAL.cdf(2 * math.sqrt(mean + 0.125) - 2 * math.sqrt(count - 0.125))
    )


def _fewest_errors(log_evidence: Callable[[int], float], most: int, needed: float) -> int:
    """Return the fewest errors whose evidence makes the test fail; `most` + 1 if none do.

    `log_evidence` is the logarithm of the evidence for a number of errors; `needed` is what it must
    reach.
    """
    low, high = 0, most + 1
    while low < high:
        middle = (low + high) // 2
        low, high = (
            (low, middle) if log_evidence(middle) >= math.log(needed) else (middle + 1, high)
        )
    return low


def _smallest_effect(power: Callable[[float], float], low: float, high: float) -> float | None:
    """Return the smallest effect from `low` to `high` that a test detects with enough power.

    `power` is the probability that an effect is detected. It is searched by bisection; None if even
    `high` is not detected.
    """
    if low >= high or power(high) < OFTEN:
        return None
    while high > low * 1.001:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if power(middle) >= OFTEN else (middle, high)
    return high


def _mean(values: Iterable[float]) -> float:
    """Return the arithmetic mean of numbers."""
    numbers = tuple(values)
    return sum(numbers) / len(numbers)
