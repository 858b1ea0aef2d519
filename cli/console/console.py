"""How a command talks: text or JSON, progress, the next step; on a terminal by terminal.py."""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TextIO

import click

from ...core import logs
from ...core.escapes import beneath, escaped, escaped_line
from ...errors import (
    DryRun,
    IsthmusError,
    IsthmusWarning,
    OutcomeUnknown,
    ProjectError,
    Refused,
    Unavailable,
)
from .tables import TextTable

if TYPE_CHECKING:
    from ...core.runtime.project import Project
    from .terminal import Terminal


PROJECT = "project.yaml"
QUIET = 30.0  # seconds without a word, where stderr is a file or a pipe
FORMAT = 2  # of `--json`: the shapes in docs/reference.md. A field may come, none may go or change


class Console:
    """One command's voice. Results go to stdout; progress, calls and errors to stderr."""

    # the command that runs now: errors leave in its voice
    speaking: ClassVar[Console | None] = None

    def __init__(
        self,
        *,
        path: str = PROJECT,
        target: str | None = None,
        offline: bool = False,
        as_json: bool = False,
        dry_run: bool = False,
        quiet: bool = False,
    ) -> None:
        self.path, self.target, self.offline = path, target, offline
        self.as_json, self.dry_run, self.quiet = as_json, dry_run, quiet
        self._progress_shown = ""
        self._progress_at = 0.0 if sys.stderr.isatty() else time.monotonic()
        self._told = ""
        self._preview: tuple[object, str] | None = None
        self.aside = False  # what is said goes to stderr: the result alone is for another program
        # of a cloud's target: said when the project is opened, not again with the result
        self._headline = ""
        self._opened: Project | None = None

    def open(self) -> Project:
        """Open the command's project, with progress on stderr.

        With `--dry-run` its target changes nothing.
        """
        from ...core.runtime.project import open as open_project
        from ...target import CallLog

        calls = CallLog(dry_run=self.dry_run)
        project = open_project(
            self.path, target=self.target, offline=self.offline, calls=calls, progress=self.progress
        )
        self._opened = project
        if project.target.adapter.remote and not (self.as_json or self.quiet):
            from ...lifecycle.resources.plan import headline, where

            # before the first call that changes something
            self._headline = headline(project.target.name, where(project))
            self.say(self._headline)
        return project

    def ask(
        self, project: Project, question: str, what: Callable[[], object], *, yes: bool
    ) -> None:
        """Ask the user to confirm a change, unless the target is offline or local.

        `what` returns a text on what is about to happen; it is called only if the user is asked.
        With `yes` nothing is asked.

        Raises:
            Refused: There is no terminal to confirm on, or the output is JSON.
        """
        if self._needs_no_yes(project, yes=yes):
            return
        if self._cannot_ask():
            raise Refused(
                f"{project.target.name}: nothing was changed, as nobody here can say yes",
                remedy="pass --yes",
            )
        click.confirm(f"{what()}     {question}", abort=True)

    def may_change(self, project: Project, *, yes: bool) -> bool:
        """Return whether `ask` lets a change through or can ask somebody."""
        return self._needs_no_yes(project, yes=yes) or not self._cannot_ask()

    def _needs_no_yes(self, project: Project, *, yes: bool) -> bool:
        """Return whether a change needs no confirmation, as on the laptop or offline."""
        return (
            yes
            or self.dry_run
            or not project.target.adapter.remote
            or "endpoint_url" in project.target.profile.options
        )

    def _cannot_ask(self) -> bool:
        """Return whether there is no terminal to confirm on, or the output is JSON."""
        return self.as_json or not sys.stdin.isatty()

    def say(self, *parts: str | TextTable) -> None:
        """Print lines for people to read; print nothing with `--json` or `--quiet`."""
        if not (self.as_json or self.quiet):
            self._clear()
            _show(parts, err=self.aside)

    def result(self, value: object, *parts: str | TextTable, raw: bool = False) -> None:
        """Print the command's result as JSON, or as its text (default: `str(value)`).

        `raw`: text to be copied as it is.
        """
        self._clear()
        if self.as_json:
            click.echo(_json(document(value)))
        else:
            first, *others = parts or (str(value),)
            if self._headline and isinstance(first, str):
                first = first.removeprefix(f"{self._headline}\n")
            _show((first, *others), raw=raw or self.aside)

    def would(self, value: object, text: str | None = None) -> None:
        """Store what the command would do, to be printed at the end of a `--dry-run`."""
        self._preview = (value, str(value) if text is None else text)

    def stopped(self, stop: DryRun) -> None:
        """Print what a `--dry-run` would have done, where it stopped at the first change."""
        if self._preview is None:
            self.result({"dry_run": stop.message}, f"dry run: {stop.message}")
        else:
            value, text = self._preview
            self.result(
                {"dry_run": stop.message, "would": value}, f"{text}\ndry run: {stop.message}"
            )

    def next(self, *commands: str) -> None:
        """Print the commands that a user may run next, on the same target as this command."""
        if commands:
            self.say(
                "next   "
                + "    ".join(
                    f"isthmus {command}{'' if command.startswith('init ') else self.same}"
                    for command in commands
                )
            )

    @property
    def same(self) -> str:
        """Return this command's `--target` and `--offline`, to append to a suggested command."""
        return (f" --target {self.target}" if self.target else "") + (
            " --offline" if self.offline else ""
        )

    def progress(self, what: str, done: int, total: int | None) -> None:
        """Show on stderr how much of a task is done, rewriting one line ten times a second at most.

        `what` names the task; `total` is None where it is unknown. Where stderr is not a terminal,
        a line is written every half a minute.
        """
        now = time.monotonic()
        share = (
            f"{done:,} of {total:,}" if total is not None else f"{done:,}" if done else "under way"
        )
        if self.as_json or not sys.stderr.isatty() or logs.as_json():
            if now - self._progress_at >= QUIET and not self.quiet:
                self._progress_at = now
                self._tell_progress(what, share, done, total)
            return
        if self.quiet or (now - self._progress_at < 0.1 and done != total):
            return
        self._progress_at = now
        if terminal := _terminal(sys.stderr):
            line, shown = terminal.bar(what, share, done, total), "bar"
        else:
            line = shown = escaped_line(f"{what}  {share}")
            line = "\r" + line.ljust(len(self._progress_shown))
        self._draw(line)
        self._progress_shown = shown

    def _tell_progress(self, what: str, share: str, done: int, total: int | None) -> None:
        """Log how much of a task is done, or write it to stderr as a line of its own.

        `share` is the part that is done, as text.
        """
        if logs.as_json():
            logs.emit("progress", what=what, done=done, total=total)
        elif (line := f"{what}  {share}") != self._told:
            self._told = line
            click.echo(escaped(line), err=True)

    def _clear(self) -> None:
        """Erase the progress line from the terminal."""
        if self._progress_shown:
            self._draw(
                "\r\x1b[K"
                if is_terminal(sys.stderr)
                else "\r" + " " * len(self._progress_shown) + "\r"
            )
            self._progress_shown = ""

    def picture(self, text: str) -> None:
        """Clear the terminal and print a text, for a view that refreshes itself.

        Do nothing where stdout is no terminal.
        """
        if sys.stdout.isatty():
            stream = beneath(sys.stdout)
            stream.write("\x1b[2J\x1b[H")
            self.say(text)

    def _draw(self, line: str) -> None:
        """Write a line to stderr without escaping its terminal control sequences."""
        stream = beneath(sys.stderr)
        stream.write(line)
        stream.flush()

    def fail(self, error: IsthmusError) -> None:
        """Print an error as text or JSON: what went wrong, where, and what to do."""
        self._clear()
        remedy = self._stack_news(error) or error.remedy
        if self.as_json:
            self.result({"error": _error(error, remedy)})
        if logs.as_json():
            logs.emit("error", kind=type(error).__name__, message=error.message, remedy=remedy)
        elif not self.as_json:
            _show(tuple(_error_lines(error, remedy)), err=True)

    def warn(self, text: str) -> None:
        """Print or log a warning about a side task that failed; the command itself goes on."""
        self._clear()
        if logs.as_json():
            logs.emit("warning", message=text)
        else:
            click.echo(escaped(f"warning  {text}"), err=True)

    def _stack_news(self, error: IsthmusError) -> str | None:
        """Return text on how the offline stack ended, if that may have failed a call, else None."""
        if self._opened is None or not isinstance(error, Unavailable | OutcomeUnknown):
            return None
        from ...core.runtime.stacks import gone

        url = self._opened.target.profile.options.get("endpoint_url")
        return gone(self._opened.folder, None if url is None else str(url))


