"""stack: the offline clouds."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import Invalid, Unavailable
from .console.command import Command, command
from .console.console import Console
from .console.tables import grid

if TYPE_CHECKING:
    from ..target import Offline


class _Cloud(click.ParamType["Offline"]):
    """The name of a cloud that an installed adapter has an offline stack for."""

    name = "cloud"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:  # noqa: ARG002  click's signature
        """Return the placeholder for the cloud in the help, which lists the clouds' names."""
        from ..core.runtime.stacks import clouds

        return f"{{{'|'.join(clouds())}}}"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Offline:
        """Return a cloud's offline stack (local emulator) by the cloud's name."""
        from ..core.runtime.stacks import clouds

        stack_clouds = clouds()
        if value not in stack_clouds:
            self.fail(
                f"there is no offline stack of {value}: there is {', '.join(stack_clouds)}",
                param,
                ctx,
            )
        return stack_clouds[value]


_images = click.option(
    "--image",
    "images",
    multiple=True,
    metavar="NAME=COMMAND",
    help="What a container image is here; repeatable.",
)
_clock = click.option(
    "--clock",
    type=click.Choice(["real", "instant", "manual"]),
    default="real",
    show_default=True,
    help="instant: the provider's own delays are zero; manual: time passes when a test says so.",
)
_memory = click.option(
    "--query-memory",
    default="1GB",
    show_default=True,
    metavar="SIZE",
    help="What one query may use; beyond it spills, then fails.",
)
_open = click.option(
    "--open",
    "any_key",
    is_flag=True,
    help="Take any access key or token, and requests without one: any user of this machine may "
    "then run commands as you.",
)
_moto_answers = click.option(
    "--moto-answers",
    is_flag=True,
    help="aws: answer what moto makes up where nothing here executes: a job without a program is "
    "Completed. Implies --open.",
)
_home = click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    help="aws: a folder in which it keeps what it holds over a restart.",
)
_allow_hosts = click.option(
    "--allow-host",
    "allow_hosts",
    multiple=True,
    metavar="HOST",
    help="A host that is to be the genuine one behind the door; repeatable.",
)


