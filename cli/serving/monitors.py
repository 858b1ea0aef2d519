"""monitor NAME, monitor list."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from ..console.command import command
from ..console.console import Console
from ..console.project_clock import opened
from ..console.tables import grid

ALARM = 3  # exit code: as `rollout wait` of one that was aborted


class _Monitors(click.Group):
    """`monitor NAME` is `monitor show NAME`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Treat `monitor NAME` as `monitor show NAME`, unless NAME is a command."""
        return super().resolve_command(ctx, args if args[0] in self.commands else ["show", *args])


@click.group(
    cls=_Monitors,
    help="Bias: what is shown, and who is served, by groups. `isthmus monitor NAME` looks.",
)
def monitor() -> None:
    """Group the commands on bias monitors."""


@command(
    help="What monitor NAME says of the days up to now, with alarms. It is kept, once a day. "
    "`isthmus monitor NAME` is short for it."
)
@click.argument("name")
@click.option(
    "--as-of",
    type=click.DateTime(),
    metavar="TIME",
    help="Cut the log, as it is known now, at that time (UTC). Nothing is kept.",
)
@click.option("--last", is_flag=True, help="What the last look said, without a query.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 3 when there is an alarm.")
def show(
    console: Console, name: str, *, as_of: datetime | None, last: bool, detailed_exitcode: bool
) -> None:
    """Run `isthmus monitor show`: compute a monitor's metrics now, store and print them.

    With `detailed_exitcode` it exits with 3 if there is an alarm.
    """
    from ...experiments.monitors.monitor import counterpart
    from ...experiments.monitors.monitor import show as look

    with opened(console) as project:
        monitored = look(
            project, name, as_of=as_of.replace(tzinfo=UTC) if as_of else None, last=last
        )
        console.result(monitored)
        other = counterpart(project.spec.monitors, name)
    if monitored.alarms:
        console.next(
            *([f"monitor {other}"] if other else []),
            f"endpoints explain {monitored.endpoint} '{{...}}'",
        )
        if detailed_exitcode:
            raise SystemExit(ALARM)


@command(name="list", help="The monitors of project.yaml, and what each said last.")
def list_(console: Console) -> None:
    """Run `isthmus monitor list`: print the monitors and the last verdict of each."""
    from ...experiments.monitors.monitor import list as listed

    with opened(console) as project:
        lines = listed(project)
    head = ("monitor", "endpoint", "groups", "by", "days", "looked at", "alarms")
    rows = [
        (
            line.monitor,
            line.endpoint,
            line.kind,
            line.groups,
            line.window,
            line.until or "never",
            ", ".join(line.alarms) or "-",
        )
        for line in lines
    ]
    console.result(lines, grid(rows, head=head) if rows else "project.yaml has no monitors")


for verb in (show, list_):
    monitor.add_command(verb)
