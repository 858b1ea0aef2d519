"""stream list | run | start | status | stop | rebuild | replay."""

from __future__ import annotations

import signal
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from ..console.command import command
from ..console.console import Console
from ..console.tables import grid

if TYPE_CHECKING:
    from ...events.consume.worker import WorkerReport

_LOCK = threading.Lock()  # workers tell their lines from threads of their own


class Duration(click.ParamType[timedelta]):
    """A duration such as 30m, as an option's value."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        """Parse the text of a duration; a mistake in it is told as click tells its own."""
        from ...project.reading.quantities import Mistake, duration

        if isinstance(value, timedelta):
            return value
        try:
            return duration(str(value))
        except Mistake as mistake:
            self.fail(f"{mistake.message}: {mistake.remedy}", param, ctx)


@click.group(help="Read events as they come: list, run, start, status, stop, rebuild, replay.")
def stream() -> None: ...


@command(help="What reads streams of events in this project, and whether it runs.")
def list_(console: Console) -> None:
    from ...lifecycle.streams.stream import list as list_consumers

    with console.open() as project:
        statuses = list_consumers(project)
    rows = [
        (s.consumer, s.kind, ", ".join(s.events), s.summary, f"{s.phase} on {s.holder}")
        if s.holder
        else (s.consumer, s.kind, ", ".join(s.events), s.summary, s.phase)
        for s in statuses
    ]
    console.result(statuses, grid(rows) if rows else "nothing in project.yaml reads a stream")


@command(
    changes=True,
    help="Read streams for CONSUMERs (default: all) in this process until Ctrl-C or SIGTERM: the "
    "batch under way is finished and checkpointed. For a container platform.",
)
@click.argument("consumers", nargs=-1, metavar="[CONSUMER]...")
@click.option("--for", "duration", type=Duration(), metavar="TIME", help="End after that long: 8h.")
@click.option(
    "--max-behind",
    type=Duration(),
    metavar="TIME",
    help="Exit with code 1 where a worker stays further behind its streams and does not catch up.",
)
def run(
    console: Console,
    consumers: tuple[str, ...],
    duration: timedelta | None,
    max_behind: timedelta | None,
) -> None:
    from ...core.signals import calling
    from ...lifecycle.streams.shown import report_line
    from ...lifecycle.streams.stream import run as work

    stop = threading.Event()
    with console.open() as project:

        def tell(report: WorkerReport) -> None:
            with _LOCK:
                console.say(report_line(project.target.name, report))

        with calling((signal.SIGINT, signal.SIGTERM), lambda _number: stop.set()):
            reports = work(
                project,
                consumers,
                duration=duration,
                max_behind=max_behind,
                stop_event=stop,
                tell=tell,
            )
    checkpoints = ", ".join(f"{r.consumer} {r.checkpoint}" for r in reports)
    console.result(reports, f"stopped   checkpoints: {checkpoints}")


@command(
    changes=True,
    help="Start the worker of CONSUMER as a pipeline step of the target, for some time. It goes on "
    "after this command; one reads at a time, whoever started it.",
)
@click.argument("consumer")
@click.option(
    "--for",
    "duration",
    type=Duration(),
    default="24h",
    show_default=True,
    metavar="TIME",
    help="How long it works.",
)
def start(console: Console, consumer: str, duration: timedelta) -> None:
    from ...lifecycle.streams.stream import start as begin
    from ...lifecycle.streams.stream import status as look

    with console.open() as project:
        if console.dry_run:
            console.would(look(project, [consumer]), f"{consumer}   a step for {duration}")
        change = begin(project, consumer, duration=duration)
    console.result(change)
    console.next(f"stream status {consumer}")


@command(help="How far CONSUMERs (default: all) have read: checkpoint, lag, their own counts.")
@click.argument("consumers", nargs=-1, metavar="[CONSUMER]...")
def status(console: Console, consumers: tuple[str, ...]) -> None:
    from ...lifecycle.streams.stream import status as look

    with console.open() as project:
        statuses = look(project, consumers)
    console.result(statuses, "\n".join(map(str, statuses)))


@command(
    changes=True,
    help="Ask the worker of CONSUMER to finish its batch and checkpoint, wherever it runs, and "
    "wait until it has.",
)
@click.argument("consumer")
def stop(console: Console, consumer: str) -> None:
    from ...lifecycle.streams.stream import status as look
    from ...lifecycle.streams.stream import stop as end

    with console.open() as project:
        if console.dry_run:
            console.would(look(project, [consumer]), f"{consumer}   its worker is asked to stop")
        console.result(end(project, consumer))


@command(
    changes=True,
    help="Throw away what CONSUMER has counted: its next run counts from the warehouse.",
)
@click.argument("consumer")
def rebuild(console: Console, consumer: str) -> None:
    from ...lifecycle.streams.stream import rebuild as throw_away
    from ...lifecycle.streams.stream import status as look

    with console.open() as project:
        if console.dry_run:
            console.would(look(project, [consumer]), f"{consumer}   its state is thrown away")
        console.result(throw_away(project, consumer))
    console.next(f"stream run {consumer}")


@command(
    help="Run the warehouse's events through the stream view or data set NAME on a virtual clock, "
    "and compare each row with its history, or with its objective. Nothing is written."
)
@click.argument("name")
@click.option(
    "--from",
    "since",
    type=click.DateTime(),
    metavar="TIME",
    help="Compare rows of this moment (UTC) and later.",
)
def replay(console: Console, name: str, since: datetime | None) -> None:
    from ...lifecycle.streams.stream import replay as run_through

    moment = since.replace(tzinfo=UTC) if since else None
    with console.open() as project:
        report = run_through(project, name, since=moment)
    console.result(report)
    if report.differ:
        raise SystemExit(1)


for _name, _command in (
    ("list", list_),
    ("run", run),
    ("start", start),
    ("status", status),
    ("stop", stop),
    ("rebuild", rebuild),
    ("replay", replay),
):
    stream.add_command(_command, _name)
