"""compile: a training run as a document for another engine."""

from __future__ import annotations

import click

from ..console.command import command
from ..console.console import Console


@command(
    name="compile",
    changes=True,
    help="A training run as a document for Kubeflow Pipelines or Argo Workflows, on standard "
    "output; run.json goes to the target's bucket.",
)
@click.argument("config")
@click.option("--to", type=click.Choice(["kubeflow", "argo"]), required=True, help="The engine.")
@click.option("--run", metavar="NAME", help="The run's name (default: the next one).")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a key of the configuration for this run: parameters.C=1.",
)
def compile_(
    console: Console, config: str, to: str, run: str | None, overrides: tuple[str, ...]
) -> None:
    """Run `isthmus compile`: print a training run as a manifest for Kubeflow Pipelines or Argo.

    `to` is the engine, `run` the run's name, `overrides` change keys of the configuration.
    """
    from ...pipelines.training.compilation import compile_run

    console.aside = True
    with console.open() as project:
        done = compile_run(
            project, config, to="argo" if to == "argo" else "kubeflow", run=run, overrides=overrides
        )
    console.result(done)
    console.say(f"run {done.run}   {done.run_uri}\nnext   {done.submit}")
