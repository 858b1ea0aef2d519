"""The command line `isthmus-stack`: AWS and Google Cloud on this machine."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from ..core.clock import MODES
from ..core.faults import KINDS
from ..core.launch import CLOUDS, environment_of
from . import texts, verbs
from .errors import Invalid, StackError, Unavailable


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command.

    Exit with 0; 1 for what cannot be done, with the reason and a remedy; 2 for a wrong command
    line.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    command, rest = (
        (words[: words.index("--")], words[words.index("--") + 1 :])
        if "--" in words
        else (words, [])
    )
    parser = _parser()
    options = parser.parse_args(command)
    if rest and options.command != "run":
        parser.error("only `run` takes a command after --")
    options.words = rest
    try:
        code = options.verb(options)
    except StackError as error:
        sys.stderr.write(f"error  {error}\n" + (f"       {error.remedy}\n" if error.remedy else ""))
        code = 1
    except BrokenPipeError:  # whoever read has seen enough
        sys.stderr.close()
        code = 1
    sys.exit(code)


def _parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="isthmus-stack",
        description="AWS and Google Cloud on this machine: servers that execute.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    up = _add_command(commands, "up", _up, "serve until Ctrl-C, and print what to export")
    up.add_argument("cloud", choices=CLOUDS)
    up.add_argument("--port", type=int, help="0: any free one (default: the cloud's own)")
    _process_options(up)

    run = _add_command(
        commands,
        "run",
        _run,
        "run a command with a stack of its own: isthmus-stack run aws -- python train.py",
    )
    run.add_argument("cloud", choices=CLOUDS)
    _process_options(run)

    down = _add_command(commands, "down", _down, "end a stack; what it holds in its home is kept")
    _add_stack_options(down, required=True)

    status = _add_command(commands, "status", _status, "the stacks that run, and where")
    _add_stack_options(status)

    trust = _add_command(
        commands,
        "trust",
        _trust,
        "use a home that another user, machine or version wrote: what is in it could run "
        "commands as you",
    )
    trust.add_argument(
        "--home", type=Path, required=True, help="the folder in which a stack kept what it held"
    )

    fault = _add_command(commands, "fault", None, "what goes wrong on purpose").add_subparsers(
        dest="action", required=True, metavar="ACTION"
    )
    add = _add_command(fault, "add", _add_fault, "let something go wrong")
    add.add_argument("kind", choices=KINDS)
    add.add_argument(
        "--service", help="as boto3 or Google calls it: sagemaker, aiplatform (default: every one)"
    )
    add.add_argument(
        "--operation",
        help="as the API calls it: UpdateEndpoint, EndpointService.UpdateEndpoint (default: every "
        "one)",
    )
    add.add_argument("--name", help="only calls that name this resource")
    add.add_argument(
        "--times",
        type=int,
        default=1,
        help="how often; 0: until it is cleared. An SDK's retries count (default: 1)",
    )
    add.add_argument(
        "--seconds",
        type=float,
        default=1.0,
        help="latency: how late. eventual-consistency: how long reads are old",
    )
    add.add_argument("--code", help="error: the error code to answer")
    coming = _add_command(fault, "list", _list_faults, "the faults that are still to come")
    clear = _add_command(fault, "clear", _clear_faults, "take one fault back, or all")
    clear.add_argument("number", type=int, nargs="?")

    coverage = _add_command(
        commands, "coverage", _coverage, "each operation: executes, stores only, not there"
    )
    coverage.add_argument("cloud", choices=CLOUDS)
    coverage.add_argument("--service", help="this one alone, such as sagemaker or aiplatform")

    policy = _add_command(
        commands,
        "policy",
        _policy,
        "the least rights for what a stack was asked since its last reset",
    )
    for asking in (add, coming, clear, policy):
        asking.add_argument(
            "--url",
            help="which stack (default: the one that the environment names, else that of `up`)",
        )

    compare = _add_command(
        commands,
        "compare",
        _compare,
        "ask a recording's calls again, and tell what is answered otherwise",
    )
    compare.add_argument("folder", type=Path)
    compare.add_argument(
        "--url", help="of another server, which is changed by it (default: a stack of its own)"
    )
    return parser


def _add_command(commands: Any, name: str, verb: Any, text: str) -> argparse.ArgumentParser:
    """Add a command with a --json option, and return its parser.

    `verb` is the function that runs it on the parsed options; `text` is its help.
    """
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.add_argument("--json", dest="as_json", action="store_true", help="print JSON")
    parser.set_defaults(verb=verb)
    return parser


def _process_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a command that starts a stack: its clock, images, keys and home."""
    parser.add_argument(
        "--image",
        dest="images",
        action="append",
        default=[],
        metavar="NAME=COMMAND",
        help="what a container image is here",
    )
    parser.add_argument(
        "--clock",
        choices=MODES,
        default="real",
        help="instant: delays are zero; manual: a test moves the time",
    )
    parser.add_argument(
        "--query-memory",
        default="1GB",
        metavar="SIZE",
        help="what one query may use (default: 1GB)",
    )
    parser.add_argument(
        "--open",
        dest="any_key",
        action="store_true",
        help="take any key or token, of every user of this machine",
    )
    parser.add_argument(
        "--moto-answers",
        action="store_true",
        help="aws: answer what moto makes up where nothing executes; implies --open",
    )
    parser.add_argument(
        "--home", type=Path, help="aws: a folder in which it keeps what it holds over a restart"
    )
    parser.add_argument(
        "--allow-host",
        dest="allow_hosts",
        action="append",
        default=[],
        metavar="HOST",
        help="a host that is the genuine one",
    )


