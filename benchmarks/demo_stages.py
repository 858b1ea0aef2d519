"""Measure `isthmus demo` by stage, on the laptop and on the clouds' offline stacks.

The goal is 60 s each; 120 s is the limit.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import suppress
from pathlib import Path

from .measure import SMALL, Line, scaled, table

GOALS = dict.fromkeys(scaled(("local", "sagemaker", "vertex"), ("local",)), "goal: 60 s")
ENOUGH = "ingest"  # the stage after which --small has seen enough


class SeenEnough(Exception):
    """The signal that ends a small demo."""


def main() -> None:
    least: dict[str, float] = {}
    for target, goal in GOALS.items():  # the laptop first: the others are compared with it
        seconds = stages(target)
        least = least or seconds
        lines = [
            Line(name=name, value=f"{taken:.1f} s", ratio=taken / max(least[name], 0.01))
            for name, taken in seconds.items()
        ]
        total = sum(seconds.values())
        lines.append(
            Line(name="all", value=f"{total:.1f} s", ratio=total / sum(least.values()), goal=goal)
        )
        table(f"isthmus demo --target {target}, by stage; ratio to the laptop's", lines)


def stages(target: str) -> dict[str, float]:
    """Return the seconds of each stage; the first opens the project and starts the stack."""
    import isthmus as im
    from isthmus.core.runtime import stacks
    from isthmus.lifecycle.demo.demo import demo
    from isthmus.project.scaffold import create

    began = time.perf_counter()
    ended: list[tuple[str, float]] = []

    def note(_number, _total, name, _result) -> None:
        ended.append((name, time.perf_counter()))
        if SMALL and name == ENOUGH:
            raise SeenEnough

    with tempfile.TemporaryDirectory(prefix="isthmus-bench-") as parent:
        folder = Path(parent) / "openbandit"
        create(folder, example="openbandit")
        try:
            with (
                suppress(SeenEnough),
                im.open(folder / "project.yaml", target=target, offline=True) as project,
            ):
                ended.append(("open", time.perf_counter()))
                demo(project, on_stage=note)
        finally:
            stacks.stop(folder)
    begins = [began, *(ended_at for _, ended_at in ended)]
    return {name: end - begin for (name, end), begin in zip(ended, begins, strict=False)}


if __name__ == "__main__":
    main()
