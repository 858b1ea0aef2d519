"""trust."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ...errors import Refused
from ..console.command import command
from ..console.console import Console


@command(
    help="Use what lies in the project's .isthmus, or in a stack's home, though it came from "
    "elsewhere: another machine, a backup, "
    "an older version. Shows it first. Where it came with a clone that you do not know, "
    "remove it instead."
)
@click.option(
    "--home",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A stack's home (stack up --home) instead.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
def trust(console: Console, *, home: Path | None, yes: bool) -> None:
    """Run `isthmus trust`: mark state that came from elsewhere as trusted by this user.

    It is the project's `.isthmus`, or with `home` the folder of an offline stack.
    """
    from ...lifecycle.start import trust as verb

    project = Path(console.path).absolute().parent
    if home is None:
        shown = verb.untrusted(project)
        if shown:
            console.say(*map(str, shown))
    if not yes:
        if console.as_json or not sys.stdin.isatty():
            raise Refused(
                "nothing was changed, as nobody here can say yes", remedy="isthmus trust --yes"
            )
        click.confirm(
            "Verbs will use its records: they name processes, ports, commands and modules. "
            "Trust it?",
            abort=True,
        )
    console.result(verb.trust(project) if home is None else verb.trust_home(home))
