"""Requests without random numbers: expected counts by minute, with carried remainders.

Every target can be shown the same minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from math import exp, floor
from statistics import NormalDist
from typing import final

import msgspec

from ...endpoints.port import Bucket

_MINUTE = timedelta(minutes=1)


class VariantBehaviour(msgspec.Struct, frozen=True, kw_only=True):
    """The way in which a variant answers.

    Latencies are lognormal: `latency_ms` is the median, `spread` the deviation of the logarithm.
    """

    error_rate: float = 0.002  # of requests, as errors of the server
    client_error_rate: float = 0.0  # ... as errors of the caller
    latency_ms: float = 4.0
    spread: float = 0.4
    score: float | None = None  # the mean of its scores; None: none are logged


class Minute(msgspec.Struct, frozen=True, kw_only=True):
    """The requests of one variant in one minute."""

    start: datetime
    requests: int
    client_errors: int
    server_errors: int
    behaviour: VariantBehaviour

    @property
    def bucket(self) -> Bucket:
        """Return the minute in the form of the metrics that a target reports."""
        p50, p90, p99 = (
            percentile(self.behaviour, self.requests, share) for share in (0.5, 0.9, 0.99)
        )
        return Bucket(
            start=self.start,
            requests=self.requests,
            client_errors=self.client_errors,
            server_errors=self.server_errors,
            mean_ms=self.behaviour.latency_ms * exp(self.behaviour.spread**2 / 2),
            p50_ms=p50,
            p90_ms=p90,
            p99_ms=p99,
        )


def latency(behaviour: VariantBehaviour, requests: int, number: int) -> float:
    """Return the latency in ms of the simulated request with this rank in a minute.

    It is the (number + 1/2) / requests quantile of a log-normal distribution.

    `behaviour` has the median and the spread of latencies.
    """
    return behaviour.latency_ms * exp(behaviour.spread * _normal(2 * number + 1, 2 * requests))


def percentile(behaviour: VariantBehaviour, requests: int, share: float) -> float:
    """Return a percentile of a minute's simulated latencies in ms.

    `behaviour` has the median and the spread of latencies. The percentile is computed as SQL's
    quantile_cont does.
    """
    place = share * (requests - 1)
    below = floor(place)
    low = latency(behaviour, requests, below)
    return low + (place - below) * (
        latency(behaviour, requests, min(below + 1, requests - 1)) - low
    )


@lru_cache(maxsize=4096)
def _normal(part: int, whole: int) -> float:
    """Return the part / whole quantile of the standard normal distribution."""
    return NormalDist().inv_cdf(part / whole)


class _Expected(msgspec.Struct):
    """The expected counts of one variant since its minute began, with what was left over before."""

    requests: Fraction = Fraction(0)
    client_errors: Fraction = Fraction(0)
    server_errors: Fraction = Fraction(0)
    behaviour: VariantBehaviour = VariantBehaviour()  # the newest


@lru_cache(maxsize=4096)
def _stretch(
    per_minute: int,
    percent: Decimal,
    span: timedelta,
    most: int | None,
    behaviour: VariantBehaviour,
) -> tuple[Fraction, Fraction, Fraction]:
    """Return a variant's requests in a time span, and their client and server errors.

    `per_minute` are the endpoint's requests, `percent` is the variant's share, and `most` how many
    it can answer in a minute. The result is exact fractions, and so slow: a world asks for few
    different ones.
    """
    minutes = Fraction(span // timedelta(milliseconds=1), 60_000)
    requests = per_minute * minutes * Fraction(percent) / 100
    answered = requests if most is None else min(requests, most * minutes)
    server_errors = answered * Fraction(str(behaviour.error_rate)) + requests - answered
    return requests, answered * Fraction(str(behaviour.client_error_rate)), server_errors


@final
class Traffic:
    """The requests that reach an endpoint: `per_minute`, and by `behaviour_of` how variants answer.

    Both may be changed at any time.
    """

    def __init__(self, per_minute: int, behaviour_of: Callable[[str], VariantBehaviour]) -> None:
        self.per_minute = per_minute
        self.behaviour_of = behaviour_of
        self._expected: dict[str, _Expected] = {}

    def add(
        self,
        shares: Mapping[str, Decimal],
        span: timedelta,
        *,
        room: Mapping[str, int] | None = None,
    ) -> None:
        """Add up to one minute of simulated requests, divided among variants by these shares.

        `room` is the most requests a minute that a variant answers; the rest fail.
        """
        for variant, percent in shares.items():
            if not percent:
                continue
            most = None if room is None else room.get(variant)
            expected = self._expected.setdefault(variant, _Expected())
            expected.behaviour = behaviour = self.behaviour_of(variant)
            requests, client_errors, server_errors = _stretch(
                self.per_minute, percent, span, most, behaviour
            )
            expected.requests += requests
            expected.client_errors += client_errors
            expected.server_errors += server_errors

    def close(self, start: datetime) -> dict[str, Minute]:
        """End a simulated minute, and return its whole counts by variant.

        The fractions that are left count in the next minute.
        """
        minutes: dict[str, Minute] = {}
        for variant, expected in self._expected.items():
            requests = floor(expected.requests)
            if not requests:
                continue
            server = min(floor(expected.server_errors), requests)
            client = min(floor(expected.client_errors), requests - server)
            expected.requests -= requests
            expected.server_errors -= server
            expected.client_errors -= client
            minutes[variant] = Minute(
                start=start,
                requests=requests,
                client_errors=client,
                server_errors=server,
                behaviour=expected.behaviour,
            )
        return minutes