def _add_stack_options(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    """Add the options that select a stack."""
    which = parser.add_mutually_exclusive_group(required=required)
    which.add_argument("--home", type=Path, help="the folder in which it keeps what it holds")
    which.add_argument("--url", help="where it listens")


def _process_arguments(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options that `_process_options` added, as keyword arguments for `verbs.up`."""
    names = ("clock", "query_memory", "any_key", "moto_answers", "home", "allow_hosts")
    return {
        **{name: getattr(options, name) for name in names},
        "images": verbs.image_commands(options.images),
    }


def _up(options: argparse.Namespace) -> int:
    """Start a stack, serve it until a signal, and return the exit code."""
    port = environment_of(options.cloud).PORT if options.port is None else options.port
    process = _process_arguments(options)
    with verbs.up(options.cloud, port=port, **process) as stack:
        try:
            if options.as_json:
                _print_json({"url": stack.url, "pid": stack.pid, "env": stack.env})
            else:
                print(
                    "\n".join((texts.headline(stack, process), *texts.exports(stack))), flush=True
                )
            code = stack.wait()
        except KeyboardInterrupt:
            print("\nstopped")
            return 0
    raise Unavailable(
        f"the stack ended by itself, with code {code}",
        remedy="its last words are above; start it again",
    )


def _run(options: argparse.Namespace) -> int:
    """Start a stack, run the user's command against it, and return the command's exit code."""
    if not options.words:
        remedy = f"isthmus-stack run {options.cloud} --clock manual -- python train.py"
        raise Invalid("there is no command after --", remedy=remedy)
    with verbs.up(options.cloud, **_process_arguments(options)) as stack:
        return verbs.run(stack, options.words)


def _down(options: argparse.Namespace) -> int:
    """Stop the stack that the options name; return the exit code."""
    stopped = verbs.down(home=options.home, url=options.url)
    _print_result(
        options, {"stopped": stopped}, "the stack is stopped" if stopped else "no stack runs there"
    )
    return 0


def _status(options: argparse.Namespace) -> int:
    """Print the stacks that run; return the exit code."""
    stacks = verbs.status(home=options.home, url=options.url)
    lines = [
        f"{stack.url}   process {stack.pid}   clock "
        f"{stack.clock}{f'   {stack.home}' if stack.home else ''}"
        for stack in stacks
    ]
    _print_result(options, {"items": stacks}, "\n".join(lines) or "no stack runs there")
    return 0


def _trust(options: argparse.Namespace) -> int:
    """Accept a folder that another user or version wrote as a home; return the exit code."""
    verbs.trust(options.home)
    _print_result(
        options,
        {"folders": [str(options.home)]},
        f"{options.home} is this user's: a stack may go on with it",
    )
    return 0


def _add_fault(options: argparse.Namespace) -> int:
    """Add a fault to a running stack and print it; return the exit code."""
    rule = {
        name: getattr(options, name)
        for name in ("kind", "service", "operation", "name", "seconds", "code")
    }
    fault = verbs.add_fault(verbs.places(options.url), times=options.times or None, **rule)
    _print_result(options, fault, texts.fault_line(fault))
    return 0


def _list_faults(options: argparse.Namespace) -> int:
    """Print the faults that are still to be injected; return the exit code."""
    coming = verbs.faults(verbs.places(options.url))
    _print_result(
        options, {"items": coming}, "\n".join(map(texts.fault_line, coming)) or "no faults"
    )
    return 0


def _clear_faults(options: argparse.Namespace) -> int:
    """Remove one pending fault or all from a running stack; return the exit code."""
    verbs.clear_faults(verbs.places(options.url), options.number)
    _print_result(
        options,
        {"cleared": options.number or "all"},
        f"fault {options.number} is taken back" if options.number else "no faults",
    )
    return 0


def _coverage(options: argparse.Namespace) -> int:
    """Print which operations a stack covers; return the exit code."""
    operations = verbs.coverage(options.cloud, service=options.service)
    rows, total = texts.coverage_rows(operations)
    widths = [max(len(row[place]) for row in rows) for place in range(3)]
    lines = [
        "  ".join(
            (*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3])
        ).rstrip()
        for row in rows
    ]
    _print_result(options, {"items": operations}, "\n".join([*lines, total]))
    return 0


def _policy(options: argparse.Namespace) -> int:
    """Print a policy that allows the calls made so far; return the exit code."""
    rights, text = texts.policy_parts(verbs.policy(verbs.places(options.url)))
    _print_result(options, {"policy": rights}, text)
    return 0


def _compare(options: argparse.Namespace) -> int:
    """Compare recorded calls with the stack's answers and print both; return the exit code."""
    comparison = verbs.compare(options.folder, url=options.url)
    _print_result(options, comparison, str(comparison))
    return 1 if comparison.differences else 0


def _print_result(options: argparse.Namespace, value: object, text: str) -> None:
    """Print `value` as JSON if the user asked for JSON, else print `text`."""
    if options.as_json:
        _print_json(value)
    else:
        print(text)


def _print_json(value: object) -> None:
    """Print a value as JSON."""
    print(msgspec.json.encode(value).decode(), flush=True)
