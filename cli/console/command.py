"""The options of every command: the project's, `--json`, `--dry-run`; examples and completion."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

import click
from click.core import ParameterSource

from ...core import logs, spans
from .console import PROJECT, Console, project_file

# Of what is refused while an ended rollout keeps the traffic.
waits = click.option(
    "--wait",
    is_flag=True,
    help="First wait until a rollout that was aborted, or has ended, gives the traffic back.",
)


class Command(click.Command):
    """A command whose help ends with an example and whose parameters complete names."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's example line at the end of its `--help`."""
        from .examples import EXAMPLES

        if line := EXAMPLES.get(ctx.command_path.removeprefix("isthmus ")):
            with formatter.section("Example"):
                formatter.write_text(f"isthmus {line}")

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Parse the command's arguments; for a shell's completion, set up that of names first."""
        if extra.get("resilient_parsing"):  # a shell asks what may come next
            from .completion import complete_names

            complete_names(
                self, group=parent.command_path.removeprefix("isthmus ") if parent else ""
            )
        return super().make_context(info_name, args, parent, **extra)


def command(
    *, changes: bool = False, project: bool = True, above: bool = True, **settings: Any
) -> Callable[[Callable[..., Any]], click.Command]:
    """Return a decorator that makes a function, which takes a Console first, a click command.

    `changes` adds the option `--dry-run`; `project=False` leaves out the options that choose a
    project; with `above`, project.yaml may be in a folder above this one. Further settings go to
    click.
    """

    def decorate(function: Callable[..., Any]) -> click.Command:
        @wraps(function)
        def call(**arguments: Any) -> None:
            console = Console(
                path=project_file(arguments.pop("project_path", PROJECT), above=above),
                target=_target(arguments.pop("target", None), takes_one=project),
                offline=arguments.pop("offline", False),
                as_json=arguments.pop("as_json"),
                dry_run=arguments.pop("dry_run", False),
                quiet=arguments.pop("quiet"),
            )
            logs.configure(
                _level(arguments.pop("log_level"), arguments.pop("verbose"), quiet=console.quiet)
            )
            Console.speaking = console
            try:
                with spans.verb(click.get_current_context().command_path.removeprefix("isthmus ")):
                    function(console, **arguments)
            except (
                BrokenPipeError
            ):  # `isthmus ... | head`: the reader has enough. click would make an error of it
                os.dup2(
                    os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
                )  # or the flush at exit would complain

        wrapped: Any = _of_logging(call)
        wrapped = click.option(
            "--json", "as_json", is_flag=True, help="Machine-readable result on stdout."
        )(wrapped)
        if changes:
            wrapped = click.option(
                "--dry-run",
                is_flag=True,
                help="Stop before the first change and say what it would be.",
            )(wrapped)
        if project:
            wrapped = click.option(
                "--offline", is_flag=True, help="Use the cloud's offline stack: no account."
            )(wrapped)
            wrapped = click.option(
                "--target",
                envvar="ISTHMUS_TARGET",
                metavar="NAME",
                help="A target of profiles.yaml. [default: ISTHMUS_TARGET, else its `default`, "
                "else local]",
            )(wrapped)
            wrapped = click.option(
                "--project",
                "project_path",
                envvar="ISTHMUS_PROJECT",
                default=PROJECT,
                metavar="FILE",
                help="Its file or folder. [default: ISTHMUS_PROJECT, else project.yaml here or in "
                "a folder above]",
            )(wrapped)
        decorated: click.Command = click.command(**({"cls": Command} | settings))(wrapped)
        return decorated

    return decorate


def _target(named: str | None, *, takes_one: bool) -> str | None:
    """Return the name of the target that the command line or the environment chooses, or None.

    `named` is the command's own option, which comes before the one in front of the command. Raises
    click.UsageError where a target is chosen and the command takes none (`takes_one`).
    """
    context = click.get_current_context()
    general: str | None = context.find_root().obj
    if general is None or context.get_parameter_source("target") is ParameterSource.COMMANDLINE:
        return named or None
    if not takes_one:
        raise click.UsageError(f"{context.command_path} takes no --target", context)
    return general


def _of_logging(function: Any) -> Any:
    """Add the options --log-level, --verbose and --quiet to a command."""
    function = click.option(
        "--log-level",
        type=click.Choice(list(logs.LEVELS)),
        help="Log from this level on. [default: ISTHMUS_LOG_LEVEL]",
    )(function)
    function = click.option(
        "-v",
        "--verbose",
        count=True,
        help="Log provider calls and requests to stderr; -vv: what is read, too.",
    )(function)
    return click.option("-q", "--quiet", is_flag=True, help="Say the result and errors alone.")(
        function
    )


def _level(level: str | None, verbose: int, *, quiet: bool) -> str | None:
    """Return the log level that the values of --log-level, -v and -q ask for, or None."""
    return level or ("debug" if verbose > 1 else "info" if verbose else "error" if quiet else None)
