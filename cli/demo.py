"""demo."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from .console import Console, command


@command(help="The whole example, from raw files to served answers; here when this folder holds it, else in a new folder openbandit/.")
@click.option("--keep", is_flag=True, help="Leave the endpoint up.")
@click.option("--requests", default=2000, show_default=True, help="How many requests to serve.")
def demo(console: Console, keep: bool, requests: int) -> None:
    from ..lifecycle.demo import EXAMPLE
    from ..lifecycle.demo import demo as run

    if console.path == "project.yaml" and not Path(console.path).exists():
        console.path = f"{EXAMPLE}/project.yaml"
        if not Path(console.path).exists():
            from ..project.scaffold import create

            create(Path(EXAMPLE), example=EXAMPLE)
            console.say(f"{EXAMPLE}/  a copy of the example")
    console.offline = True  # a demo needs no account and spends nothing: a cloud's is its offline stack

    def on_stage(number: int, total: int, name: str, result: str) -> None:
        line = f"[{number:>2}/{total}] {name:<18} {result}"
        if sys.stdout.isatty():
            console.say(line)
        elif not console.as_json:
            click.echo(line, err=True)

    from ..lifecycle import offline

    folder = Path(console.path).resolve().parent
    had_stack, had_home = bool(offline.running_urls(folder)), bool(offline.homes(folder))
    try:
        with console.open() as project:
            found = run(project, requests=requests, keep=keep, on_stage=on_stage)
    finally:
        if not (keep or had_stack):
            offline.stop(folder, forget=not had_home)
    console.result(found)
    console.next("init shop --example shop")
