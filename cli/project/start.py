"""init, validate, schema, doctor, completion: what needs no target."""

from __future__ import annotations

import sys
from pathlib import Path
from shlex import quote
from typing import Any

import click
import msgspec

from ...errors import ProjectError, Refused
from ..console.command import command
from ..console.completion import SHELLS, source
from ..console.console import PROJECT, Console

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_SHOWN = 12  # columns that may be the answer to a question
_FOLDER = click.Path(file_okay=False, path_type=Path)


@command(
    project=False,
    help="Make a project in the new folder NAME: a shop with people, simulated, another example, "
    "or one for your own log.",
)
@click.argument("name")
@click.option(
    "--example",
    type=click.Choice(["openbandit", "ratings", "shop", "starter"]),
    help="shop: people, simulated, of whom all is known. starter: two small events and a model, "
    "to be replaced by yours."
    " openbandit: a real log. ratings: people, titles and tastes, simulated, or MovieLens by its "
    "fetch.py. [default: the shop, by your project's name]",
)
@click.option(
    "--from",
    "sources",
    metavar="FILE",
    multiple=True,
    help="Propose one for the events in a file: JSON lines, CSV, TSV or Parquet. A second --from "
    "names the file of what came of them: clicks, orders.",
)
@click.option(
    "--as",
    "roles",
    metavar="ROLE=COLUMN",
    multiple=True,
    help="Say which column of the file is what, where the guess is wrong: id, time, user, item, "
    "request (the list), position, outcome (also 'outcome=stars >= 4'), kind (of event); "
    "zone=Asia/Tokyo for times without one; ROLE= for none. Repeatable.",
)
@click.option(
    "--targets",
    metavar="NAMES",
    help="Targets in profiles.yaml, the default first: local,sagemaker,vertex. [default: of an "
    "example all, else local; with --from a terminal is asked]",
)
@click.option("--yes", is_flag=True, help="Do not ask, also inside another project.")
def init(
    console: Console,
    *,
    name: str,
    example: str | None,
    sources: tuple[str, ...],
    roles: tuple[str, ...],
    targets: str | None,
    yes: bool,
) -> None:
    """Run `isthmus init`: create a project from an example, or for files of events (`sources`).

    `roles` are the columns that the user named, as ROLE=COLUMN; `targets` go into profiles.yaml.
    """
    from ...lifecycle.start.init import init as create
    from ...project.profiles.profiles import DEFAULT

    if not yes:
        _ask_inside(console, name)
    named = dict(_role(text) for text in roles)
    if sources and not (console.as_json or yes) and sys.stdin.isatty():
        named |= _answers(sources, name, named)
        targets = targets or click.prompt(
            "targets, of local, sagemaker, vertex", default=DEFAULT, show_default=True
        )
    scaffolded = create(
        name,
        example=example,
        source=sources or None,
        roles=named or None,
        targets=[target.strip() for target in targets.split(",")] if targets else None,
    )
    files = [Path(file) for file in scaffolded.files]
    written = [file for file in files if file.parent.name != "data"]
    data = " and the data" if len(written) < len(files) else ""
    text = (
        f"{name}/  {len(written)} files{data}. project.yaml is the place to start; SQL in "
        "features/, models in models/."
    )
    lines = [text, *(f"guessed   {guess}" for guess in scaffolded.guesses)]
    if scaffolded.guesses:
        lines.append("          --as ROLE=COLUMN corrects a guess: see isthmus init --help")
    lines += [
        f"missing   {missing.role}: {missing.question} --as {missing.role}=COLUMN, of "
        f"{', '.join(missing.columns[:_SHOWN])}{', ...' if len(missing.columns) > _SHOWN else ''}"
        for missing in scaffolded.missing
    ]
    console.result(scaffolded, "\n".join(lines))
    change_folder = "" if Path(name) == Path() else f"cd {quote(name)} && "
    if any(file.name == "first.yaml" for file in files):
        ingest = f"ingest{' --backfill' if scaffolded.backfill else ''}"
        steps = ("apply", ingest, "materialize", "train models/first.yaml", "deploy home")
        typed = " && ".join(f"isthmus {step}" for step in steps)
        console.say(f"next   {change_folder}{typed}")
    elif not sources and example in ("openbandit", "shop"):
        console.say(f"next   {change_folder}isthmus demo        or, step by step, isthmus validate")
    else:
        console.say(f"next   {change_folder}isthmus validate")


