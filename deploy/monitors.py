"""Look once at every monitor, from cron or from a function that is called once a day.

Such a function is AWS Lambda's or Cloud Run's, and `handler` is its handler. As a script it exits
with 3 on an alarm, with 1 where it could not look, and prints a line a monitor. As a handler it
raises either, so that the schedule's own alarm tells of it. Looks are kept once a day: a call that
is repeated, or tried again, does no harm. PROJECT (default: project.yaml beside this file) and
TARGET (default: profiles.yaml's) are environment variables.
"""
# ruff: noqa: INP001  a script, not a package

from __future__ import annotations

import os
import sys
from pathlib import Path

import isthmus as im
from isthmus.errors import IsthmusError

ALARM, FAILED = "ALARM", "error"


def looked() -> dict[str, str]:
    """Look at every monitor and return a line for each, also where a look fails."""
    path = Path(os.environ.get("PROJECT", Path(__file__).parent / "project.yaml"))
    with im.open(path, target=os.environ.get("TARGET")) as project:
        return {name: _line(project, name) for name in project.spec.monitors}


def _line(project: im.Project, name: str) -> str:
    try:
        alarms = im.monitor.show(project, name).alarms
    except IsthmusError as error:
        return f"{FAILED}   {error}"
    return (
        f"{ALARM}   "
        f"{', '.join(f'{row.figure} {row.group} {row.of} {row.value:.3g}' for row in alarms)}"
        if alarms
        else "quiet"
    )


def handler(_event: object = None, _context: object = None) -> dict[str, str]:
    """Look at every monitor and return a line for each.

    Raises:
        RuntimeError: A monitor has an alarm, or could not look.
    """
    lines = looked()
    if loud := [f"{name}   {line}" for name, line in lines.items() if line != "quiet"]:
        raise RuntimeError("\n".join(loud))
    return lines


if __name__ == "__main__":
    lines = looked()
    sys.stdout.write("".join(f"{name}   {line}\n" for name, line in lines.items()))
    sys.exit(
        3
        if any(line.startswith(ALARM) for line in lines.values())
        else any(line.startswith(FAILED) for line in lines.values())
    )
