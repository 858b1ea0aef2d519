"""`make test-often`: the quick tests five times and the slow ones twice, each time in another
order, with other seeds and a loaded core.

A round that has ended is kept below .cache/often/<state of the checkout>/, so that a run that was
stopped goes on where it was. At the end comes a table of what failed how often, with the seeds that
repeat it. Exits 1 when a test failed in any round.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).parent.parent
ROUNDS = (("quick", "not slow", 5), ("slow", "slow", 2))
MORE = {
    "ISTHMUS_EVERY_KILL": "1",
    "ISTHMUS_EVERY_BLOCK": "1",
    "ISTHMUS_EVERY_CHECKER": "1",
    "ISTHMUS_EVERY_EXAMPLE": "1",
    "ISTHMUS_EVERY_MUTANT": "1",
    "ISTHMUS_EVERY_POWER_CUT": "1",
}  # what `make test` has no time for
WORKERS = "2"
ENDED = (
    0,
    1,
    5,
)  # pytest's codes for a run that went to its end: all passed, some failed, no test is of this kind


def main(arguments: list[str]) -> int:
    """Run what is not done yet. `arguments` go to pytest: folders, -k, ..."""
    state = _state(arguments)
    folder = ROOT / ".cache" / "often" / state
    folder.mkdir(parents=True, exist_ok=True)
    failures: dict[str, list[str]] = defaultdict(list)
    with _loaded_core():
        for kind, marks, times in ROUNDS:
            for number in range(1, times + 1):
                seed = int(hashlib.sha256(f"{state} {kind} {number}".encode()).hexdigest()[:8], 16)
                report = folder / f"{kind}-{number}.xml"
                if not report.exists():
                    print(f"{kind} round {number} of {times}, seed {seed}", flush=True)
                    _round(marks, seed, report, arguments)
                for test in _failed(report):
                    failures[test].append(f"{kind} {seed}")
    print(f"\n{_table(failures)}")
    return 1 if failures else 0


def _state(arguments: list[str]) -> str:
    """A name for what is tested: a commit, the changes on top of it, the choice of tests."""
    commit, changes = (
        subprocess.run(
            ["git", *command], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
        for command in (("rev-parse", "--short=12", "HEAD"), ("diff", "HEAD"))
    )
    digest = hashlib.sha256("\0".join([changes, *arguments]).encode()).hexdigest()[:8]
    return f"{commit.strip()}-{digest}"


def _round(marks: str, seed: int, report: Path, arguments: list[str]) -> None:
    unfinished = report.with_suffix(".unfinished")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "randomly",
        "-p",
        "no:cacheprovider",
        "--numprocesses",
        WORKERS,
        "--dist",
        "loadscope",
    ]
    seeds = [f"--randomly-seed={seed}", "--hypothesis-profile=often", f"--hypothesis-seed={seed}"]
    command += ["-m", marks, *seeds, f"--junit-xml={unfinished}", *arguments]
    code = subprocess.run(command, cwd=ROOT, env={**os.environ, **MORE}, check=False).returncode
    if code not in ENDED:
        sys.exit(f"pytest ended with {code}; run this again to go on")
    unfinished.rename(report)


def _failed(report: Path) -> Iterator[str]:
    for case in ET.parse(report).iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            yield f"{case.get('classname')}::{case.get('name')}"


def _table(failures: dict[str, list[str]]) -> str:
    if not failures:
        return "no test failed in any round"
    rows = sorted(failures.items(), key=lambda row: (-len(row[1]), row[0]))
    return "\n".join(
        [
            "failed  test (rounds and seeds)",
            *(f"{len(rounds):6}  {test} ({', '.join(rounds)})" for test, rounds in rows),
        ]
    )


@contextmanager
def _loaded_core() -> Iterator[None]:
    """One process that takes all that it can get of a core, as long as this one lives."""
    load = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import os\nparent = os.getppid()\nwhile os.getppid() == parent: pass",
        ]
    )
    try:
        yield
    finally:
        load.kill()
        load.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
