"""ingest, and events list | show | diff | quarantine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import Refused
from .console import Console, command
from .tables import grid

if TYPE_CHECKING:
    from ..events.ingest import IngestReport


@command(changes=True, help="Validate and store events: of sources/*.sql, or of a file (JSON lines, CSV, Parquet) with --event.")
@click.argument("data", required=False, type=click.Path(exists=True, dir_okay=False))
@click.option("--event", metavar="NAME", help="The event that DATA holds, or the only source to read.")
@click.option("--max-bad", default="0.1%", show_default=True, metavar="PERCENT", help="The share that may be quarantined.")
def ingest(console: Console, data: str | None, event: str | None, max_bad: str) -> None:
    from ..events.ingest import ingest as store

    if data and not event:
        raise click.UsageError("say which event the file holds: --event NAME")
    with console.open() as project:
        try:
            reports = store(project, event=event, data=Path(data) if data else None, max_bad=share(max_bad))
        except Refused as error:
            console.say(_ingested(getattr(error, "reports", ())))
            raise
    console.result(reports, _ingested(reports))
    console.next("materialize")


def share(text: str) -> float:
    """`0.1%` or `0.001`, as a share of 1."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        raise click.UsageError(f"--max-bad is a share such as 0.1% or 0.001, not {text!r}") from None
    if not 0 <= value <= 1:
        raise click.UsageError(f"--max-bad is between 0% and 100%, not {text}")
    return value


def _ingested(reports: tuple[IngestReport, ...]) -> str:
    width = max((len(r.event) for r in reports), default=0)
    lines = []
    for r in reports:
        lines.append(
            f"{r.event:<{width}}   {r.read:>6,} read   {r.stored:>6,} stored   {r.already_there:,} already there"
            f"   {r.quarantined:,} quarantined   {r.seconds:.1f} s"
        )
        for reason in r.reasons:
            line = "" if reason.line is None else f"line {reason.line}"
            lines.append(f"{reason.count:>3,}   {reason.attribute:<17} {reason.reason:<50} {line}".rstrip())
    return "\n".join(lines)


@click.group(help="The event catalogue: list, show, diff, quarantine.")
def events() -> None: ...
