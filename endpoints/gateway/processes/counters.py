"""Figures that a gateway's processes share and that outlive a killed process: a file for each.

A file is the count of its used bytes (u64), then entries: the key's length (u64), the key (UTF-8,
spaces to a multiple of 8), a float64. A change is one store of eight aligned bytes, so a concurrent
reader, and a process that goes on after a kill, see whole numbers.
"""

from __future__ import annotations

import fcntl
import math
import mmap
import os
import struct
import threading
import time
from bisect import bisect_left
from collections.abc import Mapping
from pathlib import Path
from typing import final

import msgspec

from ....errors import Busy

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds
REQUESTS, SECONDS = "isthmus_gateway_requests_total", "isthmus_gateway_request_seconds"
UNDELIVERED, WAITING = (
    "isthmus_gateway_undelivered_exposures_total",
    "isthmus_gateway_waiting_exposures",
)
UNDELIVERED_ROWS = "isthmus_gateway_undelivered_rows_total"
RULED, CAPLESS = "isthmus_gateway_rules_total", "isthmus_gateway_unchecked_caps_total"
SHADOWS = "isthmus_gateway_shadow_copies_total"
UNDRAFTED = "isthmus_gateway_undrafted_total"
UNLOGGED = "isthmus_gateway_unlogged_features_total"
ASSIGNMENTS, GONE = "isthmus_gateway_assignments_total", "isthmus_gateway_aimed_at_nothing_total"
CONFIG, CONFIG_AGE = "isthmus_gateway_config_version", "isthmus_gateway_config_age_seconds"
WORKERS, READY, FEATURE_AGE = (
    "isthmus_gateway_workers",
    "isthmus_gateway_ready_workers",
    "isthmus_gateway_feature_age_seconds",
)
_FAMILIES = {
    REQUESTS: (
        "counter",
        "Answers, by what answered; endpoint and variant are empty where none was reached.",
    ),
    SECONDS: ("histogram", "From a request's head to its answer."),
    UNDELIVERED: ("counter", "Exposures that were answered and are lost."),
    UNDELIVERED_ROWS: ("counter", "Rows of what is logged that are lost, by stream."),
    WAITING: ("gauge", "Exposures that were answered and are on their way."),
    ASSIGNMENTS: ("counter", "Answers to units in a run, by arm."),
    GONE: (
        "counter",
        (
            "Calls that an arm aims at a variant which is not there: they went anywhere, with "
            "the defaults."
        ),
    ),
    UNDRAFTED: (
        "counter",
        "Answers to units of an interleaved run that one variant alone gave: they credit nobody.",
    ),
    UNLOGGED: (
        "counter",
        "Exposures whose row of features was too large to be logged: their `features` is null.",
    ),
    RULED: ("counter", "Answers that a rule had a say in, by rule."),
    CAPLESS: (
        "counter",
        (
            "Answers whose caps per unit were not checked, or that are not counted: the store "
            "was away."
        ),
    ),
    SHADOWS: (
        "counter",
        (
            "Copies of answered requests for the shadow variant: compared, failed, or dropped "
            "for want of room."
        ),
    ),
    CONFIG: ("gauge", "Version of experiments/live, by process."),
    CONFIG_AGE: (
        "gauge",
        "Since the store was seen to have it, by process; absent before it was read.",
    ),
    WORKERS: ("gauge", "Processes that run."),
    READY: ("gauge", "Processes that are ready to ask the endpoint."),
    FEATURE_AGE: (
        "gauge",
        "How long ago, on the project's clock, what the online store serves was known.",
    ),
}
_GAUGES = tuple(name for name, (kind, _) in _FAMILIES.items() if kind == "gauge")
_SIZE = 65_536  # bytes of a new file; it doubles when it is full
_READING = 30.0  # seconds in which a reader lets go of a file
_WORD = struct.Struct("<Q")
_VALUE = struct.Struct("<d")


def sample(name: str, **labels: str) -> str:
    """Return a metric's name with labels as Prometheus writes it: `name{endpoint="ranker"}`."""
    inside = ",".join(f'{label}="{_escaped(value)}"' for label, value in labels.items())
    return f"{name}{{{inside}}}" if inside else name


class _AnswerPlaces(msgspec.Struct, frozen=True):
    """The place of the figures of one kind of answer."""

    requests: int
    buckets: tuple[int, ...]  # of BUCKETS, then of all
    sum: int
    count: int


