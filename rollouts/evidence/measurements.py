"""Measurement of one guardrail from the minutes: figure, base, evidence. Pure.

It also says whether the new variant is broken outright.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median

import msgspec

from ...endpoints.port import Bucket
from ...project.rollouts.guardrails import METRICS
from ...project.specs.description import Guardrail
from . import statistics
from .statistics import Counts

# a silence is no data once it is so many times as long as the longest lull before it: three minutes
# where every minute has requests
LULLS = 3
# that count, of a sign test; with errors, before their packs can be told (but where most fail)
LEAST_MINUTES = 5
# Broken outright, which takes no statistics: more than this part of the requests fails in two
# minutes, neighbours among those with requests, which have so many together
OUTRIGHT_PART, OUTRIGHT_REQUESTS = 0.5, 20
RATE_TESTS = 2  # that share a rate's false alarms: against its limit, and that most requests fail
# ... or a latency is above so many times its limit in so many counting minutes running.
OUTRIGHT_TIMES, OUTRIGHT_MINUTES = 3, 5
SMALLEST_BASE = 1e-12  # of a mean score: nothing is relative to less

Figures = Mapping[datetime, tuple[int, float]]  # by minute: of how many requests, the figure


class Minutes(msgspec.Struct, frozen=True, kw_only=True):
    """The minutes of one variant."""

    buckets: Mapping[datetime, Bucket]
    scores: Figures


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """The measurement of one guardrail; None is an absent figure.

    `value` is compared with the guardrail's limit; `figure` and `base` are the two variants' own.
    """

    value: float | None
    figure: float | None
    base: float | None
    n: int  # requests of the new variant; of a sign test the minutes that count
    requests: int  # of the new variant, in minutes that can be judged however few there are
    beyond: int = 0  # of n, how many minutes are beyond the limit
    within: bool
    log_evidence: float
    sides: int = 1  # tests that share the false alarms
    missing: str  # what there is too little of for a pass, or ""
    hopeless: bool = False  # more requests like those so far do not bring what is missing
    outright: str  # in what it is broken outright, or ""


def measure(guardrail: Guardrail, new: Minutes, old: Minutes, settled: datetime) -> Measurement:
    """Measure a guardrail's metric for the new and the old variant.

    `new` and `old` are what each variant did in each minute; minutes before the time `settled` are
    final. The result has the value, the evidence that the limit is broken, and what data are
    missing.
    """
    kind = METRICS[guardrail.metric].kind
    if kind == "rate":
        return _rate(guardrail, _counts(guardrail, new), _counts(guardrail, old), settled)
    if kind == "latency":
        return _signs(
            guardrail, _latencies(guardrail, new), _latencies(guardrail, old), settled, _ratio
        )
    return _signs(guardrail, new.scores, old.scores, settled, _relative_difference)


def _rate(
    guardrail: Guardrail,
    new: Mapping[datetime, Counts],
    old: Mapping[datetime, Counts],
    settled: datetime,
) -> Measurement:
    """Measure an error rate against its limit, with the evidence that the limit is broken.

    `new` and `old` are the two variants' counts by minute; minutes before `settled` are final.
    """
    limit, alone = guardrail.limit, guardrail.max is not None
    pairs = [(new[minute], old[minute]) for minute in sorted(new.keys() & old.keys())]
    judged = [new[minute] for minute in sorted(new)] if alone else [count for count, _base in pairs]
    total, base = (
        _total(judged),
        _total(old.values() if alone else (other for _count, other in pairs)),
    )
    if alone:
        dispersion = statistics.limit_dispersion(judged)
        log_evidence = statistics.limit_evidence(judged, limit, dispersion)
        failing = sum(count.errors > 0 for count in judged)
    else:
        dispersion = statistics.ratio_dispersion(pairs)
        log_evidence = statistics.ratio_evidence(pairs, limit, dispersion)
        failing = sum(count.errors + other.errors > 0 for count, other in pairs)
    tests = [log_evidence if failing >= LEAST_MINUTES else -math.inf]
    if not alone or limit <= OUTRIGHT_PART:
        few_of_old = alone or base.errors * limit <= OUTRIGHT_PART * base.requests
        most_fail = statistics.sign_evidence(total.errors, total.requests) / dispersion
        tests.append(most_fail if few_of_old else -math.inf)
    figure = total.errors / total.requests if total.requests else None
    old_figure = base.errors / base.requests if base.requests else None
    value = (
        figure
        if alone
        else _ratio(figure, old_figure)
        if figure is not None and old_figure
        else None
    )
    return Measurement(
        value=value,
        figure=figure,
        base=old_figure,
        n=total.requests,
        requests=total.requests,
        within=total.errors == 0 or (value is not None and value <= limit),
        log_evidence=statistics.log_mean_exp(tests),
        missing=_too_few(guardrail, total.requests, None if alone else base.requests)
        or _no_requests_text(new, None if alone else old, settled),
        outright=_failing_outright(new, old, max(OUTRIGHT_PART, guardrail.max or 0.0)),
    )


def _signs(
    guardrail: Guardrail,
    new: Figures,
    old: Figures,
    settled: datetime,
    value_of: Callable[[float, float], float],
) -> Measurement:
    """Measure a latency or score against its limit by a sign test over minutes.

    `value_of` compares the new and the old variant's figures. Only minutes with enough requests
    count; if the variants are compared, both must have enough.
    """
    limit, least, alone = (
        guardrail.limit,
        METRICS[guardrail.metric].least,
        guardrail.max is not None,
    )
    judged = [minute for minute in sorted(new) if alone or minute in old]
    counting = [
        minute
        for minute in judged
        if new[minute][0] >= least and (alone or _is_base(old.get(minute), least))
    ]
    values = [
        new[minute][1] if alone else value_of(new[minute][1], old[minute][1]) for minute in counting
    ]
    above = sum(value > limit for value in values)
    below = sum(value < -limit for value in values) if guardrail.max_shift is not None else 0
    requests = _requests(new, judged)
    missing = _too_few(
        guardrail, requests, None if alone else _requests(old, judged)
    ) or _no_requests_text(new, None if alone else old, settled)
    hopeless = False
    if not missing and len(values) < LEAST_MINUTES:
        missing = (
            f"{len(values)} of {LEAST_MINUTES} minutes with {least} "
            f"requests{'' if alone else ' of both'}"
        )
        in_vain = [minute for minute in judged if not counting or minute > counting[-1]]
        hopeless = _requests(new, in_vain) >= guardrail.min_requests
    value = median(values) if values else None
    return Measurement(
        value=value,
        figure=median(new[minute][1] for minute in counting) if counting else None,
        base=median(old[minute][1] for minute in counting) if counting and not alone else None,
        n=len(values),
        requests=requests,
        beyond=max(above, below),
        within=value is not None
        and (abs(value) if guardrail.max_shift is not None else value) <= limit,
        log_evidence=statistics.sign_evidence(max(above, below), len(values)),
        sides=1 if guardrail.max_shift is None else 2,
        missing=missing,
        hopeless=hopeless,
        outright=""
        if guardrail.max_shift is not None
        else _slow_outright([value > OUTRIGHT_TIMES * limit for value in values]),
    )


def _requests(figures: Figures, minutes: Iterable[datetime]) -> int:
    """Sum the number of requests over some minutes.

    `figures` has the number of requests of each minute.
    """
    return sum(figures[minute][0] for minute in minutes)


def _counts(guardrail: Guardrail, minutes: Minutes) -> dict[datetime, Counts]:
    """Return the numbers of requests and of errors of each minute.

    Errors are those of the server, and for the metric error_rate those of clients, too.
    """
    clients = guardrail.metric == "error_rate"
    return {
        minute: Counts(
            bucket.requests, bucket.server_errors + (bucket.client_errors if clients else 0)
        )
        for minute, bucket in minutes.buckets.items()
    }


def _latencies(guardrail: Guardrail, minutes: Minutes) -> dict[datetime, tuple[int, float]]:
    """Return the number of requests and the latency of each minute with an answered request."""
    figures = {
        minute: (bucket.requests, latency(bucket, guardrail.metric))
        for minute, bucket in minutes.buckets.items()
    }
    return {minute: figure for minute, figure in figures.items() if not math.isnan(figure[1])}


def latency(bucket: Bucket, metric: str) -> float:
    """Return one latency metric of a minute in ms, such as `latency_p99`."""
    return float(getattr(bucket, f"{metric.removeprefix('latency_')}_ms"))


def _ratio(figure: float, base: float) -> float:
    """Return the new variant's figure divided by the old one's."""
    return figure / base


def _relative_difference(figure: float, base: float) -> float:
    """Return how far the new variant's score is from the old one's, relative to its size.

    The divisor is the absolute value, so scores below 0 are judged too.
    """
    return (figure - base) / abs(base)


def _is_base(figure: tuple[int, float] | None, least: int) -> bool:
    """Return whether a figure of the old variant's minute can be compared with.

    It must have at least `least` requests, and not be nearly 0.
    """
    return figure is not None and figure[0] >= least and abs(figure[1]) > SMALLEST_BASE


def _too_few(guardrail: Guardrail, requests: int, old_requests: int | None) -> str:
    """Return a clause on which variant has too few requests to be judged, or "" if none.

    `old_requests` is None if nothing is compared.
    """
    for variant, count in (
        ("new", requests),
        ("old", guardrail.min_requests if old_requests is None else old_requests),
    ):
        if count < guardrail.min_requests:
            return f"{count:,} of {guardrail.min_requests:,} requests of the {variant} variant"
    return ""


def _no_requests_text(
    new: Mapping[datetime, object], old: Mapping[datetime, object] | None, settled: datetime
) -> str:
    """Return a clause on which variant has had no request for too long, or "" if none.

    `new` and `old` hold the two variants' minutes with requests, before `settled`. How long is too
    long depends on the longest gap between requests so far.
    """
    for variant, minutes in (("new", new), ("old", new if old is None else old)):
        quiet = LULLS * longest_lull(minutes)
        if not any(minute >= settled - quiet for minute in minutes):
            length = quiet // timedelta(minutes=1)
            return f"no request of the {variant} variant in the last {length} minutes"
    return ""


def longest_lull(minutes: Iterable[datetime]) -> timedelta:
    """Return the longest gap between minutes that have requests, at least one minute."""
    lulls = (later - earlier for earlier, later in pairwise(sorted(minutes)))
    return max(lulls, default=timedelta(minutes=1))


def _failing_outright(
    new: Mapping[datetime, Counts], old: Mapping[datetime, Counts], part: float
) -> str:
    """Return a clause that most requests failed for two minutes in a row, or "" if not.

    `part` is the share that counts as most. Such a failure aborts without waiting for statistical
    evidence.
    """
    for running in pairwise(sorted(new)):
        if not all(new[minute].errors > part * new[minute].requests for minute in running):
            continue
        failed = _total(new[minute] for minute in running)
        base = _total(old[minute] for minute in running if minute in old)
        if failed.requests >= OUTRIGHT_REQUESTS and base.errors <= part * base.requests:
            return (
                f"{failed.errors:,} of {failed.requests:,} requests failed in two minutes one "
                "after the other"
            )
    return ""


def _slow_outright(far: Sequence[bool]) -> str:
    """Return a clause that latency was far above its limit for minutes in a row, or "" if not.

    `far` says of each minute whether it was. Such a failure aborts without waiting for statistical
    evidence.
    """
    running = any(
        all(far[start : start + OUTRIGHT_MINUTES])
        for start in range(len(far) - OUTRIGHT_MINUTES + 1)
    )
    return (
        f"above {OUTRIGHT_TIMES} times its limit in {OUTRIGHT_MINUTES} minutes running"
        if running
        else ""
    )


def _total(counts: Iterable[Counts]) -> Counts:
    """Sum the requests and the errors of several minutes."""
    rows = tuple(counts)
    return Counts(sum(row.requests for row in rows), sum(row.errors for row in rows))
