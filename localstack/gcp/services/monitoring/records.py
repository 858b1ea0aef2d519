"""The state of Cloud Monitoring: minutes of online prediction, and clients' own metrics."""

from __future__ import annotations

import threading
from typing import Any

import msgspec

from .aggregation import MetricSeries


class Custom:
    """The custom metrics of one stack.

    By project: descriptors by type, series by type and labels.
    """

    def __init__(self) -> None:
        self.descriptors: dict[str, dict[str, Any]] = {}
        self.series: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], MetricSeries]] = {}
        self.lock = threading.RLock()


class Minute(msgspec.Struct):
    """One minute: lists that calls append to without a lock, one entry for each call."""

    statuses: list[int]
    milliseconds: list[float]
    predictions: list[int]


class Online:
    """The requests of one stack.

    The key: (endpoint's name, DeployedModel's id); then the minute since 1970.
    """

    def __init__(self) -> None:
        self.of: dict[tuple[str, str], dict[int, Minute]] = {}
        self._lock = threading.Lock()

    def minute(self, endpoint: str, deployed: str, number: int) -> Minute:
        """Return the record of a deployed model's traffic in one minute, created if it is absent.

        `number` is the minute's, counted from 1970.
        """
        minutes = self.of.get((endpoint, deployed))
        minute = minutes.get(number) if minutes is not None else None
        if minute is not None:
            return minute
        with self._lock:
            return self.of.setdefault((endpoint, deployed), {}).setdefault(
                number, Minute([], [], [])
            )
