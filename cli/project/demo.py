"""demo."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ..console.command import command
from ..console.console import PROJECT, Console


@command(
    above=False,
    help="An example from raw files to its figures; here when this folder holds it, else in a new "
    "folder of its name.",
)
@click.option(
    "--example",
    type=click.Choice(["openbandit", "shop"]),
    help="openbandit: a real log, served, and a bad version taken back. shop: people, a gate that "
    "passes, a version promoted, an A/B test."
    " [default: this folder's, else openbandit]",
)
@click.option(
    "--streams",
    is_flag=True,
    help="The real log counted as a stream, against the same log counted by SQL.",
)
@click.option("--keep", is_flag=True, help="Leave the endpoint up.")
@click.option(
    "--requests", type=int, help="How many requests to serve (openbandit). [default: 2000]"
)
def demo(
    console: Console, example: str | None, *, streams: bool, keep: bool, requests: int | None
) -> None:
    """Run `isthmus demo`: run an example from raw files to its results, and print these."""
    from ...lifecycle.demo import demo as openbandit
    from ...lifecycle.demo import shop
    from ...lifecycle.demo import streams as of_streams
    from ...lifecycle.demo.stages import check_installed

    check_installed()
    if streams:
        if example or keep or requests is not None:
            raise click.UsageError("--streams serves nothing: leave the other options out")
        example = of_streams.EXAMPLE
    _place_project(console, example or openbandit.EXAMPLE)
    # a demo needs no account and spends nothing: a cloud's is its offline stack
    console.offline = True

    def on_stage(number: int, total: int, name: str, result: str) -> None:
        line = f"[{number:>2}/{total}] {name:<18} {result}"
        if sys.stdout.isatty():
            console.say(line)
        elif not console.as_json:
            click.echo(line, err=True)

    from ...core.runtime import stacks

    folder = Path(console.path).resolve().parent
    had_stack, had_home = bool(stacks.running_urls(folder)), bool(stacks.homes(folder))
    try:
        with console.open() as project:
            example = example or project.spec.name
            console.result(
                of_streams.demo_streams(project, on_stage=on_stage)
                if streams
                else openbandit.demo(
                    project, example=example, requests=requests, keep=keep, on_stage=on_stage
                )
            )
    finally:
        if not (keep or had_stack):
            stacks.stop(folder, forget=not had_home)
    if streams:
        console.next(f"stream run {of_streams.VIEW} --project {example}")
        return
    console.next("init mine --example starter" if example == shop.EXAMPLE else "init shop")


def _place_project(console: Console, example: str) -> None:
    """Write an example into a folder of its own, unless this folder holds a project."""
    from ...lifecycle.demo import streams
    from ...project.scaffold import create

    if console.path != PROJECT or Path(PROJECT).exists():
        return
    console.path = f"{example}/{PROJECT}"
    if example == streams.EXAMPLE:
        streams.write_project(Path(example))
    elif not Path(console.path).exists():
        create(Path(example), example=example)
        console.say(f"{example}/  a copy of the example")
