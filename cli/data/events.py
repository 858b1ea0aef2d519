"""ingest, and events list | show | diff | quarantine."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...errors import Refused
from ..console.command import command
from ..console.console import Console
from ..console.tables import grid

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from ...events.intake.ingest import IngestReport
    from ...events.intake.staging import Late
    from ...events.refusals.reasons import Reason
    from ...project.specs.description import ParsedProject

_WORTH_SAYING = 0.3  # seconds


@command(
    changes=True,
    help="Validate and store events: the project's sources, or with --event a file, a folder or a "
    "glob (JSON lines, CSV, TSV, Parquet).",
)
@click.argument("data", required=False, type=click.Path())
@click.option(
    "--event", metavar="NAME", help="The event that DATA holds, or the only source to read."
)
@click.option(
    "--max-bad",
    default="1%",
    show_default=True,
    metavar="SHARE",
    help="How many of an event's rows may be quarantined: a share, or a number such as 20.",
)
@click.option(
    "--backfill",
    is_flag=True,
    help="Take events older than max_lateness, too: the first load of an old log.",
)
@click.option(
    "--corrects",
    is_flag=True,
    help="Events that are stored with another content are corrected by these, from now on.",
)
def ingest(
    console: Console,
    data: str | None,
    event: str | None,
    *,
    max_bad: str,
    backfill: bool,
    corrects: bool,
) -> None:
    """Run `isthmus ingest`: validate and store the events of the project's sources, or of `data`.

    The other parameters are the command's options.
    """
    from ...events.intake.ingest import ingest as store

    if data and not event:
        raise click.UsageError("say which event DATA holds: --event NAME")
    with console.open() as project:
        try:
            reports = store(
                project,
                event=event,
                data=Path(data) if data else None,
                max_bad=max_bad_of(max_bad),
                corrects=corrects,
                backfill=backfill,
                confirm_backfill=partial(_confirm_backfill, console) if _can_ask(console) else None,
            )
        except Refused as error:
            console.say(_ingested(getattr(error, "reports", ())))
            raise
    console.result(reports, _ingested(reports))
    console.next("materialize")


def _can_ask(console: Console) -> bool:
    """Return whether the command can ask the user a question on the terminal."""
    return sys.stdin.isatty() and not console.as_json and not console.dry_run


def _confirm_backfill(console: Console, event: str, late: Late) -> bool:
    """Ask the user whether events older than the allowed lateness are a back-fill."""
    console.say(
        f"{event}: {late.count:,} events are older than its max_lateness, "
        f"{_dates(late.first, late.last)}"
    )
    return click.confirm("Are they a back-fill, to be stored now?")


def _dates(first: datetime | None, last: datetime | None) -> str:
    """Return a period as text: `2024-01-01 .. 2024-01-07`, one day alone, or ""."""
    if first is None or last is None:
        return ""
    return (
        f"{first:%Y-%m-%d}"
        if first.date() == last.date()
        else f"{first:%Y-%m-%d} .. {last:%Y-%m-%d}"
    )


def max_bad_of(text: str) -> float:
    """Parse the option --max-bad: `1%` or `0.01` is a share of the rows, `20` a number of rows."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        raise click.UsageError(
            f"--max-bad is a share such as 1% or 0.01, or a number of rows, not {text!r}"
        ) from None
    if value < 0 or (value > 1 and (text.endswith("%") or not value.is_integer())):
        raise click.UsageError(f"--max-bad is between 0% and 100%, or a number of rows, not {text}")
    return value


def _ingested(reports: tuple[IngestReport, ...]) -> str:
    """Return how many events were read, stored and quarantined, as a text, a line each."""
    rows = [
        (r.event, f"{r.read:,}", f"{r.stored:,}", f"{r.already_there:,}", f"{r.quarantined:,}")
        for r in reports
    ]
    name, *widths = (max((len(row[i]) for row in rows), default=0) for i in range(5))
    lines = []
    for r, (event, *counts) in zip(reports, rows, strict=True):
        read, stored, present, bad = (
            count.rjust(width) for count, width in zip(counts, widths, strict=True)
        )
        retried = f"   {r.retried:,} that had waited were stored" if r.retried else ""
        corrected = f"   {r.corrected:,} corrected" if r.corrected else ""
        took = f"   {r.seconds:.1f} s" if r.seconds >= _WORTH_SAYING else ""
        lines.append(
            f"{event:<{name}}   {read} read   {stored} stored   {present} already there   "
            f"{bad} quarantined{corrected}{retried}{took}"
        )
        lines += _reasons(r)
    return "\n".join(lines)


