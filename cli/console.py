"""How a command talks: text or JSON, progress, the next step; what every command has."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import click

from ..errors import DryRun, IsthmusError, OutcomeUnknown, ProjectError, Refused, Unavailable

if TYPE_CHECKING:
    from ..runtime import Project
    from ..target import Call


PROJECT = "project.yaml"
QUIET = 30.0  # seconds without a word, where stderr is a file or a pipe


class Console:
    """One command's voice. Results go to stdout; progress, calls and errors to stderr."""

    speaking: ClassVar[Console | None] = None  # the command that runs now: errors leave in its voice

    def __init__(
        self, *, path: str = PROJECT, target: str | None = None, offline: bool = False, as_json: bool = False, dry_run: bool = False
    ) -> None:
        self.path, self.target, self.offline = path, target, offline
        self.as_json, self.dry_run = as_json, dry_run
        self._progress_shown = ""
        self._said: Call | None = None  # the last call printed
        self._again = 0  # how often it came again since
        self._progress_at = 0.0 if sys.stderr.isatty() else time.monotonic()
        self._preview: tuple[object, str] | None = None
        self.aside = False  # what is said goes to stderr: the result alone is for another program
        self._headline = ""  # of a cloud's target: said when the project is opened, not again with the result
        self._opened: Project | None = None

    def open(self) -> Project:
        """The project of this command, with progress on stderr and, with `--dry-run`, a target that changes nothing."""
        from ..runtime import open as open_project
        from ..target import CallLog

        calls = CallLog(dry_run=self.dry_run)
        project = open_project(self.path, target=self.target, offline=self.offline, calls=calls, progress=self.progress)
        self._opened = project
        if project.target.adapter.remote and not self.as_json:
            from ..lifecycle.plan import headline, where

            self._headline = headline(project.target.name, where(project))  # before the first call that changes something
            self.say(self._headline)
            calls.listeners.append(self._call)
        return project

    def ask(self, project: Project, question: str, what: Callable[[], object], *, yes: bool) -> None:
        """Ask before a cloud that is not offline is changed. Refused where nobody can answer; nothing is asked with `yes`.

        `what` is about to happen: worked out only where somebody is asked.
        """
        if yes or self.dry_run or not project.target.adapter.remote or "endpoint_url" in project.target.profile.options:
            return
        if self.as_json or not sys.stdin.isatty():
            raise Refused(f"{project.target.name}: nothing was changed, as nobody here can say yes", remedy="pass --yes")
        click.confirm(f"{what()}     {question}", abort=True)

    def say(self, text: str = "") -> None:
        """A line for people; silent with `--json`."""
        if not self.as_json:
            self._clear()
            click.echo(text, err=self.aside)

    def result(self, value: object, text: str | None = None) -> None:
        """The command's result: JSON, or its text (default: `str(value)`)."""
        self._told()
        self._clear()
        if self.as_json:
            import msgspec

            click.echo(msgspec.json.format(msgspec.json.encode(value, enc_hook=_plain), indent=2).decode())
        else:
            said = str(value) if text is None else text
            click.echo(said.removeprefix(f"{self._headline}\n") if self._headline else said)

    def would(self, value: object, text: str | None = None) -> None:
        """What the command is about to do: said with `--dry-run`, before the call at which it stopped."""
        self._preview = (value, str(value) if text is None else text)

    def stopped(self, stop: DryRun) -> None:
        """The result of `--dry-run`."""
        if self._preview is None:
            self.result({"dry_run": stop.message}, f"dry run: {stop.message}")
        else:
            value, text = self._preview
            self.result({"dry_run": stop.message, "would": value}, f"{text}\ndry run: {stop.message}")

    def next(self, *commands: str) -> None:
        """What to run now, on the same target as this command."""
        if commands:
            self.say(
                "next   " + "    ".join(f"isthmus {command}{'' if command.startswith('init ') else self.same}" for command in commands)
            )

    @property
    def same(self) -> str:
        """The options of a command for the same target."""
        return (f" --target {self.target}" if self.target else "") + (" --offline" if self.offline else "")

    def progress(self, what: str, done: int, total: int | None) -> None:
        """One line that is rewritten, at most ten times a second; where stderr is not a terminal a line every half a minute."""
        now = time.monotonic()
        share = f"{done:,}" if total is None else f"{done:,} of {total:,}"
        line = f"{what}  {share}"
        if self.as_json or not sys.stderr.isatty():
            if now - self._progress_at >= QUIET:
                self._progress_at = now
                click.echo(line, err=True)
            return
        if now - self._progress_at < 0.1 and done != total:
            return
        self._progress_at = now
        click.echo("\r" + line.ljust(len(self._progress_shown)), nl=False, err=True)
        self._progress_shown = line

    def _clear(self) -> None:
        if self._progress_shown:
            click.echo("\r" + " " * len(self._progress_shown) + "\r", nl=False, err=True)
            self._progress_shown = ""

    def _call(self, call: Call) -> None:
        """Each call that changes something; the same one again and again is counted and said once."""
        if not call.mutating:
            return
        if self._said is not None and (call.operation, call.resource) == (self._said.operation, self._said.resource):
            self._again += 1
            return
        self._told()
        self._said = call
        self.say(f"  {call.operation}   {call.resource}")

    def _told(self) -> None:
        again, self._again, self._said = self._again, 0, None
        if again:
            self.say(f"  ... and {again:,} more of it")

    def fail(self, error: IsthmusError) -> None:
        """Print an error as EXAMPLE.md does: what, where, remedy."""
        self._clear()
        remedy = self._stack_news(error) or error.remedy
        if self.as_json:
            self.result({"error": _error(error, remedy)})
            return
        if isinstance(error, ProjectError):
            for problem in error.problems:
                click.echo(str(problem), err=True)
            count = sum(p.severity == "error" for p in error.problems)
            click.echo(f"{count} error{'s' if count != 1 else ''}; nothing was changed", err=True)
            return
        if remedy and remedy.startswith("see: "):
            click.echo(f"error  {error}    {remedy}", err=True)
            return
        click.echo(f"error  {error}", err=True)
        for line in (remedy or "").splitlines():
            click.echo(f"       {line}", err=True)

    def _stack_news(self, error: IsthmusError) -> str | None:
        """What became of the offline stack, where that is why a call had no answer: then there is nothing to look at."""
        if self._opened is None or not isinstance(error, Unavailable | OutcomeUnknown):
            return None
        from ..lifecycle.offline import gone

        return gone(self._opened)


