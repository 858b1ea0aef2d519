"""`import isthmus` and `isthmus --help`, CPU seconds above a bare interpreter. Goals: 30 ms and 150 ms."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from .measure import Line, cpu_seconds, table


def main() -> None:
    python = sys.executable
    script = str(Path(python).with_name("isthmus"))
    bare = cpu_seconds([python, "-c", "pass"])
    lines = [Line(name="python -c pass", value=f"{bare * 1e3:.0f} ms", ratio=1.0)]
    for name, command, goal in (
        ("import isthmus", [python, "-c", "import isthmus"], "goal: 30 ms above"),
        ("isthmus --help", [script, "--help"], "goal: 150 ms above"),
        ("import click, pyarrow, duckdb", [python, "-c", "import click, pyarrow, duckdb"], "what is not imported"),
    ):
        if name.startswith("isthmus ") and not shutil.which(script):
            continue
        spent = cpu_seconds(command)
        lines.append(Line(name=name, value=f"+{(spent - bare) * 1e3:.0f} ms", ratio=spent / bare, goal=goal))
    table("imports (CPU, least of 7 runs)", lines)


if __name__ == "__main__":
    main()