@final
class Counters:
    """One process's file.

    A process that starts again in another's place goes on with its counts; its gauges begin at 0.
    """

    def __init__(self, path: Path) -> None:
        """Open the file of counts. Raises Busy if a living process has it."""
        self._lock = threading.Lock()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not _try_lock(self._file):
            os.close(self._file)
            raise Busy(f"another process counts in {path}")
        if os.fstat(self._file).st_size == 0:
            os.ftruncate(self._file, _SIZE)
        self._map = mmap.mmap(self._file, 0)
        self._answers: dict[tuple[str, str, int], _AnswerPlaces] = {}
        self._used: int = _WORD.unpack_from(self._map, 0)[0]
        self._places = {key: offset for key, offset, _ in _entries(self._map)}
        for key in self._places:
            if key.startswith(_GAUGES):
                self.set(key, 0)

    def add(self, key: str, amount: float = 1) -> None:
        """Add an amount to a counter in the shared file of metrics."""
        with self._lock:
            self._raise(self._place(key), amount)

    def set(self, key: str, value: float) -> None:
        """Set a gauge in the shared file of metrics."""
        with self._lock:
            _VALUE.pack_into(self._map, self._place(key), value)

    def answered(self, endpoint: str, variant: str, status: int, seconds: float) -> None:
        """Count an answered request by endpoint, variant and status, and its latency."""
        with self._lock:
            places = self._answers.get((endpoint, variant, status))
            if places is None:
                places = self._answers[endpoint, variant, status] = self._answer_places(
                    endpoint, variant, status
                )
            self._raise(places.requests, 1)
            for offset in places.buckets[bisect_left(BUCKETS, seconds) :]:
                self._raise(offset, 1)
            self._raise(places.sum, seconds)
            self._raise(places.count, 1)

    def _answer_places(self, endpoint: str, variant: str, status: int) -> _AnswerPlaces:
        """Return the offsets in the shared file of one endpoint's, variant's and status's metrics.

        Missing ones are created with 0: for Prometheus an absent bucket is not a bucket of 0.
        """
        labels = {"endpoint": endpoint, "variant": variant, "status": str(status)}
        return _AnswerPlaces(
            requests=self._place(sample(REQUESTS, **labels)),
            buckets=tuple(
                self._place(sample(f"{SECONDS}_bucket", **labels, le=bound))
                for bound in (*map(str, BUCKETS), "+Inf")
            ),
            sum=self._place(sample(f"{SECONDS}_sum", **labels)),
            count=self._place(sample(f"{SECONDS}_count", **labels)),
        )

    def _raise(self, offset: int, amount: float) -> None:
        """Add an amount to the number at an offset of the shared file of metrics."""
        _VALUE.pack_into(self._map, offset, _VALUE.unpack_from(self._map, offset)[0] + amount)

    def close(self) -> None:
        """Unmap and close the shared file of metrics."""
        with self._lock:
            self._map.close()
            os.close(self._file)

    def _place(self, key: str) -> int:
        """Return the offset of a metric's value in the shared file; a new metric is appended."""
        offset = self._places.get(key)
        if offset is not None:
            return offset
        name = key.encode()
        name += b" " * (-len(name) % 8)
        start = 8 + self._used
        end = start + 8 + len(name) + 8
        while end > len(self._map):
            self._map.resize(2 * len(self._map))
        _WORD.pack_into(self._map, start, len(name))
        self._map[start + 8 : end - 8] = name
        _VALUE.pack_into(self._map, end - 8, 0)
        self._used = end - 8
        _WORD.pack_into(
            self._map, 0, self._used
        )  # last: a kill before it leaves no half of an entry
        self._places[key] = end - 8
        return end - 8


def totals(folder: Path) -> dict[str, float]:
    """Return each metric's value by name, summed over the worker processes.

    The files of their metrics are in `folder`. Gauges are summed over the processes that still run.
    """
    summed: dict[str, float] = {}
    for path in sorted(folder.glob("*.counters")):
        with path.open("rb") as file:
            lives = _is_locked(file.fileno())
            content = file.read()
        for key, _, value in _entries(content):
            if lives or not key.startswith(_GAUGES):
                summed[key] = summed.get(key, 0) + value
    return summed


def exposition(figures: Mapping[str, float]) -> str:
    """Return metrics as text in Prometheus' text format, version 0.0.4.

    Histogram buckets stand in the order of their bounds; a NaN is unknown and left out.
    """
    finite = {key: value for key, value in figures.items() if not math.isnan(value)}
    lines: list[str] = []
    for family, (kind, help_) in _FAMILIES.items():
        names = (
            (f"{family}_bucket", f"{family}_sum", f"{family}_count")
            if kind == "histogram"
            else (family,)
        )
        mine = [
            (key, value)
            for name in names
            for key, value in finite.items()
            if key == name or key.startswith(f"{name}{{")
        ]
        if mine:
            lines += [f"# HELP {family} {help_}", f"# TYPE {family} {kind}"]
            lines += [
                f"{key} {int(value) if value == int(value) else value}"
                for key, value in sorted(mine, key=_order)
            ]
    return "\n".join([*lines, ""])


def _order(entry: tuple[str, float]) -> tuple[str, float]:
    """Return a metric's sort key, so that a histogram's buckets come in numeric order."""
    labels, _, bound = entry[0].rpartition(',le="')  # not the end of rule="
    return (labels, float(bound.removesuffix('"}'))) if labels else (entry[0], 0.0)


def _entries(content: bytes | mmap.mmap) -> list[tuple[str, int, float]]:
    """Return (name, offset, value) of each metric in a process's file."""
    used = _WORD.unpack_from(content, 0)[0] if len(content) >= 8 else 0
    entries, offset = [], 8
    while offset < 8 + used:
        length = _WORD.unpack_from(content, offset)[0]
        key = bytes(content[offset + 8 : offset + 8 + length]).decode().rstrip()
        offset += 8 + length
        entries.append((key, offset, float(_VALUE.unpack_from(content, offset)[0])))
        offset += 8
    return entries


def _try_lock(file: int) -> bool:
    """Try to lock a process's file of metrics; return whether that succeeded.

    The kernel frees the lock when the process ends, so a lock that can be had shows a dead process.
    Readers of the metrics share it; they are waited for.
    """
    until = time.monotonic() + _READING
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if _is_locked(file) or time.monotonic() > until:
                return False
            fcntl.flock(file, fcntl.LOCK_UN)
            time.sleep(0.01)
        else:
            return True


def _is_locked(file: int) -> bool:
    """Return whether another process holds the lock of a metrics file: its worker still runs."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _escaped(value: str) -> str:
    """Return a label's value escaped for Prometheus' text format."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
