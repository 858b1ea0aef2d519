"""ui: the pages of a project in a browser."""

from __future__ import annotations

import os
from pathlib import Path

import click

from ..console.command import command
from ..console.console import Console


@command(
    help="Show experiments, endpoints, models, bias and events in a browser, until Ctrl-C. "
    "Read-only without --write. Of this machine "
    "your own user and those whom ISTHMUS_ALLOW_USER names are let in, or whoever has "
    "ISTHMUS_TOKEN."
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Where to listen. Beyond this machine only with ISTHMUS_TOKEN.",
)
@click.option(
    "--port", default=8790, show_default=True, type=click.IntRange(0, 65535), help="0: a free one."
)
@click.option(
    "--allow-host",
    "allow_hosts",
    multiple=True,
    metavar="NAME",
    help="A name that browsers use for it. Repeatable.",
)
@click.option(
    "--behind-proxy",
    "proxy",
    metavar="HEADER",
    help="The header in which a proxy says who asks. Let nobody else reach it; ISTHMUS_ALLOW_USER "
    "names the proxy's user on this machine.",
)
@click.option(
    "--write",
    is_flag=True,
    help="Allow changes: start, ramp and stop of experiments, looks at results, new files.",
)
def ui(
    console: Console,
    *,
    host: str,
    port: int,
    allow_hosts: tuple[str, ...],
    proxy: str | None,
    write: bool,
) -> None:
    """Run `isthmus ui`: serve the project's pages for a browser until a signal.

    `proxy` is the header in which a proxy names the user; `write` allows changes.
    """
    from ...endpoints.http.door import TOKEN
    from ...endpoints.http.server import listener, url
    from ...ui import server

    to = server.access(
        host=host, allow_hosts=allow_hosts, token=os.environ.get(TOKEN), proxy=proxy, write=write
    )
    with console.open() as project, listener(host, port) as listening:
        where = server.with_token(url(host, listening), to)
        mode = "changes allowed" if write else "read only: --write allows changes"
        console.result(
            {"url": where, "write": write},
            f"pages of {project.spec.name} on {where}   {mode}   Ctrl-C stops it",
        )
        server.serve(project, Path(console.path), to, listening, same=console.same)
