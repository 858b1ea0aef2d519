"""The commands of `isthmus rollout`.

start, status, pause, resume, promote, abort, history, wait, rehearse, report, run, tick.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...core import logs
from ...core.user_state import FOLDER, make
from ...errors import Invalid
from ..console.command import command
from ..console.console import Console

if TYPE_CHECKING:
    from ...core.runtime.project import Project
    from ...rollouts.controller import LookResult
    from ...rollouts.verbs.rollout import Outcome

_CODES = {"promoted": 0, "refused": 1, "lost": 1, "aborted": 3, "waiting": 4, "timeout": 5}
_WORDS = {"waiting": "waits for a person", "timeout": "goes on; the time to wait is over"}
_REFRESH = 2.0  # seconds between two pictures of `status --watch`

_UNDRIVEN = ". Nobody drives it yet: isthmus rollout tick, on a schedule."


@click.group(help="Move an endpoint's traffic from one variant to another, step by step, guarded.")
def rollout() -> None:
    """Group the commands on rollouts, which move traffic step by step."""


_because = click.option(
    "--because", default="", metavar="TEXT", help="Why. It stands in the history."
)
_timeout = click.option(
    "--timeout", metavar="DURATION", help="How long to wait: 30m, 2h. Exit code 5 after that."
)


@command(
    changes=True,
    help="Start ENDPOINT's rollout of project.yaml. A process of its own drives it, and outlives "
    "this terminal.",
)
@click.argument("endpoint")
@_because
@click.option(
    "--wait",
    "waits",
    is_flag=True,
    help="Return when it is promoted (0), aborted (3), or waits for a person (4).",
)
@click.option(
    "--no-controller", is_flag=True, help="Start no process: a scheduled `rollout tick` drives it."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
def start(
    console: Console, endpoint: str, *, because: str, waits: bool, no_controller: bool, yes: bool
) -> None:
    """Run `isthmus rollout start`: start an endpoint's rollout and a process that drives it.

    With `waits` it returns at the rollout's end; with `no_controller` it starts no process.
    """
    from ...rollouts.verbs.declared_plan import plan_of
    from ...rollouts.verbs.foresight import foresee, recent_minutes
    from ...rollouts.verbs.rollout import check_last_over
    from ...rollouts.verbs.rollout import start as begin
    from ...rollouts.verbs.rollout import wait as wait_for
    from ...rollouts.verbs.status import plan_text

    with console.open() as project:
        check_last_over(project, endpoint)  # its variants are in the way of a plan, too
        plan = plan_of(project, endpoint)
        headline = (
            f"{project.target.name:<7} {endpoint}   "
            f"{plan_text(plan)}\n{foresee(project, plan, *recent_minutes(project, endpoint))}"
        )
        console.would(plan, headline)
        if console.dry_run:
            console.result({"dry_run": "nothing was started", "would": plan}, headline)
            return
        console.ask(project, "start?", lambda: headline, yes=yes)
        begun = begin(project, endpoint, because=because).started
        pid = None if no_controller else _drive_apart(console, project, endpoint)
        driven = (
            f", driven by this machine (process {pid}). It goes on without this terminal. A "
            "crash or a second controller does no harm."
        )
        console.result(
            begun,
            f"{begun}{driven if pid else _UNDRIVEN}",
        )
        if waits:
            _leave(console, endpoint, wait_for(project, endpoint))
    console.next(f"rollout status {endpoint} --watch")


def _drive_apart(console: Console, project: Project, endpoint: str) -> int:
    """Start `rollout run` for an endpoint as a background process; return its process id.

    Its output goes to .isthmus/rollouts/.
    """
    folder = make(project.folder / FOLDER / "rollouts")
    command_line = [
        sys.executable,
        "-P",
        "-m",
        "isthmus",
        "rollout",
        "run",
        endpoint,
        "--project",
        str(Path(console.path).resolve()),
    ]
    command_line += ["--target", console.target] if console.target else []
    command_line += ["--offline"] if console.offline else []
    with (folder / f"{endpoint}.log").open("ab") as log:
        process = subprocess.Popen(
            command_line,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=project.folder,
            env=os.environ.copy(),
        )
    return process.pid


@command(help="Where ENDPOINT's rollout stands, what its guardrails see, and what it asks.")
@click.argument("endpoint")
@click.option(
    "--watch", is_flag=True, help="Show it again and again, until it is over or waits for a person."
)
def status(console: Console, endpoint: str, watch: bool) -> None:
    """Run `isthmus rollout status`: print the state of an endpoint's rollout.

    With `watch` it is printed again and again until the rollout is over.
    """
    from ...rollouts.verbs.rollout import status as look_at

    with console.open() as project:
        latest = look_at(project, endpoint)
        while (
            watch
            and not console.as_json
            and latest.state.phase not in ("ended", "waiting", "promoted")
        ):
            console.picture(str(latest))
            time.sleep(_REFRESH)
            latest = look_at(project, endpoint)
        console.result(latest)


def _wish(verb: str, text: str) -> click.Command:
    """Return a CLI command (pause, resume, ...) that sends a request to a rollout's controller.

    `verb` is the command's name, `text` its help.
    """

    @command(changes=True, name=verb, help=text)
    @click.argument("endpoint")
    @_because
    def ask(console: Console, endpoint: str, because: str) -> None:
        from ...rollouts.verbs import rollout as verbs

        with console.open() as project:
            console.result(getattr(verbs, verb)(project, endpoint, because=because))

    return ask


pause = _wish("pause", "No step up until `resume`. Guardrails and abort go on.")
resume = _wish("resume", "Take a pause back.")
promote = _wish(
    "promote",
    "Say yes where a rollout waits for a person; after the promotion: end the grace time now.",
)


@command(
    changes=True,
    help="Bring the traffic back now, and see that it came. With nothing running nothing is done.",
)
@click.argument("endpoint")
@_because
@_timeout
def abort(console: Console, endpoint: str, because: str, timeout: str | None) -> None:
    """Run `isthmus rollout abort`: move the traffic back, and wait until it is served."""
    from ...rollouts.verbs.rollout import abort as ask
    from ...rollouts.verbs.rollout import has_any

    with console.open() as project:
        if endpoint in project.spec.endpoints and not has_any(project, endpoint):
            console.result(
                {"rollout": None},
                f"{endpoint} has had no rollout on {project.target.name}: there is nothing "
                "to abort",
            )
            return
        left = ask(
            project,
            endpoint,
            because=because,
            timeout=_span(timeout),
            watch=_teller(endpoint, lambda result: result.problems),
        )
        console.result(left)
    if left.state.phase != "ended":
        raise SystemExit(_CODES["timeout"])


@command(help="What happened, line by line.")
@click.argument("endpoint")
def history(console: Console, endpoint: str) -> None:
    """Run `isthmus rollout history`: print the history of an endpoint's rollout, line by line."""
    from ...rollouts.verbs.rollout import history as entries_of
    from ...rollouts.verbs.status import history_text

    with console.open() as project:
        entries = entries_of(project, endpoint)
        console.result(entries, history_text(entries))


