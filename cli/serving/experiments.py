"""The commands of `isthmus experiment`.

start, ramp, stop, close, list, status, history, audit, results, power, report.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path

import click

from ..console.command import command
from ..console.console import Console, relative
from ..console.project_clock import opened
from ..console.tables import grid


@click.group(
    help="A/B tests: start, ramp and stop a run, compare its arms, say how long one takes."
)
def experiment() -> None:
    """Group the commands on experiments: start, ramp, stop, results, power and others."""


def _per_day(_context: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
    """Parse an option's number of units a day, such as `8000/day` or `8000`; None stays None."""
    if value is None:
        return None
    number = re.fullmatch(r"([0-9][0-9_,]*)(/day)?", value.strip())
    count = int(re.sub(r"[_,]", "", number[1])) if number else 0
    if not count:
        raise click.BadParameter(f"{value!r} is not a number of units a day: write 8000/day")
    return count


class Percent(click.ParamType[Decimal]):
    """`40` or `40%`."""

    name = "percent"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Decimal:
        """Parse an option's percentage, `40` or `40%`."""
        try:
            return Decimal(str(value).removesuffix("%"))
        except InvalidOperation:
            self.fail(f"{value!r} is not a percentage: write 40", param, ctx)


_because = click.option(
    "--because", required=True, metavar="TEXT", help="Why. It stands in the history."
)


@command(
    changes=True, help="Start a run of EXPERIMENT: from now on its units are assigned to its arms."
)
@click.argument("name", metavar="EXPERIMENT")
def start(console: Console, name: str) -> None:
    """Run `isthmus experiment start`: start a run, so that units are assigned to its arms."""
    from ...experiments.experiment import start as begin

    with opened(console) as project:
        console.would({"start": name}, f"{project.target.name:<7} start {name}")
        console.result(begin(project, name))
    console.next(f"experiment status {name}")


@command(
    changes=True, help="Give the run of EXPERIMENT another share of its layer. Nobody changes arm."
)
@click.argument("name", metavar="EXPERIMENT")
@click.argument("percent", type=Percent())
@click.option("--because", default="", metavar="TEXT", help="Why. It stands in the history.")
def ramp(console: Console, name: str, percent: Decimal, because: str) -> None:
    """Run `isthmus experiment ramp`: change the share of units that take part in a run."""
    from ...experiments.experiment import ramp as change

    with opened(console) as project:
        console.would(
            {"ramp": name, "percent": percent},
            f"{project.target.name:<7} ramp {name} to {percent} %",
        )
        console.result(change(project, name, percent, because=because))


@command(
    changes=True,
    help="End the run of EXPERIMENT. With --ship every unit has that arm's parameters until "
    "`close`.",
)
@click.argument("name", metavar="EXPERIMENT")
@click.option("--ship", metavar="ARM", help="The arm that every unit gets, but for the holdout.")
@_because
@click.option("--yes", is_flag=True, help="Do not ask.")
def stop(console: Console, name: str, ship: str | None, because: str, *, yes: bool) -> None:
    """Run `isthmus experiment stop`: end a run; with `ship` every unit gets that arm's parameters.

    `because` is the reason, for the history.
    """
    from ...experiments.experiment import stop as end

    with opened(console) as project:
        words = f"{project.target.name:<7} stop {name}{f' and ship {ship}' if ship else ''}"
        console.would({"stop": name, "ship": ship}, words)
        console.ask(project, "stop?", lambda: words, yes=yes)
        console.result(end(project, name, because=because, ship=ship))
    if ship:
        console.next(f"experiment close {name}")


@command(
    changes=True,
    help="Make what EXPERIMENT has shipped the endpoint's own, and end the run. Killed, or "
    "stopped: run it again.",
)
@click.argument("name", metavar="EXPERIMENT")
@click.option("--everybody", is_flag=True, help="Also where it has shipped to some units only.")
def close(console: Console, name: str, *, everybody: bool) -> None:
    """Run `isthmus experiment close`: make the shipped parameters the endpoint's own; end the run.

    With `everybody` also if it has shipped to some units only.
    """
    from ...experiments.experiment import close as bring_home

    with opened(console) as project:
        console.would({"close": name}, f"{project.target.name:<7} close {name}")
        if not console.dry_run:
            console.say("it may take some minutes; stopped or killed, run it again and it goes on")
        closed = bring_home(project, name, everybody=everybody)
        console.result(closed)
    if not closed.home:
        raise SystemExit(1)


@command(help="How the run of EXPERIMENT stands, or how the last one ended.")
@click.argument("name", metavar="EXPERIMENT")
def status(console: Console, name: str) -> None:
    """Run `isthmus experiment status`: print the state of an experiment's newest run."""
    from ...experiments.experiment import status as look

    with opened(console) as project:
        console.result(look(project, name))


@command(help="Every change of EXPERIMENT's runs, or of all: who, when, from what to what, why.")
@click.argument("name", metavar="EXPERIMENT", required=False)
def history(console: Console, name: str | None) -> None:
    """Run `isthmus experiment history`: print every change of one experiment's runs, or of all."""
    from ...experiments.experiment import history as changes_of
    from ...experiments.running.answers import history_text
    from ...experiments.simulation.clock import simulated_span

    with opened(console) as project:
        changes = changes_of(project, name)
        console.result(changes, history_text(changes, simulated_span(project.target)))