def _of_the_process(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options with which an offline stack is started (clock, home, ...) to a command."""
    for option in (_allow_hosts, _home, _moto_answers, _open, _memory, _clock, _images):
        function = option(function)
    return function


class _Around(Command):
    """A command whose options may stand before and behind the cloud.

    What comes after `--` is the command's own.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse our own options only, and leave those of the command after `--` alone."""
        if args[1:2] and args[1] in ctx.help_option_names:
            args = args[1:]  # no command begins so
        ctx.allow_interspersed_args = "--" in args
        ctx.ignore_unknown_options = "--" not in args
        return super().parse_args(ctx, args)


@click.group(
    help="The offline AWS and GCP: up, run, down, status, faults, coverage, the rights that were "
    "used, a recording asked again."
)
def stack() -> None:
    """Group the commands that start, stop and inspect offline stacks."""


def _url(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option --url, the address of an offline stack, to a command."""
    text = (
        "Which stack (default: the one that the environment names, else the project's own, else "
        "that of `stack up`)."
    )
    return click.option("--url", help=text)(function)


@command(project=False, help="Serve until Ctrl-C, and print what to export.")
@click.argument("cloud", type=_Cloud())
@click.option("--port", type=int, help="0: any free one (default: the cloud's own).")
@_of_the_process
def up(console: Console, *, cloud: Offline, port: int | None, **options: Any) -> None:
    """Run `isthmus stack up`: serve a cloud's offline stack (local emulator) until Ctrl-C."""
    from ..lifecycle.stacks import stack as stacks

    process = _process_options(options)
    from isthmus_stack.cli import texts
    from isthmus_stack.run import environment_of

    port = environment_of(cloud.cloud).PORT if port is None else port
    with stacks.up(cloud.cloud, port=port, **process) as running:
        try:
            if console.as_json:
                console.result({"url": running.url, "pid": running.pid, "env": running.env})
                sys.stdout.flush()
            else:
                click.echo("\n".join((texts.headline(running, options), *texts.exports(running))))
            code = running.wait()
        except KeyboardInterrupt:
            console.say("\nstopped")
            return
    raise Unavailable(
        f"the stack ended by itself, with code {code}",
        remedy="its last words are above; start it again",
    )


@command(
    project=False,
    help="Run COMMAND with a stack of its own: started before, stopped after. The exit code is "
    "COMMAND's.",
    cls=_Around,
)
@click.argument("cloud", type=_Cloud())
@_of_the_process
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND...")
def run(console: Console, *, cloud: Offline, words: tuple[str, ...], **options: Any) -> None:  # noqa: ARG001  it prints nothing of its own
    """Run `isthmus stack run`: run a command against a new offline stack that ends with it.

    `words` is the command.
    """
    from ..lifecycle.stacks import stack as stacks

    words = words[words[0] == "--" :]
    if not words or words[0].startswith("-"):
        raise Invalid(
            "there is no command after --",
            remedy=f"isthmus stack run {cloud.cloud} --clock manual -- python train.py",
        )
    raise SystemExit(stacks.run(cloud.cloud, words, **_process_options(options)))


def _process_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with which an offline stack is started, images parsed to a mapping."""
    from ..lifecycle.stacks.calls import as_ours

    with as_ours():
        from isthmus_stack.cli import verbs

        return {**options, "images": verbs.image_commands(options["images"])}


@command(
    project=False,
    help="Stop the stack that --offline started for this project. What it holds is kept.",
)
@click.option("--forget", is_flag=True, help="Remove what it holds.")
def down(console: Console, forget: bool) -> None:
    """Run `isthmus stack down`: stop the project's offline stack; `forget` deletes its state."""
    from ..lifecycle.stacks import stack as stacks

    ended = stacks.down(forget=forget)
    words = (
        "the offline stack is stopped" if ended.stopped else "no offline stack of this project runs"
    )
    console.result(ended, f"{words}\n{ended.ended}" if ended.ended else words)


@command(project=False, help="The stacks that --offline started for this project and that run.")
def status(console: Console) -> None:
    """Run `isthmus stack status`: print the project's running offline stacks."""
    from ..core.runtime.stacks import ending_reports
    from ..lifecycle.stacks import stack as stacks

    standing = stacks.status()
    lines = [
        f"{cloud}   {ready.url}   process {ready.pid}   clock {ready.clock}"
        for cloud, ready in standing.items()
    ]
    lines += [news] if (news := ending_reports(Path.cwd())) else []
    console.result({"items": standing}, "\n".join(lines) or "no offline stack of this project runs")


@command(project=False, help="Per operation: executes, stores only, not there.")
@click.argument("cloud", type=_Cloud())
@click.option(
    "--service", metavar="NAME", help="One of them alone, such as sagemaker or aiplatform."
)
def coverage(console: Console, cloud: Offline, service: str | None) -> None:
    """Run `isthmus stack coverage`: print which API operations an offline stack executes."""
    from ..lifecycle.stacks import stack as stacks

    operations = stacks.coverage(cloud.cloud, service=service)
    from isthmus_stack.cli import texts

    rows, total = texts.coverage_rows(operations)
    console.result(operations, grid(rows, head=("service", "operation", "level", "by")), total)


@command(
    project=False,
    help="The least rights for what the stack was asked since its last reset: AWS, a policy; GCP, "
    "roles and a custom one.",
)
@_url
def policy(console: Console, url: str | None) -> None:
    """Run `isthmus stack policy`: print the least rights for the calls that a stack received."""
    from ..lifecycle.stacks import stack as stacks

    granted = stacks.policy(url=url)
    from isthmus_stack.cli import texts  # after the verb, which says how to install it

    rights, text = texts.policy_parts(granted)
    console.result({"policy": rights}, text, raw=True)


@command(
    project=False,
    help="Ask the calls of a recording (doctor --first-account --round --record) again, and tell "
    "what is answered otherwise.",
)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--url", help="Of another server, which is changed by it (default: a stack of its own)."
)
def compare(console: Console, folder: Path, url: str | None) -> None:
    """Run `isthmus stack compare`: replay recorded cloud calls on a stack; print what differs.

    `folder` is the recording, `url` another server to ask.
    """
    from ..lifecycle.stacks import stack as stacks

    comparison = stacks.compare(folder, url=url)
    console.result(comparison)
    if comparison.differences:
        raise SystemExit(1)


@stack.group(help="What goes wrong on purpose: add, list, clear.")
def fault() -> None:
    """Group the commands that inject faults into an offline stack."""


@command(
    project=False,
    help="Let something go wrong: throttle, error, latency, cut-before, cut-after, "
    "silent-rollback, eventual-consistency, ...",
)
@click.argument("kind")
@click.option(
    "--service",
    help="As boto3 calls it (sagemaker, sagemaker-runtime), or Google (aiplatform, storage). "
    "Default: every one.",
)
@click.option(
    "--operation",
    help="As the API calls it: UpdateEndpoint, EndpointService.UpdateEndpoint. Default: every one.",
)
@click.option("--name", help="Only calls that name this resource.")
@click.option(
    "--times",
    default=1,
    show_default=True,
    help="How often; 0: until it is cleared. An SDK's retries count.",
)
@click.option(
    "--seconds",
    default=1.0,
    show_default=True,
    help="latency: how late. eventual-consistency: how long reads are old.",
)
@click.option("--code", help="error: the error code to answer.")
@_url
def add(console: Console, url: str | None, **rule: Any) -> None:
    """Run `isthmus stack fault add`: inject a fault, such as an error, into an offline stack.

    `rule` says which calls fail and how.
    """
    from ..lifecycle.stacks import faults

    planned = faults.add(rule.pop("kind"), url=url, times=rule.pop("times") or None, **rule)
    from isthmus_stack.cli import texts

    console.result(planned, texts.fault_line(planned))


@command(project=False, help="The faults that are still to come.")
@_url
def list_faults(console: Console, url: str | None) -> None:
    """Run `isthmus stack fault list`: print the faults that were not triggered yet."""
    from ..lifecycle.stacks import faults

    coming = faults.list(url=url)
    from isthmus_stack.cli import texts

    console.result(coming, "\n".join(map(texts.fault_line, coming)) or "no faults")


@command(project=False, help="Take one fault back, or all.")
@click.argument("number", type=int, required=False)
@_url
def clear(console: Console, url: str | None, number: int | None) -> None:
    """Run `isthmus stack fault clear`: remove one injected fault by its number, or all."""
    from ..lifecycle.stacks import faults

    cleared = faults.clear(number, url=url)
    console.result(cleared, f"fault {number} is taken back" if number else "no faults")


for _name, _command in {
    "up": up,
    "run": run,
    "down": down,
    "status": status,
    "coverage": coverage,
    "policy": policy,
    "compare": compare,
}.items():
    stack.add_command(_command, _name)
for _name, _command in {"add": add, "list": list_faults, "clear": clear}.items():
    fault.add_command(_command, _name)