def _reasons(report: IngestReport) -> Iterator[str]:
    """Yield lines of text on why rows were quarantined, each with its remedy."""
    place = max(
        (len(reason.reason) for reason in report.reasons if reason.line is not None), default=0
    )
    for reason in report.reasons:
        line = "" if reason.line is None else f"  line {reason.line}"
        if reason.line is not None and (file := reason.first_source.partition(": ")[2]):
            line = f"  {file}, line {reason.line}"
        dates = (
            f"   {days}" if reason.count > 1 and (days := _dates(reason.first, reason.last)) else ""
        )
        counted = f"{reason.count:>3,}   {reason.attribute:<17}"
        first = _first(reason)
        yield f"{counted} {reason.reason:<{place}}{line}{dates}{first}".rstrip()
        if reason.remedy:
            yield f"      {reason.remedy}"


def _first(reason: Reason) -> str:
    """Return text on the first quarantined row of several: its file, line and value."""
    if reason.count == 1 or reason.first_line is None or reason.key:
        return ""
    file = reason.first_source.partition(": ")[2]
    words = reason.first_reason.removesuffix(reason.reason).strip()
    place = f"   first: {f'{file}, ' if file else ''}line {reason.first_line}"
    return f"{place}: {words}" if words else place


@click.group(help="The event catalogue: list, show, diff, quarantine.")
def events() -> None:
    """Group the commands that show the project's events and what was quarantined."""


@command(help="Every event: attributes, owner, and who reads it.")
def list_(console: Console) -> None:
    """Run `isthmus events list`: print every event with its attributes, owner and readers."""
    from ...events.catalogue.verbs import list as catalogue

    entries = catalogue(_description(console))
    rows = [(e.name, len(e.attributes), e.owner, e.description) for e in entries]
    console.result(entries, grid(rows, head=("event", "attributes", "owner", "")))


@command(
    help="One event: its attributes with types and bounds, what they refer to, and who reads each."
)
@click.argument("event")
def show(console: Console, event: str) -> None:
    """Run `isthmus events show`: print one event's attributes, references and readers."""
    from ...events.catalogue.verbs import show as describe

    console.result(describe(_description(console), event))


@command(
    help="What changed in the events since a git revision. Exit code 1 when a change breaks a "
    "reader: for review in CI."
)
@click.argument("revision")
def diff(console: Console, revision: str) -> None:
    """Run `isthmus events diff`: print how the events changed since a git revision.

    The exit code is 1 if a change breaks a reader.
    """
    from ...events.catalogue.verbs import diff as compare

    with console.open() as project:
        changes = compare(project, revision)
    breaking = [change for change in changes if change.breaking]
    if console.as_json or not breaking:
        console.result(
            changes, "\n".join(map(str, changes)) or f"no event changed since {revision}"
        )
    if breaking and not console.as_json:
        for change in changes:
            click.echo(f"{'error' if change.breaking else 'ok':<7}{change}", err=change.breaking)
    if breaking:
        raise SystemExit(1)


@command(help="What was refused and is still open, by reason and one by one.")
@click.argument("event")
@click.option(
    "--limit", default=20, show_default=True, help="How many reasons and how many rows to show."
)
def quarantine(console: Console, event: str, limit: int) -> None:
    """Run `isthmus events quarantine`: print an event's refused rows that are still open."""
    from ...events.catalogue.verbs import quarantine as read

    with console.open() as project:
        waiting = read(project, event, limit=limit)
    if console.as_json:
        console.result(waiting)
        return
    groups, rows = waiting.groups, waiting.rows
    if not groups:
        console.say(f"{event}: nothing is quarantined")
        return
    shown = groups[:limit]
    console.say(
        grid(
            [
                (
                    g.count,
                    g.attribute,
                    g.reason,
                    _dates(g.first, g.last),
                    "tried again" if g.retry else "",
                )
                for g in shown
            ]
        )
    )
    if rest := groups[limit:]:
        console.say(f"{sum(g.count for g in rest):,} for {len(rest):,} other reasons (--limit)")
    console.say()
    columns = ("event_id", "attribute", "reason", "source", "line", "payload")
    console.say(grid([[_short(row[c]) for c in columns] for row in rows.to_pylist()], head=columns))


def _short(value: object) -> object:
    """Return a value, cut to 60 characters if it is a longer text."""
    return f"{value[:57]}..." if isinstance(value, str) and len(value) > 60 else value


def _description(console: Console) -> ParsedProject:
    """Return the parsed project files, for commands that need no target."""
    from ...project.load import load

    return load(Path(console.path))


for _name, _command in (
    ("list", list_),
    ("show", show),
    ("diff", diff),
    ("quarantine", quarantine),
):
    events.add_command(_command, _name)