_pythons = warnings.showwarning


def show_warning(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
    """Print a warning as commands print errors; it replaces `warnings.showwarning`."""
    if issubclass(category, IsthmusWarning):
        (Console.speaking or Console()).warn(str(message))
    else:
        _pythons(message, category, *place, **more)


def is_terminal(stream: TextIO) -> bool:
    """Return whether a stream is a terminal that can show colours and control sequences."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _terminal(stream: TextIO) -> Terminal | None:
    """Return a formatter for a terminal, or None if the stream is not a terminal."""
    if not is_terminal(stream):
        return None
    from .terminal import Terminal

    return Terminal(beneath(stream))


def _show(parts: tuple[str | TextTable, ...], *, err: bool = False, raw: bool = False) -> None:
    """Print text and tables to stdout or stderr, laid out for a terminal if it is one.

    With `raw` they are never wrapped or coloured, so that they can be copied.
    """
    terminal = _terminal(sys.stderr if err else sys.stdout)
    if terminal is None or raw:
        click.echo(
            "\n".join(map(escaped, map(str, parts))), err=err
        )  # before click, which takes colours out of a pipe's text
        return
    for part in parts or ("",):
        if isinstance(part, TextTable):
            terminal.table(part)
        else:
            terminal.text(part)


def _error_lines(error: IsthmusError, remedy: str | None) -> Iterator[str]:
    """Yield the lines of text that show an error and its remedy, which says what to do."""
    if isinstance(error, ProjectError):
        yield from map(str, error.problems)
        count = sum(p.severity == "error" for p in error.problems)
        yield f"{count} error{'s' if count != 1 else ''}; nothing was changed"
    elif remedy and remedy.startswith("see: "):
        yield f"error  {error}    {remedy}"
    else:
        yield f"error  {error}"
        yield from (f"       {line}" for line in (remedy or "").splitlines())


def document(value: object) -> dict[str, object]:
    """Return a result as the dict that `--json` prints, with its format version number.

    A struct becomes its fields, a list becomes `items`.
    """
    plain = value if isinstance(value, Mapping) else _builtins(value)
    return {"format": FORMAT, **(plain if isinstance(plain, Mapping) else {"items": plain})}


def _json(value: object) -> str:
    """Return any result as an indented JSON text."""
    import msgspec

    try:
        return msgspec.json.format(msgspec.json.encode(value, enc_hook=_plain), indent=2).decode()
    except (
        UnicodeEncodeError
    ):  # a name of a file that is no UTF-8: half a surrogate pair, which JSON can only escape
        return json.dumps(_builtins(value), indent=2)


def _builtins(value: object) -> object:
    """Return a result converted to dicts, lists and scalars."""
    import msgspec

    return msgspec.to_builtins(value, enc_hook=_plain)


def _error(error: IsthmusError, remedy: str | None) -> dict[str, object]:
    """Return an error as the dict that `--json` prints: kind, message, remedy."""
    document: dict[str, object] = {
        "kind": type(error).__name__,
        "message": error.message,
        "remedy": remedy,
    }
    if isinstance(error, ProjectError):
        document["problems"] = error.problems
    if reports := getattr(error, "reports", None):  # of an ingest that stored the good ones
        document["reports"] = reports
    return document


def _plain(value: Any) -> object:
    """Convert a value that msgspec does not know: pages and pictures to paths, tables to rows."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    if type(value).__module__.startswith("pyarrow"):
        return value.to_pylist()
    raise TypeError(f"{type(value).__name__} cannot be said as JSON")


def project_file(path: str, *, above: bool) -> str:
    """Return the path of project.yaml for an option that names the file or its folder.

    With `above`, the nearest folder above that has a project.yaml is used where this one has none.
    """
    named = Path(path or PROJECT)
    if named.is_dir():
        return str(named / PROJECT)
    if not above or str(named) != PROJECT or named.is_file():
        return str(named)
    return str(
        next(
            (folder / PROJECT for folder in Path.cwd().parents if (folder / PROJECT).is_file()),
            named,
        )
    )


def relative(path: str | Path) -> str:
    """Return a path relative to the working folder, if it lies below it, as text."""
    whole = Path(str(path).removeprefix("file://"))
    try:
        return str(whole.relative_to(Path.cwd()))
    except ValueError:
        return str(whole)