@command(help="Wait: 0 promoted, 1 error, 3 aborted, 4 it waits for a person, 5 the time is over.")
@click.argument("endpoint")
@_timeout
def wait(console: Console, endpoint: str, timeout: str | None) -> None:
    """Run `isthmus rollout wait`: wait for a rollout's end; the exit code says how it ended."""
    from ...rollouts.verbs.rollout import wait as wait_for

    with console.open() as project:
        outcome = wait_for(project, endpoint, timeout=_span(timeout))
    console.result(
        {"endpoint": endpoint, "outcome": outcome}, f"{endpoint}   {_WORDS.get(outcome, outcome)}"
    )
    if code := _CODES[outcome]:
        raise SystemExit(code)


@command(
    changes=True,
    help="Drive ENDPOINT's rollout from here until it is over. Two at once do no harm.",
)
@click.argument("endpoint")
def run(console: Console, endpoint: str) -> None:
    """Run `isthmus rollout run`: drive an endpoint's rollout in this process until it is over."""
    from ...rollouts.verbs.rollout import run_to_end
    from ...rollouts.verbs.rollout import status as look_at

    with console.open() as project:
        run_to_end(project, endpoint, watch=_teller(endpoint))
        console.result(look_at(project, endpoint))


def _teller(
    endpoint: str, worth: Callable[[LookResult], object] = bool
) -> Callable[[LookResult], None]:
    """Return a function that prints a rollout's phase and problems whenever they have changed.

    It ignores the results for which `worth` is false. Its lines are the log of a process that has
    no terminal.
    """
    from ...rollouts.verbs.rollout import holder

    last_line: list[str] = [""]

    def watch(result: LookResult) -> None:
        if worth(result) and (line := _look_line(endpoint, result, holder())) != last_line[-1]:
            last_line.append(line)
            logs.emit("look", endpoint=endpoint, **_look_fields(result))
            if not logs.as_json():
                click.echo(line, err=True)

    return watch


