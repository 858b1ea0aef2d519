"""guard."""

from __future__ import annotations

import click

from ..console.command import command
from ..console.console import Console

IDLE = 3  # exit code: as `monitor` with an alarm


@command(
    changes=True,
    help="Endpoints without a request for as long as `idle:` in profiles.yaml says (6h), and what "
    "they cost. What cannot be measured is unknown, never idle.",
)
@click.option(
    "--stop",
    is_flag=True,
    help="Remove those that are idle; deploy brings them back, with versions and split. `then: "
    "stop` in profiles.yaml is the same; where nobody can be asked, on an account, with --yes.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--detailed-exitcode", is_flag=True, help="Exit with 3 when something idle is left standing."
)
def guard(console: Console, stop: bool, yes: bool, detailed_exitcode: bool) -> None:
    """Run `isthmus guard`: print endpoints without requests; with `stop` remove them.

    With `yes` it does not ask. With `detailed_exitcode` it exits with 3 if something idle is left.
    """
    from ...lifecycle.resources.guard import guard as look
    from ...lifecycle.resources.stopping import stop as remove

    with console.open() as project:
        guarded = look(project)
        names = guarded.to_stop
        stops = bool(names) and (
            stop or (guarded.then == "stop" and console.may_change(project, yes=yes))
        )
        if stops:
            console.would(guarded)
            console.ask(project, f"stop {', '.join(names)}?", lambda: guarded, yes=yes)
            guarded = remove(project)
    console.result(guarded)
    if stops:
        console.next(*(f"deploy {name}" for name in names))
    elif names:
        console.next("guard --stop --yes" if guarded.then == "stop" else "guard --stop")
    if guarded.idle and detailed_exitcode:
        raise SystemExit(IDLE)
