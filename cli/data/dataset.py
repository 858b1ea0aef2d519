"""dataset export | show."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from ..console.command import command
from ..console.console import Console


@click.group(help="Export a data set as Parquet files, and look at an export.")
def dataset() -> None: ...


@command(
    help="Write the rows of the data set NAME whose outcome is known as Parquet files by day, with "
    "a manifest. It is whole or not there; the same export again changes nothing."
)
@click.argument("name")
@click.option(
    "--from",
    "since",
    type=click.DateTime(),
    metavar="TIME",
    help="Rows shown at this moment (UTC) or later.",
)
@click.option(
    "--until",
    type=click.DateTime(),
    metavar="TIME",
    help="Rows whose outcome was known before this moment (UTC). Default: now.",
)
@click.option("--to", metavar="FOLDER", help="A new folder. Default: in the target's store.")
def export(
    console: Console,
    name: str,
    since: datetime | None,
    until: datetime | None,
    to: str | None,
) -> None:
    from ...lifecycle.verbs.dataset import export as write

    begin, end = (moment.replace(tzinfo=UTC) if moment else None for moment in (since, until))
    with console.open() as project:
        console.result(write(project, name, since=begin, until=end, to=to))


@command(
    project=False,
    help="What the export in FOLDER has, after checking that each file is what was written.",
)
@click.argument("folder")
def show(console: Console, folder: str) -> None:
    from ...lifecycle.verbs.dataset import show as look

    console.result(look(folder))


for _name, _command in (("export", export), ("show", show)):
    dataset.add_command(_command, _name)
