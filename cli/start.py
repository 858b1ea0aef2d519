"""init, validate, schema, doctor, completion: what needs no target."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

import click
import msgspec

from ..errors import ProjectError
from .command import command
from .completing import SHELLS, source
from .console import Console


@command(project=False, help="Make a project in the new folder NAME, or a copy of an example.")
@click.argument("name")
@click.option(
    "--example", type=click.Choice(["openbandit", "shop"]), help="openbandit: a real log. shop: people, simulated, of whom all is known."
)
@click.option("--from", "source", metavar="FILE", help="Propose one for the events in a file: JSON lines, CSV, TSV or Parquet.")
def init(console: Console, name: str, example: str | None, source: str | None) -> None:
    from ..lifecycle.init import init as create

    made = create(name, example=example, source=source)
    files = [Path(file) for file in made.files]
    kept = [f for f in files if f.parent.name != "data"]
    data = " and the data" if len(kept) < len(files) else ""
    text = f"{name}/  {len(kept)} files{data}. project.yaml is the place to start; SQL in features/, models in models/."
    console.result(made, "\n".join([text, *(f"guessed   {guess}" for guess in made.guesses)]))
    there = "" if Path(name) == Path() else f"cd {quote(name)} && "
    if example is not None:
        console.say(f"next   {there}isthmus demo        or, step by step, isthmus validate")
    else:
        console.say(f"next   {there}isthmus validate")


@command(
    help="Check every file of the project, for every target of profiles.yaml. Nothing is called or changed. "
    "With --target, an experiment that cannot start there is an error."
)
def validate(console: Console) -> None:
    from ..lifecycle.validate import validate as check

    found = check(console.path, target=console.target)
    if found.errors:
        raise ProjectError(found.problems)
    console.result(found)
    console.next("plan")


@command(project=False, help="Print the JSON Schema of project.yaml, models/*.yaml and profiles.yaml, for editors.")
def schema(console: Console) -> None:  # noqa: ARG001  it prints JSON either way
    from ..project.schema import schema as json_schema

    click.echo(msgspec.json.format(msgspec.json.encode(json_schema()), indent=2).decode())


@command(help="What works on this machine, found by trying it.")
@click.option("--deep", is_flag=True, help="Also read all that the project has stored, and compare it with what was written.")
def doctor(console: Console, deep: bool) -> None:
    from ..lifecycle.doctor import doctor as try_out

    if deep:
        with console.open() as project:
            findings = try_out(project)
    else:
        findings = try_out()
    console.result(findings, "\n".join(map(str, findings)))
    if not all(finding.ok for finding in findings if finding.required):
        raise SystemExit(1)


@command(project=False, help="Print what makes SHELL complete commands, options and the project's names.")
@click.argument("shell", type=click.Choice(list(SHELLS)))
def completion(console: Console, shell: str) -> None:
    text = source(shell, click.get_current_context().find_root().command)
    console.result({"shell": shell, "source": text}, text, raw=True)
