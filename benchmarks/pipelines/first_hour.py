"""Take twelve logs of twelve shapes from `init --from` to a ranked answer, as a newcomer does.

Every command is a process of its own; no file is edited and nothing is answered in between. What
each log needs is counted and timed, and the table goes into docs/your-data.md.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from isthmus.tests.lifecycle.start.sample_logs import REQUESTS, SHAPES
from isthmus.tests.lifecycle.start.test_sample_logs import ranked, request_of

from ..measure import SMALL, scaled

PAGE = Path(__file__).parents[2] / "docs" / "your-data.md"
BEGIN, END = "<!-- first-hour: begin -->\n", "<!-- first-hour: end -->"
HEAD = (
    (
        "| log | files, bytes | commands | missing | to a trained model | to a ranked answer | "
        "AUC, of a number Spearman |"
    ),
    "|---|---|---|---|---|---|---|",
)


def said(folder: Path, *words: str) -> str:
    """Run a command of isthmus in a folder, in a process of its own, and return what it prints."""
    command = [sys.executable, "-c", "from isthmus.cli.main import run; run()", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"isthmus {' '.join(words)}: {done.stdout}{done.stderr}")
    return done.stdout


def taken(shape: str, folder: Path) -> str:
    """Take one log to its ranked answer, and return its row of the table."""
    logs = folder / "logs"
    logs.mkdir()
    sources = SHAPES[shape](logs)
    began, commands = time.perf_counter(), 0

    def run(place: Path, *words: str) -> str:
        nonlocal commands
        commands += 1
        return said(place, *words)

    mine = folder / "mine"
    froms = [word for source in sources for word in ("--from", str(source))]
    missing = json.loads(run(folder, "init", str(mine), *froms, "--json"))["missing"]
    for words in ("apply", "ingest", "materialize", "train models/first.yaml"):
        run(mine, *words.split())
    trained = time.perf_counter() - began
    evaluation = json.loads(said(mine, "runs", "show", "r1", "--json"))["evaluation"]
    order = evaluation["auc"] or evaluation["metrics"]["spearman"]
    try:
        run(mine, "deploy", "home")
        found = ranked(mine, request_of(mine))
        answered = time.perf_counter() - began
        commands += 2  # the gateway, and the request
    finally:
        said(mine, "destroy", "--yes")
    assert len(set(found["scores"])) > 1, "the model tells items apart"
    kinds = ", ".join(f"{path.suffixes[0].strip('.')} {path.stat().st_size:,}" for path in sources)
    return (
        f"| {shape.replace('_', ' ')} | {kinds} | {commands} | {len(missing)} | {trained:.0f} s | "
        f"{answered:.0f} s | {order['value']:.3f} |"
    )


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--print-only", action="store_true", help="leave docs/your-data.md as it is"
    )
    options, _ = parser.parse_known_args()
    lines = list(HEAD)
    for shape in scaled(list(SHAPES), ["english_csv"]):
        folder = Path(tempfile.mkdtemp())
        try:
            lines.append(taken(shape, folder))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        print(lines[-1], flush=True)
    if not (options.print_only or SMALL):
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
        PAGE.write_text(
            before + BEGIN + "\n".join(lines) + "\n" + END + rest.partition(END)[2],
            encoding="utf-8",
        )
    print(f"each of {REQUESTS} lists of one simulated site whose truth is known")
    return 0


if __name__ == "__main__":
    sys.exit(main())
