"""gateway: a project's endpoints as a service."""

from __future__ import annotations

import os

import click

from ...errors import Invalid
from ..console.command import command
from ..console.console import Console


@command(
    help="Serve ENDPOINTs (default: all) over HTTP until SIGTERM or Ctrl-C: POST /rank, /assign, "
    "/track, /ofrep/v1/evaluate/flags; GET /health, /ping, /metrics, /openapi.json. Of this "
    "machine it answers your own user and those whom ISTHMUS_ALLOW_USER names, or whoever has "
    "ISTHMUS_TOKEN."
)
@click.argument("endpoints", nargs=-1, metavar="[ENDPOINT]...")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Where to listen. Beyond this machine only with ISTHMUS_TOKEN.",
)
@click.option(
    "--port", default=8800, show_default=True, type=click.IntRange(0, 65535), help="0: a free one."
)
@click.option(
    "--workers",
    default=1,
    show_default=True,
    type=click.IntRange(1, 64),
    help="Processes. One that dies is started again.",
)
@click.option(
    "--allow-host",
    "allow_hosts",
    multiple=True,
    metavar="NAME",
    help="A name that callers use for it. Repeatable.",
)
@click.option("--durable", is_flag=True, help="Answer when the exposures are stored, not before.")
def gateway(
    console: Console,
    endpoints: tuple[str, ...],
    *,
    host: str,
    port: int,
    workers: int,
    allow_hosts: tuple[str, ...],
    durable: bool,
) -> None:
    """Run `isthmus gateway`: serve endpoints over HTTP until a signal.

    `durable` answers only once exposures are stored; `allow_hosts` are further host names that
    callers may use.
    """
    run(
        console,
        endpoints,
        host=host,
        port=port,
        workers=workers,
        allow_hosts=allow_hosts,
        durable=durable,
    )


def run(
    console: Console,
    endpoints: tuple[str, ...],
    *,
    port: int,
    host: str = "127.0.0.1",
    workers: int = 1,
    allow_hosts: tuple[str, ...] = (),
    durable: bool = False,
) -> None:
    """Serve the project's gateway over HTTP until a signal stops it."""
    from ...endpoints.gateway.http import server as gateway_server
    from ...endpoints.gateway.http import workers as many
    from ...endpoints.gateway.http.service import served_endpoints
    from ...endpoints.http.door import TOKEN, door
    from ...endpoints.http.peers import allowed_users
    from ...endpoints.http.server import listener, url

    settings = gateway_server.GatewaySettings(
        project=console.path,
        target=console.target,
        offline=console.offline,
        endpoints=endpoints,
        host=host,
        port=port,
        allow_hosts=allow_hosts,
        durable=durable,
    )
    try:
        door(
            listen=host, allow_hosts=allow_hosts, token=os.environ.get(TOKEN), users=allowed_users()
        )
    except ValueError as error:
        raise Invalid(str(error)) from None
    with console.open() as project:
        names = served_endpoints(project, endpoints)
        with listener(host, port) as listening:
            where = url(host, listening)
            console.result(
                {"url": where, "endpoints": names, "workers": workers},
                f"gateway of {', '.join(names)} on {where}/rank   Ctrl-C stops it",
            )
            if workers == 1:
                gateway_server.serve(project, settings, listening)
                code = 0
            else:
                code = many.serve(settings, listening, workers)
    if code:
        raise SystemExit(code)