def _error(error: IsthmusError, remedy: str | None) -> dict[str, object]:
    document: dict[str, object] = {"kind": type(error).__name__, "message": error.message, "remedy": remedy}
    if isinstance(error, ProjectError):
        document["problems"] = error.problems
    if reports := getattr(error, "reports", None):  # of an ingest that stored the good ones
        document["reports"] = reports
    return document


def _plain(value: Any) -> object:
    """What msgspec does not know: pages and pictures are told by their paths, pyarrow's tables by their rows."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    if type(value).__module__.startswith("pyarrow"):
        return value.to_pylist()
    raise TypeError(f"{type(value).__name__} cannot be said as JSON")


class Command(click.Command):
    """Its help ends with an example; its parameters complete the project's names."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from .examples import EXAMPLES

        if line := EXAMPLES.get(ctx.command_path.removeprefix("isthmus ")):
            with formatter.section("Example"):
                formatter.write_text(f"isthmus {line}")

    def make_context(self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any) -> click.Context:
        if extra.get("resilient_parsing"):  # a shell asks what may come next
            from .completing import complete_names

            complete_names(self, group=parent.command_path.removeprefix("isthmus ") if parent else "")
        return super().make_context(info_name, args, parent, **extra)


def command(
    *, changes: bool = False, project: bool = True, above: bool = True, **settings: Any
) -> Callable[[Callable[..., Any]], click.Command]:
    """A click command whose function takes a Console first. `changes` adds `--dry-run`; `project=False` drops the project's options.

    `above`: project.yaml may be in a folder above this one.
    """

    def decorate(function: Callable[..., Any]) -> click.Command:
        @wraps(function)
        def call(**arguments: Any) -> None:
            console = Console(
                path=project_file(arguments.pop("project_path", PROJECT), above=above),
                target=arguments.pop("target", None) or None,
                offline=arguments.pop("offline", False),
                as_json=arguments.pop("as_json"),
                dry_run=arguments.pop("dry_run", False),
            )
            Console.speaking = console
            try:
                function(console, **arguments)
            except BrokenPipeError:  # `isthmus ... | head`: the reader has enough. click would make an error of it
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the flush at exit would complain

        wrapped: Any = call
        wrapped = click.option("--json", "as_json", is_flag=True, help="Machine-readable result on stdout.")(wrapped)
        if changes:
            wrapped = click.option("--dry-run", is_flag=True, help="Stop before the first change and say what it would be.")(wrapped)
        if project:
            wrapped = click.option("--offline", is_flag=True, help="Use the cloud's offline stack: no account.")(wrapped)
            wrapped = click.option(
                "--target",
                envvar="ISTHMUS_TARGET",
                metavar="NAME",
                help="A target of profiles.yaml. [default: ISTHMUS_TARGET, else its `default`, else local]",
            )(wrapped)
            wrapped = click.option(
                "--project",
                "project_path",
                envvar="ISTHMUS_PROJECT",
                default=PROJECT,
                metavar="FILE",
                help="Its file or folder. [default: ISTHMUS_PROJECT, else project.yaml here or in a folder above]",
            )(wrapped)
        decorated: click.Command = click.command(**({"cls": Command} | settings))(wrapped)
        return decorated

    return decorate


def project_file(path: str, *, above: bool) -> str:
    """The file that `path` names: a folder's project.yaml; `above`: where project.yaml is not here, that of the nearest folder above."""
    named = Path(path or PROJECT)
    if named.is_dir():
        return str(named / PROJECT)
    if not above or str(named) != PROJECT or named.is_file():
        return str(named)
    return str(next((folder / PROJECT for folder in Path.cwd().parents if (folder / PROJECT).is_file()), named))


def relative(path: str | Path) -> str:
    """A path as a person in this folder would type it."""
    whole = Path(str(path).removeprefix("file://"))
    try:
        return str(whole.relative_to(Path.cwd()))
    except ValueError:
        return str(whole)
