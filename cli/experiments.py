"""experiment list | results | power | report."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import click

from .console import Console, command, relative
from .tables import grid


@click.group(help="Compare the arms of an A/B test: list, results, power, report.")
def experiment() -> None: ...


def _per_day(_context: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
    """`8000/day`, or the number alone."""
    if value is None:
        return None
    number = re.fullmatch(r"([0-9][0-9_,]*)(/day)?", value.strip())
    count = int(re.sub(r"[_,]", "", number[1])) if number else 0
    if not count:
        raise click.BadParameter(f"{value!r} is not a number of units a day: write 8000/day")
    return count


@command(name="list", help="The experiments of project.yaml.")
def list_(console: Console) -> None:
    with console.open() as project:
        experiments = project.spec.analyses.values()
        rows = [(e.name, f"{e.event}.{e.attribute}", f"{e.control} : {e.treatment}", e.metric, "analysis", e.owner) for e in experiments]
        head = ("experiment", "arm", "arms", "metric", "state", "owner")
        text = grid(rows, head=head) if rows else "project.yaml has no experiments"
        console.result([dict(zip(head, row, strict=True)) for row in rows], text)


@command(help="The arms of EXPERIMENT beside each other, with intervals and a verdict.")
@click.argument("name", metavar="EXPERIMENT")
@click.option("--as-of", type=click.DateTime(), metavar="TIME", help="What a look at that time (UTC) would have said.")
def results(console: Console, name: str, as_of: datetime | None) -> None:
    from ..experiments.results import results as compare

    with console.open() as project:
        console.result(compare(project, name, as_of=as_of.replace(tzinfo=UTC) if as_of else None))
    console.next(f"experiment report {name}")


@command(help="How many units an effect needs, and how many days, by what EXPERIMENT's control shows in the log.")
@click.argument("name", metavar="EXPERIMENT")
@click.option("--units", callback=_per_day, metavar="N/day", help="Units that come in a day, both arms together.")
@click.option("--days", type=click.IntRange(1, 365), default=14, show_default=True, help="Say what so many days show.")
def power(console: Console, name: str, units: int | None, days: int) -> None:
    from ..experiments.powering import power as sized

    with console.open() as project:
        console.result(sized(project, name, units_per_day=units, days=days))


@command(help="EXPERIMENT's results as a page.")
@click.argument("name", metavar="EXPERIMENT")
def report(console: Console, name: str) -> None:
    from ..experiments.report import report as write

    with console.open() as project:
        written = write(project, name)
        console.result({"page": str(written)}, f"page   {relative(written)}")


for verb in (list_, results, power, report):
    experiment.add_command(verb)
