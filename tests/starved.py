"""`make test-starved TESTS="tests/ui -k browser" TIMES=10`: pytest while its processes get no time
at random, as on a busy machine.

What fails once in a hundred runs of the suite, since a process stood still between two of its
steps, fails here within minutes. The idea is the chaos mode of rr. Of Linux, and of who may take
SCHED_IDLE from a process again: root. Exits 1 when a test failed.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

MARK = "ISTHMUS_STARVED"  # in the environment of whom to starve; whoever they start is, too
SHARE = 0.35  # of the time that a process is starved
SHORT, LONG, SELDOM = 0.08, 0.7, 0.1  # seconds on average, and how often it is the long ones
LONGEST = 2.5  # seconds
_TICK = 0.05  # seconds
_SPIN = "import os\nos.nice(5)\nparent = os.getppid()\nwhile os.getppid() == parent: pass"


def main(times: int, arguments: list[str]) -> int:
    """Run pytest so often. `arguments` are its own: folders, -k, ..."""
    if not may_starve():
        sys.exit(
            "test-starved needs Linux, and the right to take SCHED_IDLE from a process "
            "again: CAP_SYS_NICE, which a container may lack"
        )
    failed = 0
    with _busy(), starving():
        for number in range(1, times + 1):
            command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
            failed += (
                subprocess.run(command, env={**os.environ, MARK: "1"}, check=False).returncode != 0
            )
            print(f"run {number} of {times}: {failed} failed", flush=True)
    return 1 if failed else 0


def may_starve() -> bool:
    """Tried on a process of its own."""
    if sys.platform != "linux":
        return False
    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            for policy in (os.SCHED_IDLE, os.SCHED_OTHER):
                os.sched_setscheduler(process.pid, policy, os.sched_param(0))
        except OSError:
            return False
        finally:
            process.kill()
    return True


@contextmanager
def starving() -> Iterator[Starver]:
    starver = Starver()
    ends = threading.Event()
    thread = threading.Thread(target=starver.run, args=(ends,), name="starver")
    thread.start()
    try:
        yield starver
    finally:
        ends.set()
        thread.join()


class Starver:
    """Who carries MARK, or is started by who is starved, gets what is left of a core for a while."""

    def __init__(self) -> None:
        self._ours: dict[tuple[int, str], bool] = {}  # pid and start -> whether it is to be starved
        self._until: dict[int, float] = {}

    def run(self, ends: threading.Event) -> None:
        while not ends.wait(_TICK):
            self.look(time.monotonic())
        self.look(time.monotonic() + LONGEST, share=0)

    def look(self, now: float, *, share: float = SHARE) -> None:
        """Let go of whose time is over, also of who was started by one that is starved, and take
        others.
        """
        for pid, until in list(self._until.items()):
            if now >= until:
                del self._until[pid]
        mean = SHORT + SELDOM * (LONG - SHORT)
        for pid in self._pids():
            if pid in self._until:
                continue
            if share and random.random() < share / (1 - share) * _TICK / mean:
                self._until[pid] = now + _seconds()
                _schedule(pid, os.SCHED_IDLE)
            elif _is_idle(pid):
                _schedule(pid, os.SCHED_OTHER)

    def _pids(self) -> list[int]:
        return [
            pid
            for entry in Path("/proc").iterdir()
            if entry.name.isdigit() and self._is_ours(pid := int(entry.name))
        ]

    def _is_ours(self, pid: int) -> bool:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            key = (pid, state[19])
            if key not in self._ours:
                marked = f"{MARK}=".encode() in Path(f"/proc/{pid}/environ").read_bytes()
                self._ours[key] = marked or (int(state[1]) > 1 and self._is_ours(int(state[1])))
        except OSError:  # it has ended
            return False
        return self._ours[key]


def _seconds() -> float:
    return min(random.expovariate(1 / (LONG if random.random() < SELDOM else SHORT)), LONGEST)


def _is_idle(pid: int) -> bool:
    with suppress(OSError):
        return os.sched_getscheduler(pid) == os.SCHED_IDLE
    return False


def _schedule(pid: int, policy: int) -> None:
    """All threads of a process, which may end meanwhile."""
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                os.sched_setscheduler(int(thread.name), policy, os.sched_param(0))


@contextmanager
def _busy() -> Iterator[None]:
    """Something to do for every core: who is starved would get all that is left."""
    with ExitStack() as stack:
        for _ in range(os.cpu_count() or 1):
            stack.callback(
                stack.enter_context(subprocess.Popen([sys.executable, "-c", _SPIN])).kill
            )
        yield


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
