"""Measure `import isthmus`, `isthmus --help` and what a shell asks at TAB.

The figures are CPU above a bare interpreter. The goals are 30 ms, 150 ms, 150 ms in all.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from .measure import Line, cpu_seconds, table

EXAMPLE = Path(__file__).parents[1] / "examples" / "openbandit"


def main() -> None:
    python = sys.executable
    script = str(Path(python).with_name("isthmus"))
    bare = cpu_seconds([python, "-c", "pass"])
    lines = [Line(name="python -c pass", value=f"{bare * 1e3:.0f} ms", ratio=1.0)]
    for name, command, goal in (
        ("import isthmus", [python, "-c", "import isthmus"], "goal: 30 ms above"),
        ("isthmus --help", [script, "--help"], "goal: 150 ms above"),
        *(
            (f"isthmus {line}TAB", _at_tab(script, line), "goal: 150 ms in all")
            for line in ("", "deploy ", "train models/", "runs show ")
        ),
        (
            "import click, pyarrow, duckdb",
            [python, "-c", "import click, pyarrow, duckdb"],
            "what is not imported",
        ),
    ):
        if name.startswith("isthmus ") and not shutil.which(script):
            continue
        spent = cpu_seconds(command)
        lines.append(
            Line(name=name, value=f"+{(spent - bare) * 1e3:.0f} ms", ratio=spent / bare, goal=goal)
        )
    table("imports (CPU, least of 7 runs)", lines)


def _at_tab(script: str, line: str) -> list[str]:
    """Return the command that bash runs to complete a line, in the example's folder."""
    words = f"isthmus -C {EXAMPLE} {line}"
    return [
        "env",
        "_ISTHMUS_COMPLETE=bash_complete",
        f"COMP_WORDS={words}",
        f"COMP_CWORD={words.count(' ')}",
        script,
    ]


if __name__ == "__main__":
    main()