def _look_fields(result: LookResult) -> dict[str, object]:
    """Return the log fields of one check of a rollout: id, phase, step, problems."""
    where = (
        {"rollout": result.state.id, "phase": result.state.phase, "step": result.state.stage}
        if result.state
        else {}
    )
    return {**where, "problems": result.problems or None}


def _look_line(endpoint: str, result: LookResult, me: str) -> str:
    """Return one check of a rollout as a line of text: phase, step, controller, problems.

    The controller is named unless it is this process, `me`.
    """
    where = (
        f"{result.state.id} {result.state.phase} step {result.state.stage}"
        if result.state
        else endpoint
    )
    driver = f"   driven by {result.driver}" if result.driver not in ("", me) else ""
    return "   ".join((where + driver, *result.problems))


@command(
    changes=True,
    help="One look at each running rollout: what a schedule calls. 0 unless it could not look.",
)
@click.option("--endpoint", help="Only this one.")
def tick(console: Console, endpoint: str | None) -> None:
    """Run `isthmus rollout tick`: do one control loop iteration of each running rollout."""
    from ...rollouts.verbs.rollout import tick as look

    with console.open() as project:
        looks = look(project, endpoint)
        console.result(
            {"items": looks},
            "\n".join(f"{name}   {line}" for name, line in looks.items()) or "no rollout runs",
        )


@command(
    help="Play ENDPOINT's rollout in a scripted world: virtual time, made-up traffic, nothing of "
    "the target is touched."
    " --offline: by the target's own adapter, on an offline stack of its own."
)
@click.argument("endpoint")
@click.option(
    "--scenario",
    required=True,
    type=click.Path(path_type=Path),
    help="What happens, and what is expected: scenarios/errors.yaml.",
)
@click.option(
    "--page",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write its page there, too: traffic, guardrails, decisions.",
)
def rehearse(console: Console, endpoint: str, scenario: Path, page: Path | None) -> None:
    """Run `isthmus rollout rehearse`: play a rollout with simulated traffic and time; print it.

    `scenario` is a YAML file, `page` where to write the report, too.
    """
    from ...core.runtime.project import open as open_project
    from ...lifecycle.rehearsal.offline import rehearse_offline
    from ...rollouts.page import report as pages
    from ...rollouts.verbs.rollout import rehearse as play

    with open_project(
        console.path, target=console.target
    ) as project:  # not console.open: no cloud is asked, so no account is needed
        path = project.folder / scenario if not scenario.exists() else scenario
        if console.offline:
            console.say(
                f"{project.target.name}   by its own adapter, in an empty place that goes "
                "afterwards; models and requests are made up"
            )
            rehearsal = rehearse_offline(project, path)
        else:
            rehearsal = play(project, path)
        if rehearsal.scenario.rollout != endpoint:
            raise Invalid(
                f"{scenario} is a scenario of {rehearsal.scenario.rollout}, not of {endpoint}"
            )
        if page is not None:
            page.write_text(
                pages.html(rehearsal.state, rehearsal.entries, rehearsal.kept), encoding="utf-8"
            )
        console.result(rehearsal)
    if rehearsal.unexpected:
        raise SystemExit(1)


@command(
    help="Write the page of ENDPOINT's rollout: traffic, guardrails minute by minute, decisions, "
    "history."
)
@click.argument("endpoint")
def report(console: Console, endpoint: str) -> None:
    """Run `isthmus rollout report`: write the HTML report of an endpoint's rollout."""
    from ...rollouts.verbs.rollout import report as write

    with console.open() as project:
        path = write(project, endpoint)
        console.result({"page": str(path)}, f"{path}")


def _span(text: str | None) -> timedelta | None:
    """Parse the option --timeout, a duration such as `30m`; None stays None."""
    from ...project.reading.quantities import Mistake, duration

    if text is None:
        return None
    try:
        return duration(text)
    except Mistake as mistake:
        raise Invalid(f"--timeout: {mistake.message}", remedy=mistake.remedy) from None


def _leave(console: Console, endpoint: str, outcome: Outcome) -> None:
    """Print how a rollout ended, and exit the process with the code for that outcome."""
    console.say(f"{endpoint}   {_WORDS.get(outcome, outcome)}")
    if code := _CODES[outcome]:
        raise SystemExit(code)


for subcommand in (
    start,
    status,
    pause,
    resume,
    promote,
    abort,
    history,
    wait,
    rehearse,
    report,
    run,
    tick,
):
    rollout.add_command(subcommand)
