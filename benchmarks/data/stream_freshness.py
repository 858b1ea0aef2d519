"""Measure how soon an emitted event is in a served feature, on the laptop and on both offline clouds.

A worker (`isthmus stream run`, another process) counts clicks of an item in tiles of one second.
Events are emitted one at a time, and the online store is read until the item's count has grown.
A row is put when its tile has ended, so half a second is the least that can be expected on average.
`python -m benchmarks.data.stream_freshness [TARGET ...]`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import isthmus as im
from benchmarks.measure import Line, scaled, table

EVENTS = scaled(100, 3)
PROJECT = """
name: fresh
entities:
  item: {key: item_id, type: int}
events:
  click: {attributes: {item_id: {type: int}}}
feature_views:
  item_live:
    entity: item
    ttl: 1h
    stream: {every: 1s, lateness: 1m, delay: 1s}
    features: {item_clicked_1h: {count: click, window: 1h}}
"""
PROFILES = Path(__file__).parents[2] / "examples/shop/profiles.yaml"


def main() -> None:
    named = [word for word in sys.argv[1:] if not word.startswith("-")]
    lines = []
    for target in named or ["local", "sagemaker", "vertex"]:
        with tempfile.TemporaryDirectory() as folder:
            waits = sorted(freshness(Path(folder), target))
        lines += [
            Line(
                name=f"{target}: p{share}",
                value=f"{waits[min(len(waits) - 1, len(waits) * share // 100)]:.2f} s",
                goal="<= 2 s" if (target, share) == ("local", 95) else "",
            )
            for share in (50, 95)
        ]
    table(f"From emit to the served feature, every: 1s, {EVENTS} events", lines)


def freshness(folder: Path, target: str) -> list[float]:
    """Return the seconds from each emitted event until its item's served count has grown."""
    (folder / "project.yaml").write_text(PROJECT)
    (folder / "profiles.yaml").write_text(PROFILES.read_text())
    from isthmus.core.runtime import stacks

    offline = target != "local"
    command = [sys.executable, "-m", "isthmus", "stream", "run", "item_live", "--target", target]
    command += ["--offline"] * offline + ["--project", str(folder)]
    with im.open(folder / "project.yaml", target=target, offline=offline) as project:
        im.apply(project)
        with (folder / "worker.txt").open("w") as log:
            worker = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            first = after_emit(project, worker, 0, patience=300)  # the worker begins meanwhile
            waits = [after_emit(project, worker, number) for number in range(1, EVENTS + 1)]
        except TimeoutError:
            print((folder / "worker.txt").read_text()[-2000:])
            raise
        finally:
            worker.terminate()
            worker.wait()
            if offline:
                stacks.stop(folder)
    print(f"{target}: the first was served after {first:.1f} s, the worker's start included")
    return waits


def after_emit(
    project: im.Project, worker: subprocess.Popen[bytes], number: int, *, patience: float = 60
) -> float:
    """Emit a click of an item of its own, and return the seconds until it is served.

    Raises:
        TimeoutError: It was not served in time, or the worker has ended.
    """
    time.sleep((number * 0.37) % 1)  # at any moment of a tile
    begun = time.monotonic()
    event = {"event_id": f"c{number}", "event_timestamp": datetime.now(UTC), "item_id": number}
    assert not im.emit(project, "click", [event])
    while time.monotonic() < begun + patience:
        (row,) = project.target.online.get({"item_live": [str(number)]})["item_live"]
        if row is not None and row["item_clicked_1h"] == 1:
            return time.monotonic() - begun
        if worker.poll() is not None:
            raise TimeoutError(f"the worker ended with exit code {worker.returncode}")
        time.sleep(0.01)
    raise TimeoutError(f"event {number} was not served within {patience} s")


if __name__ == "__main__":
    main()
