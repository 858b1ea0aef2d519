"""query: SQL over the target's tables and views."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from ...reports.columns import plural
from ..console.command import command
from ..console.console import Console
from ..console.tables import TextTable, grid
from ..serving.endpoints import parameter

if TYPE_CHECKING:
    import pyarrow as pa

_WIDE = 60  # characters of a cell


@command(
    help="Read the target's tables and views (`isthmus status` lists them): one SELECT of the SQL "
    "that all targets share, or - for stdin. "
    "A cloud bills what it scans."
)
@click.argument("sql")
@click.option(
    "--param",
    "params",
    multiple=True,
    metavar="NAME=JSON",
    help="The value of $NAME. May be repeated.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=100,
    show_default=True,
    help="How many rows at most.",
)
def query(console: Console, sql: str, params: tuple[str, ...], limit: int) -> None:
    """Run `isthmus query`: print the rows of one SELECT on the target's tables and views.

    `params` are the values of the statement's `$names`, as NAME=VALUE.
    """
    from ...feature_store.offline.query import query as ask

    text = sys.stdin.read() if sql == "-" else sql
    with console.open() as project:
        rows = ask(project, text, limit=limit + 1, **dict(map(parameter, params)))
    shown = rows.slice(0, limit)
    console.result(shown, _table(shown))
    if rows.num_rows > limit:
        click.echo(f"more than {plural(limit, 'row')}: --limit shows more of them", err=True)


def _table(rows: pa.Table) -> TextTable:
    """Return a query's result as a table of text cells for the terminal."""
    return grid(
        [[_short(value) for value in row.values()] for row in rows.to_pylist()],
        head=rows.column_names,
    )


def _short(value: object) -> object:
    """Return a value, cut to the width of a table's cell if it is a longer text."""
    return f"{value[: _WIDE - 3]}..." if isinstance(value, str) and len(value) > _WIDE else value