@command(
    help="Compute the arm of every logged unit of EXPERIMENT's run once more. Exit code 1: some "
    "are not the hash's."
)
@click.argument("name", metavar="EXPERIMENT")
def audit(console: Console, name: str) -> None:
    """Run `isthmus experiment audit`: compare each logged unit's arm with that of the hash.

    The exit code is 1 if some differ.
    """
    from ...experiments.experiment import audit as judge

    with opened(console) as project:
        judgement = judge(project, name)
        console.result(judgement)
    if not judgement.sound:
        raise SystemExit(1)


@command(name="list", help="The experiments of project.yaml, and the runs that are live.")
def list_(console: Console) -> None:
    """Run `isthmus experiment list`: print the project's experiments and the live runs."""
    from ...experiments.experiment import list as listed

    with opened(console) as project:
        lines = listed(project)
        head = ("run", "layer", "state", "share", "units", "since", "metric", "verdict", "owner")
        rows = [
            (
                line.run,
                line.layer,
                line.state,
                "-" if line.share is None else f"{line.share.normalize():f} %",
                "-" if line.units is None else line.units,
                "-" if line.since is None else f"{line.since:%Y-%m-%d}",
                line.metric,
                line.verdict or "-",
                line.owner,
            )
            for line in lines
        ]
        console.result(lines, grid(rows, head=head) if rows else "project.yaml has no experiments")


@command(
    help="The arms of EXPERIMENT's newest run, or of a run (NAME.2), beside each other, with "
    "intervals and a verdict."
)
@click.argument("name", metavar="EXPERIMENT")
@click.option(
    "--as-of",
    type=click.DateTime(),
    metavar="TIME",
    help="Cut the log, as it is known now, at that time (UTC). Nothing is recorded.",
)
@click.option("--last", is_flag=True, help="What the last look showed, without a query.")
@click.option(
    "--despite-split",
    is_flag=True,
    help="Also where units did not come to the arms as planned, and every figure may be biased.",
)
def results(
    console: Console, name: str, as_of: datetime | None, last: bool, despite_split: bool
) -> None:
    """Run `isthmus experiment results`: print the comparison of a run's arms, with a verdict.

    `as_of` cuts the log, `last` prints the stored results without a query, `despite_split` prints
    them even if units were not split as planned.
    """
    from ...experiments.experiment import results as compare
    from ...experiments.results.log_document import json_document

    with opened(console) as project:
        moment = as_of.replace(tzinfo=UTC) if as_of else None
        shown = compare(project, name, as_of=moment, last=last, despite_split=despite_split)
        console.result(json_document(shown), str(shown))
    console.next(f"experiment report {name}")


def _share(_context: click.Context, _parameter: click.Parameter, value: str | None) -> float | None:
    """Parse an option's share, such as `0.4%` or `0.004`, as a fraction; None stays None."""
    if value is None:
        return None
    try:
        return (
            float(Decimal(value.removesuffix("%")) / 100)
            if value.endswith("%")
            else float(Decimal(value))
        )
    except InvalidOperation:
        raise click.BadParameter(f"{value!r} is not a share: write 0.4%") from None


@command(
    help="How many units an effect needs, and how many days, by what the log has: EXPERIMENT's "
    "control, or its endpoint's units."
)
@click.argument("name", metavar="EXPERIMENT")
@click.option(
    "--units",
    callback=_per_day,
    metavar="N/day",
    help="Units that come in a day, all arms together.",
)
@click.option(
    "--days",
    type=click.IntRange(1, 365),
    default=14,
    show_default=True,
    help="Say what so many days show.",
)
@click.option(
    "--control",
    callback=_share,
    metavar="SHARE",
    help="The control's rate, where the log has none yet: 0.4%.",
)
def power(console: Console, name: str, units: int | None, days: int, control: float | None) -> None:
    """Run `isthmus experiment power`: print how many units and days an effect takes to show."""
    from ...experiments.experiment import power as sized

    with opened(console) as project:
        console.result(sized(project, name, units_per_day=units, days=days, control=control))


@command(help="EXPERIMENT's results as a page; of a run what the newest look showed.")
@click.argument("name", metavar="EXPERIMENT")
@click.option(
    "--despite-split",
    is_flag=True,
    help="Also where units did not come to the arms as planned, and every figure may be biased.",
)
def report(console: Console, name: str, despite_split: bool) -> None:
    """Run `isthmus experiment report`: write an experiment's newest results as an HTML page."""
    from ...experiments.experiment import report as write

    with opened(console) as project:
        written = write(project, name, despite_split=despite_split)
        console.result({"page": str(written)}, f"page   {relative(written)}")


@command(
    changes=True,
    help="Let SPEC.yaml's made-up visitors come to the gateway, on a simulated clock, and compare "
    "with what is true.",
)
@click.argument("spec", type=click.Path(path_type=Path), metavar="SPEC.yaml")
def simulate(console: Console, spec: Path) -> None:
    """Run `isthmus experiment simulate`: let simulated visitors call the gateway.

    It prints the results beside the true effects. `spec` is the simulation's YAML file.
    """
    from ...experiments.experiment import simulate as play

    with console.open() as project:
        path = spec if spec.exists() else project.folder / spec
        console.would({"simulate": str(spec)}, f"{project.target.name:<7} simulate {spec}")
        console.result(play(project, path))


for verb in (
    start,
    ramp,
    stop,
    close,
    list_,
    status,
    history,
    audit,
    results,
    power,
    report,
    simulate,
):
    experiment.add_command(verb)
