"""The command line: a table of commands, each in its own module, imported when it is called."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

import click

from ..core import logs, pandas_later
from ..core.escapes import escaping
from ..errors import Invalid
from .console.console import Console, show_warning
from .console.exits import guarded

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# heading -> command -> (module below this package, attribute, the line that `isthmus --help` shows)
GROUPS = {
    "Begin": {
        "init": ("project.start", "init", "Make a new project, or a copy of the example."),
        "demo": ("project.demo", "demo", "The whole example, from raw files to served answers."),
        "validate": (
            "project.start",
            "validate",
            "Check every file of the project, for every target.",
        ),
        "doctor": (
            "project.start",
            "doctor",
            "What works on this machine, and what to do about the rest.",
        ),
        "trust": ("project.trust", "trust", "Use a project's .isthmus that came from elsewhere."),
        "schema": (
            "project.start",
            "schema",
            "Print the JSON Schema of the project's files, for editors.",
        ),
        "completion": (
            "project.start",
            "completion",
            "Complete commands and names in bash, zsh or fish.",
        ),
    },
    "Build": {
        "plan": ("project.resources", "plan", "What would be made, and what differs."),
        "apply": (
            "project.resources",
            "apply",
            "Make the tables and views that the project describes.",
        ),
        "status": (
            "project.resources",
            "status",
            "What exists, how fresh it is, who has the traffic.",
        ),
        "destroy": ("project.resources", "destroy", "Remove what apply and deploy made."),
        "guard": (
            "project.guard",
            "guard",
            "Endpoints that nobody uses, and what they cost.",
        ),
        "events": ("data.events", "events", "The event catalogue: list, show, diff, quarantine."),
        "ingest": ("data.events", "ingest", "Validate and store events."),
        "materialize": (
            "data.features",
            "materialize",
            "Compute feature views and put them online.",
        ),
        "features": (
            "data.features",
            "features",
            "Read online features, check for skew and leaks.",
        ),
        "query": ("data.query", "query", "Read any table or view with SQL."),
        "dataset": (
            "data.dataset",
            "dataset",
            "Export a data set as Parquet files, and look at an export.",
        ),
        "stream": (
            "data.stream",
            "stream",
            "Read events as they come: list, run, start, status, stop, rebuild, replay.",
        ),
    },
    "Train": {
        "train": ("training.training", "train", "Train, evaluate, gate and register models."),
        "tune": (
            "training.tuning",
            "tune",
            "Search a model's parameters, and measure the best on days of its own.",
        ),
        "compile": (
            "training.compilation",
            "compile_",
            "A training run as a document for Kubeflow or Argo.",
        ),
        "runs": ("training.training", "runs", "List, show and compare runs; why a step ran again."),
        "models": ("training.training", "models", "Versions, aliases, promotion and lineage."),
        "predict": (
            "training.predictions",
            "predict",
            "Score a table of rows with a model version.",
        ),
    },
    "Serve": {
        "deploy": ("serving.endpoints", "deploy", "Put model versions behind an endpoint."),
        "import": (
            "serving.adoption",
            "import_",
            "Take over an endpoint that stands on a cloud already.",
        ),
        "endpoints": ("serving.endpoints", "endpoints", "List, invoke, watch and serve endpoints."),
        "gateway": (
            "serving.gateway",
            "gateway",
            "Serve endpoints over HTTP: rank, health, metrics.",
        ),
        "traffic": (
            "serving.endpoints",
            "traffic",
            "Change the split between variants, read back.",
        ),
        "rollout": (
            "serving.rollouts",
            "rollout",
            "Move traffic from one variant to another, step by step, guarded.",
        ),
        "experiment": (
            "serving.experiments",
            "experiment",
            "A/B tests: start, ramp and stop a run, compare its arms.",
        ),
        "monitor": (
            "serving.monitors",
            "monitor",
            "Bias: what is shown and who is served, by groups, with alarms.",
        ),
        "ui": ("serving.pages", "ui", "Experiments, endpoints, models, events in a browser."),
    },
    "Offline": {
        "stack": (
            "stack",
            "stack",
            (
                "The offline AWS and GCP: up, run, down, status, faults, coverage, the rights "
                "that were used."
            ),
        ),
    },
}
COMMANDS = {name: entry for commands in GROUPS.values() for name, entry in commands.items()}
USAGE = 64  # EX_USAGE: 2 would say that there is something to change
EXIT_CODES = {
    0: "done; `rollout wait`: promoted",
    1: "an error, told on stderr; nothing is half-made",
    2: "`plan --detailed-exitcode`: there is something to change",
    3: "`rollout wait`: aborted; `monitor --detailed-exitcode`: an alarm; "
    "`guard --detailed-exitcode`: something is idle",
    4: "`rollout wait`: it waits for a person",
    5: "`rollout wait --timeout`: it has not ended in that time",
    USAGE: "the command line is wrong",
    130: "stopped by Ctrl-C; the same command goes on",
}


class Lazy(click.Group):
    """`isthmus --help` imports no command."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """Return the names of all commands of `isthmus`."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command's module by the command's name, and return the command."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(f"{__package__}.{module}"), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list of commands into `isthmus --help`, in groups."""
        for heading, commands in GROUPS.items():
            with formatter.section(heading):
                formatter.write_dl(
                    [(name, line) for name, (_, _, line) in commands.items()], col_max=12
                )

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """List the commands that begin with the typed text, for the shell's completion."""
        from click.shell_completion import CompletionItem

        names = [
            CompletionItem(name, help=line)
            for name, (_, _, line) in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the arguments name; suggest the nearest for an unknown name."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from ..project.reading.names import nearest

            near = nearest(args[0], COMMANDS)
            raise click.UsageError(
                f"{error.message} Did you mean {near}?" if near else error.message, ctx
            ) from None


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="isthmus", message="isthmus %(version)s")
@click.option(
    "-C",
    "folder",
    type=click.Path(exists=True, file_okay=False),
    metavar="DIR",
    help="Begin in this folder.",
)
@click.option("--target", metavar="NAME", help="As after the command.")
@click.pass_context
def main(context: click.Context, folder: str | None, target: str | None) -> None:
    """Describe a ranking product once; run it on a laptop, on SageMaker or on Vertex AI."""
    context.obj = target
    if folder is not None:
        os.chdir(folder)


def run(arguments: list[str] | None = None) -> None:
    """Run the `isthmus` command line, and exit with its code (docs/reference.md, "Exit codes")."""
    pandas_later.install()
    logs.configure()
    warnings.showwarning = show_warning
    words = sys.argv[1:] if arguments is None else arguments
    fallback = Console(as_json="--json" in words)

    def call() -> None:
        main.main(words, prog_name="isthmus", standalone_mode=False)

    outer = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(escaping, outer)
    try:
        code = _run_guarded(call, fallback)
    finally:
        sys.stdout, sys.stderr = outer
    sys.exit(code)


def _run_guarded(call: Callable[[], None], fallback: Console) -> int:
    """Run a function that executes a command, print any error, and return the exit code.

    `fallback` prints the errors that come before the command has a console of its own.
    """
    try:
        return guarded(call, lambda: Console.speaking or fallback)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return 0
    except click.ClickException as error:
        (Console.speaking or fallback).fail(Invalid(error.format_message(), remedy=_usage(error)))
        return USAGE
    except click.exceptions.Exit as leaving:
        return leaving.exit_code


def _usage(error: click.ClickException) -> str | None:
    """Return the usage line of a command that was called wrongly, as a hint, or None."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    return (
        f"{context.get_usage().removeprefix('Usage: ')}   more: {context.command_path} --help"
        if context
        else None
    )
