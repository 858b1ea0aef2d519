"""Evidence that a new variant is beyond its limit, which may be looked at after every minute.

`math` only; all evidence is its logarithm. Each is a mean of test supermartingales: while the limit
holds, its expectation is at most 1 whenever one looks, so that it ever reaches 1 / alpha with
probability alpha at most (Ville 1939; Ramdas et al., Statistical Science 2023). Of rates this is so
for independent requests; a dispersion above 1, of those that fail in packs, only lowers it (powers'
means), and then it holds by simulation.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

FACTORS = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0)  # the alternatives of a rate: how many times its limit
CHANCES = (0.6, 0.7, 0.8, 0.9, 0.97)  # the alternatives of a sign test: how often a minute is above


class Counts(NamedTuple):
    """The requests and errors of one variant in one minute, in which it has requests."""

    requests: int
    errors: int


def ratio_evidence(
    minutes: Sequence[tuple[Counts, Counts]], ratio: float, dispersion: float = 1.0
) -> float:
    """Return the log of the evidence that the error rate is more than `ratio` times the old one.

    `minutes` are (new, old) counts of the minutes with requests of both. The old variant's rate may
    differ in each minute: of what fails in a minute only the new variant's part is judged (Turner,
    Ly and Gruenwald, JSPI 2024; Lindon et al., KDD 2022). The evidence is an e-value; its logarithm
    is 0 where there is none. `dispersion` is how much more errors vary than independent ones.
    """
    return log_mean_exp(
        sum(
            new.errors * math.log(factor)
            + (new.errors + old.errors)
            * math.log(
                (ratio * new.requests + old.requests)
                / (factor * ratio * new.requests + old.requests)
            )
            for new, old in minutes
        )
        / dispersion
        for factor in FACTORS
    )


def limit_evidence(minutes: Sequence[Counts], limit: float, dispersion: float = 1.0) -> float:
    """Return the log of the evidence that the error rate is above an absolute limit.

    `dispersion` is how much more errors vary than independent ones.

    The evidence is an e-value. The limit is between 0 and 1 (Waudby-Smith and Ramdas, JRSS B 2024).
    """
    errors = sum(minute.errors for minute in minutes)
    successes = sum(minute.requests for minute in minutes) - errors
    rates = (min(factor * limit, (1 + limit) / 2) for factor in FACTORS)
    return log_mean_exp(
        (errors * math.log(rate / limit) + successes * math.log((1 - rate) / (1 - limit)))
        / dispersion
        for rate in rates
    )


def sign_evidence(above: int, minutes: int) -> float:
    """Return the log of the evidence that most of so many minutes are above a limit.

    `above` of them are. The evidence is an e-value, which a minute at most doubles. Given failed
    and all requests in place of minutes, it is the evidence that most requests fail.
    """
    return log_mean_exp(
        above * math.log(2 * chance) + (minutes - above) * math.log(2 * (1 - chance))
        for chance in CHANCES
    )


def ratio_dispersion(minutes: Sequence[tuple[Counts, Counts]]) -> float:
    """Return how much the new variant's share of the errors varies, over independent requests.

    It is a ratio of variances by minute, around the mean of all minutes; at least 1. `minutes` are
    (new, old) counts.
    """
    failing = [(new, old) for new, old in minutes if new.errors + old.errors]
    new_rate = _rate(new for new, _old in minutes)
    old_rate = _rate(old for _new, old in minutes)
    if not new_rate or not old_rate:
        return 1.0
    residuals = []
    for new, old in failing:
        part = new_rate * new.requests / (new_rate * new.requests + old_rate * old.requests)
        errors = new.errors + old.errors
        residuals.append((new.errors - errors * part) / math.sqrt(errors * part * (1 - part)))
    return _successive(residuals)


def limit_dispersion(minutes: Sequence[Counts]) -> float:
    """Return how much a variant's errors vary by minute, over independent requests.

    It is a ratio of variances, around the rate of all minutes; at least 1.
    """
    rate = _rate(minutes)
    if not 0 < rate < 1:
        return 1.0
    return _successive(
        [
            (m.errors - m.requests * rate) / math.sqrt(m.requests * rate * (1 - rate))
            for m in minutes
        ]
    )


def _rate(minutes: Iterable[Counts]) -> float:
    """Return the share of requests that failed, over some minutes; 0 without a request."""
    requests = errors = 0
    for minute in minutes:
        requests += minute.requests
        errors += minute.errors
    return errors / requests if requests else 0.0


def _successive(residuals: Sequence[float]) -> float:
    """Return half the mean square of successive differences of residuals, at least 1.

    It estimates a variance that a slow drift of the rate does not raise (von Neumann 1941).
    """
    if len(residuals) < 2:
        return 1.0
    return max(
        1.0,
        sum((after - earlier) ** 2 for earlier, after in pairwise(residuals))
        / (2 * (len(residuals) - 1)),
    )


def log_mean_exp(logarithms: Iterable[float]) -> float:
    """Return the logarithm of the mean of numbers that are given by their logarithms.

    The mean of e-values is an e-value, and the highest is not: tests of one guardrail share its
    false alarms by it. An infinite negative logarithm is a test that says nothing yet.
    """
    values = tuple(logarithms)
    highest = max(values)
    if highest == -math.inf:
        return highest
    return highest + math.log(sum(math.exp(value - highest) for value in values) / len(values))
