"""The metrics that a guardrail may watch, by name, and the limits that each can have."""

from __future__ import annotations

from typing import Literal

import msgspec

Limit = Literal["max", "max_ratio", "max_shift"]
LIMITS: tuple[Limit, ...] = ("max", "max_ratio", "max_shift")


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """A metric that a guardrail may watch.

    `least`: the fewest requests of a minute whose figure is judged; percentiles of fewer are
    biased low. 1: all are counted.
    """

    kind: Literal["rate", "latency", "score"]
    limits: tuple[Limit, ...]
    least: int = 1


_OF_LATENCY: tuple[Limit, ...] = ("max", "max_ratio")
METRICS = {
    "error_rate": Metric(
        kind="rate", limits=("max", "max_ratio")
    ),  # a client's errors too: a model that refuses what the other takes is broken
    "server_error_rate": Metric(kind="rate", limits=("max", "max_ratio")),
    "latency_p50": Metric(kind="latency", limits=_OF_LATENCY, least=10),
    "latency_p90": Metric(kind="latency", limits=_OF_LATENCY, least=30),
    "latency_p99": Metric(kind="latency", limits=_OF_LATENCY, least=100),
    "latency_mean": Metric(kind="latency", limits=_OF_LATENCY, least=10),
    "score_mean": Metric(kind="score", limits=("max_shift",), least=10),
}
