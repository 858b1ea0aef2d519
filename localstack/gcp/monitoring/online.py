"""What happened at each deployed model, minute by minute: what aiplatform.googleapis.com/prediction/online/... is made of."""

from __future__ import annotations

import threading
from datetime import datetime

import msgspec

from ..registry import Call


class Minute(msgspec.Struct):
    """Lists that calls append to without a lock: one entry a call."""

    statuses: list[int]
    milliseconds: list[float]
    predictions: list[int]


class Online:
    """The store. Key: (endpoint's name, DeployedModel's id); then the minute since 1970."""

    def __init__(self) -> None:
        self.of: dict[tuple[str, str], dict[int, Minute]] = {}
        self._lock = threading.Lock()

    def minute(self, endpoint: str, deployed: str, number: int) -> Minute:
        minutes = self.of.get((endpoint, deployed))
        minute = minutes.get(number) if minutes is not None else None
        if minute is not None:
            return minute
        with self._lock:
            return self.of.setdefault((endpoint, deployed), {}).setdefault(number, Minute([], [], []))


def record(
    call: Call, endpoint: str, deployed: str, *, status: int, milliseconds: float, predictions: int, at: datetime | None = None
) -> None:
    """One request: the HTTP status it was answered with, how long it took, and how many instances were predicted."""
    moment = at if at is not None else call.clock.now()
    minute = call.store(Online).minute(endpoint, deployed, int(moment.timestamp()) // 60)
    minute.statuses.append(status)
    minute.milliseconds.append(milliseconds)
    minute.predictions.append(predictions if status == 200 else 0)