def _ask_inside(console: Console, name: str) -> None:
    """Ask the user to confirm a new project inside another one; refuse without a terminal."""
    folder = Path(name).resolve()
    outer = next((above for above in folder.parents if (above / PROJECT).is_file()), None)
    if outer is None:
        return
    inside = f"{outer} is a project, and {name} would be another one inside it"
    if console.as_json or not sys.stdin.isatty():
        raise Refused(
            f"{inside}; nothing was made",
            remedy=f"go elsewhere: isthmus -C {quote(str(outer.parent))} init "
            f"{quote(folder.name)}   or, if you mean it, add --yes",
        )
    click.confirm(f"{inside}. Make it?", abort=True)


def _role(text: str) -> tuple[str, str]:
    """Parse the option `--as ROLE=COLUMN`, and return the role and the column."""
    role, equals, column = text.partition("=")
    if not equals or not role.strip():
        raise click.UsageError(f"--as {text}: write ROLE=COLUMN, for example user=visitor")
    return role.strip(), column.strip()


def _answers(sources: tuple[str, ...], name: str, named: dict[str, str]) -> dict[str, str]:
    """Ask on the terminal which columns have the roles that could not be guessed.

    `sources` are the event files, `name` is the new project's, and `named` are the columns that the
    user named already, by role. Returns columns by role.
    """
    from ...lifecycle.start.proposal import propose

    proposal = propose([Path(source) for source in sources], Path(name), named=named)
    for guess in proposal.guesses if proposal.missing else ():  # they are told at the end anyway
        click.echo(f"guessed   {guess}", err=True)
    answers = {}
    for missing in proposal.missing:
        click.echo(f"{missing.question}  {', '.join(missing.columns)}", err=True)
        answer = click.prompt(
            f"{missing.role}, empty for none", default="", show_default=False, err=True
        )
        answers[missing.role] = answer.strip()
    return answers


@command(
    help="Check every file of the project, for every target of profiles.yaml. Nothing is called "
    "or changed. With --target, that one must do all, and what others cannot do is a warning."
)
def validate(console: Console) -> None:
    """Run `isthmus validate`: check the project's files for every target, and print problems."""
    from ...lifecycle.checks.validate import validate as check

    report = check(console.path, target=console.target)
    if report.errors:
        raise ProjectError(report.problems)
    console.result(report)
    console.next("plan")


@command(
    project=False,
    help="Print the JSON Schema of project.yaml, models/*.yaml and profiles.yaml, for editors.",
)
def schema(console: Console) -> None:  # noqa: ARG001  it prints JSON either way
    """Run `isthmus schema`: print the JSON Schema of the project's YAML files, for editors."""
    from ...project.schema import schema as json_schema

    click.echo(msgspec.json.format(msgspec.json.encode(json_schema()), indent=2).decode())


@command(
    help="What works on this machine, found by trying it; with --first-account, whether the "
    "target's account is ready."
)
@click.option(
    "--deep",
    is_flag=True,
    help="Also read all that the project has stored, and compare it with what was written.",
)
@click.option(
    "--first-account",
    "account",
    is_flag=True,
    help="Look at the account of --target instead: role, bucket, quotas, rights.",
)
@click.option(
    "--policy",
    type=_FILE,
    help="The rights that the account must grant: what `isthmus stack policy` printed.",
)
@click.option(
    "--round",
    "trial",
    is_flag=True,
    help="Then try a table, a job, a model and an endpoint there, and remove them.",
)
@click.option(
    "--minutes",
    default=60,
    show_default=True,
    type=click.IntRange(5, 240),
    help="The round: after so many it only removes.",
)
@click.option(
    "--record",
    type=_FOLDER,
    help="The round: a new folder for its calls, without names, keys and accounts.",
)
@click.option("--yes", is_flag=True, help="Do not ask before the round.")
def doctor(console: Console, *, deep: bool, account: bool, **options: Any) -> None:
    """Run `isthmus doctor`: check this machine; with `account` the target's cloud account.

    With `deep` all that the project has stored is read and compared, too.
    """
    if options["record"] and not options["trial"]:
        raise click.UsageError("--record goes with --round")
    if account:
        from .first_account import first_account

        first_account(console, **options)
        return
    if options["policy"] or options["trial"]:
        raise click.UsageError(
            f"--{'policy' if options['policy'] else 'round'} goes with --first-account"
        )
    from ...lifecycle.checks.doctor import doctor as try_out

    if deep:
        with console.open() as project:
            findings = try_out(project)
    else:
        findings = try_out()
    console.result(findings, "\n".join(map(str, findings)))
    if not all(finding.ok for finding in findings if finding.required):
        raise SystemExit(1)


@command(
    project=False, help="Print what makes SHELL complete commands, options and the project's names."
)
@click.argument("shell", type=click.Choice(list(SHELLS)))
def completion(console: Console, shell: str) -> None:
    """Run `isthmus completion`: print the script that sets up completion in a shell."""
    text = source(shell, click.get_current_context().find_root().command)
    console.result({"shell": shell, "source": text}, text, raw=True)
