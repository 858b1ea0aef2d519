"""Measure time, and print tables of ratios.

A number means little by itself: what is compared is measured in the same run.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import quantiles
from typing import TypeVar

SMALL = "--small" in sys.argv


_T = TypeVar("_T")


def scaled(whole: _T, small: _T) -> _T:
    """Return the size of a benchmark; with --small the one by which it takes seconds.

    That shows that it runs and no more.
    """
    return small if SMALL else whole


@dataclass(frozen=True, kw_only=True)
class Line:
    """One measured thing. `ratio` is to the reference of its table; `goal` is the issue's."""

    name: str
    value: str
    ratio: float | None = None
    goal: str = ""


def table(title: str, lines: Sequence[Line], note: str = "") -> None:
    print(f"\n{title}")
    for line in lines:
        ratio = "" if line.ratio is None else f"{line.ratio:8.2f}x"
        print(f"  {line.name:<48} {line.value:>22} {ratio:>10}   {line.goal}")
    if note:
        print(f"  {note}")
    sys.stdout.flush()


def cpu_seconds(command: Sequence[str], *, runs: int = 7) -> float:
    """Return user and system time of a command, the least of some runs."""
    least = float("inf")
    for _ in range(scaled(runs, 1)):
        usage_before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        usage_after = resource.getrusage(resource.RUSAGE_CHILDREN)
        least = min(
            least,
            usage_after.ru_utime
            + usage_after.ru_stime
            - usage_before.ru_utime
            - usage_before.ru_stime,
        )
    return least


def best(call: Callable[[], object], *, runs: int = 3) -> float:
    """Return wall seconds of a call, the least of some runs."""
    least = float("inf")
    for _ in range(scaled(runs, 1)):
        started = time.perf_counter()
        call()
        least = min(least, time.perf_counter() - started)
    return least


def latencies(call: Callable[[], object], *, calls: int) -> tuple[float, float]:
    """Return (p50, p99) in milliseconds of many calls, after a warm-up of a tenth."""
    for _ in range(calls // 10):
        call()
    milliseconds = []
    for _ in range(calls):
        started = time.perf_counter()
        call()
        milliseconds.append((time.perf_counter() - started) * 1e3)
    cuts = quantiles(milliseconds, n=100)
    return cuts[49], cuts[98]


@dataclass(frozen=True, kw_only=True)
class Cost:
    seconds: float  # of CPU
    megabytes: float  # the most that the process held


def apart(work: Callable[..., object], *arguments: object) -> Cost:
    """Measure what a piece of work costs in a process of its own; with --small in this one.

    The process imports everything again.
    """
    if SMALL:
        return _cost(work, *arguments)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_cost, work, *arguments).result()


def _cost(work: Callable[..., object], *arguments: object) -> Cost:
    return Cost(seconds=cpu(lambda: work(*arguments)), megabytes=peak_megabytes())


def cpu(work: Callable[[], object]) -> float:
    """Return the CPU seconds that a piece of work takes in this process."""
    started = time.process_time()
    work()
    return time.process_time() - started


def peak_megabytes() -> float:
    """Return the most memory that this process has held.

    It is not ru_maxrss, which begins with that of the process that started this one.
    """
    (line,) = (
        line
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("VmHWM:")
    )
    return int(line.split()[1]) / 1024
