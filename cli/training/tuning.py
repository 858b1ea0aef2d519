"""tune: search a model's parameters."""

from __future__ import annotations

import click

from ..console.command import command
from ..console.console import Console, relative
from .run_costs import say_cost


@command(
    changes=True,
    help="Try parameters of a configuration (models/*.yaml) as its `tune` says, in rounds of "
    "trials, and measure the best on a period that no trial saw. Nothing is registered.",
)
@click.argument("config", metavar="MODELFILE")
@click.option(
    "--resume",
    is_flag=True,
    help="Go on with the newest study of this configuration. Finished trials are not run again.",
)
def tune(console: Console, config: str, *, resume: bool) -> None:
    """Run `isthmus tune`: search a configuration's parameters in trials; print the best.

    With `resume` the newest study of the configuration is continued.
    """
    from ...lifecycle.verbs.tune import planned
    from ...lifecycle.verbs.tune import tune as search

    with console.open() as project:
        plan = planned(project, config, resume=resume)
        console.would(plan, f"{project.target.name:<7} tune {plan}")
        say_cost(console, plan.estimate)
        tuned = search(project, config, resume=resume)
    console.result(tuned, f"{tuned}\npage      {relative(tuned.page)}")
    console.next(f"train {tuned.path} --trial {tuned.trial}")
