"""guard."""

from __future__ import annotations

import click

from ..console.command import command
from ..console.console import Console

IDLE = 3  # exit code: as `monitor` with an alarm


@command(
    help="Endpoints without a request for as long as `idle:` in profiles.yaml says (6h), and what "
    "they cost. What cannot be measured is unknown, never idle."
)
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 3 when something is idle.")
def guard(console: Console, detailed_exitcode: bool) -> None:
    from ...lifecycle.resources.guard import guard as look

    with console.open() as project:
        guarded = look(project)
    console.result(guarded)
    if guarded.idle and detailed_exitcode:
        raise SystemExit(IDLE)
