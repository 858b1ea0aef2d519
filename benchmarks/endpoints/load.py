"""Put load on the laptop's endpoint while its processes are killed, and count what callers get.

`make bench-load`, or `python -m benchmarks.endpoints.load [--seconds N]`. Six threads ask; three
cases, each counted from the callers' side: acknowledged (an answer that fits), failed (refused, or
the model's error: nothing is in doubt), unknown (sent, and the answer was lost). The counts go into
docs/promises.md. Times are printed, not asserted.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from isthmus.adapters import targets
from isthmus.adapters.local.endpoints import supervision
from isthmus.adapters.local.endpoints.rows import SupervisorAddress
from isthmus.errors import ModelError, OutcomeUnknown, Unavailable
from isthmus.target import Profile, Target
from isthmus.tests.conformance.toy_models import (
    endpoint,
    register,
    remove_endpoints,
    settled,
    variant,
)

from ..measure import SMALL, scaled

THREADS = 6
PAGE = Path(__file__).parents[2] / "docs" / "promises.md"
BEGIN, END = "<!-- bench-load: begin -->\n", "<!-- bench-load: end -->"


class Load:
    """The callers' counts. `row` is asked of the endpoint at every call."""

    def __init__(self, target: Target, row: Callable[[int], dict[str, object]]) -> None:
        self.counts: Counter[str] = Counter()
        self.gaps: list[float] = []  # seconds of the longest wait of each caller
        self._target = target
        self._row = row
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._ask, args=(number,)) for number in range(THREADS)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, thread: int) -> None:
        number, longest = thread, 0.0
        while not self._stop.is_set():
            began = time.perf_counter()
            outcome = self._once(number)
            longest = max(longest, time.perf_counter() - began)
            number += THREADS
            with self._lock:
                self.counts[outcome] += 1
        self.gaps.append(longest)

    def _once(self, number: int) -> str:
        row = self._row(number)
        try:
            reply = self._target.endpoints.invoke(
                "ranker", [row], variant=None, request_id=f"q{number}"
            )
        except OutcomeUnknown:
            return "unknown"
        except ModelError as error:
            return "timed out" if error.status == 504 else "failed"
        except Unavailable:
            return "failed"
        return "acknowledged" if reply.predictions == (1.0 + float(row["x"]),) else "wrong"  # type: ignore[arg-type]  # a float


@contextmanager
def served(folder: Path, *, instances: int, timeout: str = "60s") -> Iterator[tuple[Target, Path]]:
    home = folder / ".isthmus"
    options = {"home": str(home), "serving": {"timeout": timeout}}
    target = targets.load(Profile(name="local", adapter="local", project="bench", options=options))
    try:
        target.endpoints.apply(
            endpoint(
                variant(register(target, folder, 1.0), "champion", instances=(instances, instances))
            )
        )
        state = settled(target)
        assert state.phase == "ready", state.failure
        yield target, home
    finally:
        remove_endpoints(target)
        target.close()


def address(home: Path) -> SupervisorAddress:
    router = supervision.address(home, "ranker")
    assert router is not None
    return router


def plain(number: int) -> dict[str, object]:
    return {"x": float(number % 7)}


def killed_variants(folder: Path, seconds: float) -> tuple[str, Load, int]:
    """Kill one of the variant's two processes by kill -9, every tenth of the time."""
    kills = 0
    with served(folder, instances=2) as (target, home), Load(target, plain) as load:
        for number in range(10):
            time.sleep(seconds / 10)
            servers = address(home).servers
            if servers:
                with contextlib.suppress(ProcessLookupError):  # the last kill may have taken it
                    os.kill(servers[number % len(servers)].pid, signal.SIGKILL)
                    kills += 1
        settled(target)
    return (
        f"kill -9 of a variant's process, {kills} times in {seconds:g} s, 2 instances",
        load,
        kills,
    )


def killed_supervisors(folder: Path, seconds: float) -> tuple[str, Load, int]:
    kills, back = 0, list[float]()
    with served(folder, instances=2) as (target, home), Load(target, plain) as load:
        for _ in range(5):
            time.sleep(seconds / 5)
            pid = address(home).pid
            os.kill(pid, signal.SIGKILL)
            kills += 1
            began = time.perf_counter()
            while address(home).pid == pid:
                time.sleep(0.005)
            back.append(time.perf_counter() - began)
    print(f"  supervisor back after {min(back):.2f} .. {max(back):.2f} s (goal 2 s)")
    return f"kill -9 of the supervisor, {kills} times in {seconds:g} s", load, kills


def hanging(folder: Path, seconds: float) -> tuple[str, Load, int]:
    """Ask a model that hangs at one request in a hundred.

    It has 2 instances and a time-out of 2 s.
    """
    with (
        served(folder, instances=2, timeout="2s") as (target, _),
        Load(
            target, lambda n: {"x": float(n % 7), "sleep": 3600.0 if n % 100 == 99 else 0.0}
        ) as load,
    ):
        time.sleep(seconds)
    return (
        f"a model that hangs at one request in a hundred, {seconds:g} s, 2 instances, time-out 2 s",
        load,
        0,
    )


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=scaled(60.0, 0.5), help="of each case")
    parser.add_argument("--print-only", action="store_true", help="leave docs/promises.md as it is")
    options, _ = parser.parse_known_args()
    lines = [
        "| case, 6 callers | acknowledged | failed | timed out (504) | unknown |",
        "|---|---|---|---|---|",
    ]
    good = True
    for case in (killed_variants, killed_supervisors, hanging):
        folder = Path(tempfile.mkdtemp())
        try:
            name, load, kills = case(folder, options.seconds)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        counts = load.counts
        lines.append(
            f"| {name} | {counts['acknowledged']:,} | {counts['failed']:,} | "
            f"{counts['timed out']:,} | {counts['unknown']:,} |"
        )
        print(lines[-1], f"longest wait {max(load.gaps):.2f} s", flush=True)
        good &= (
            not counts["wrong"] and not counts["failed"] and counts["unknown"] <= kills * THREADS
        )
    if not (options.print_only or SMALL):
        head, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
        PAGE.write_text(
            head + BEGIN + "\n".join(lines) + "\n" + END + rest.partition(END)[2],
            encoding="utf-8",
        )
    print(
        "no request failed but those in flight in what was killed"
        if good
        else "NOT: a request failed that no killed process had"
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
