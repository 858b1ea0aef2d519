"""One process that serves the pages of a project."""

from __future__ import annotations

import asyncio
import secrets
import socket
from functools import partial
from pathlib import Path

from ..core.runtime.project import Project, reopen
from ..endpoints.http.door import AccessRules, door, is_loopback
from ..endpoints.http.peers import allowed_users, kernel_tells
from ..endpoints.http.server import Server
from ..endpoints.http.server import config as listening_config
from ..errors import Invalid
from ..experiments.simulation.clock import on_simulated_clock
from ..target import Target
from .access import FORM, UiAccessRules
from .application import Application


def access(
    *, host: str, allow_hosts: tuple[str, ...], token: str | None, proxy: str | None, write: bool
) -> UiAccessRules:
    """Return the rules by which the pages' server admits requests: hosts, token, proxy, writing.

    Where the system does not say which user a connection belongs to, a random token is generated.

    Raises:
        Invalid: The server would listen beyond this machine without a token and without a proxy
            that names the user; or the name of a host, a header or a user is not valid.
    """
    if proxy is not None and not (proxy.isascii() and proxy.replace("-", "").isalnum()):
        raise Invalid(f"{proxy!r} is no name of a header", remedy="--behind-proxy X-Forwarded-User")
    drawn = not token and proxy is None and is_loopback(host) and not kernel_tells()
    token = secrets.token_urlsafe(24) if drawn else token
    try:
        checked_door = _door(host, allow_hosts, token, behind=proxy is not None)
    except ValueError as error:
        raise Invalid(
            str(error), remedy="or let a proxy say who asks: --behind-proxy HEADER"
        ) from None
    return UiAccessRules(
        door=checked_door, write=write, proxy=proxy.lower().encode() if proxy else None, drawn=drawn
    )


def _door(
    host: str, allow_hosts: tuple[str, ...], token: str | None, *, behind: bool
) -> AccessRules:
    """Return the network rules of the pages' server: its hosts, this machine's users, the token.

    `behind` says whether a proxy stands in front of it.
    """
    bodies, users = frozenset({FORM}), allowed_users()
    if (
        behind and not token and not is_loopback(host)
    ):  # whom the proxy lets in; nobody else may reach this address
        named = () if host in ("0.0.0.0", "::") else (host,)  # noqa: S104  compared, not bound
        return door(
            listen="127.0.0.1", allow_hosts=(*allow_hosts, *named), users=users, bodies=bodies
        )
    return door(listen=host, allow_hosts=allow_hosts, token=token, users=users, bodies=bodies)


def with_token(where: str, to: UiAccessRules) -> str:
    """Return the pages' URL with the access token as its password, which a browser sends along.

    `where` is the URL without it, and `to` has the token if one was generated.
    """
    token = (to.door.token or b"").decode()
    return where.replace("://", f"://isthmus:{token}@", 1) if to.drawn else where


def reread(path: Path, target: Target) -> Project:
    """Parse the project's files again for a page; use the simulated clock if there is one."""
    return on_simulated_clock(reopen(path, target))


def serve(
    project: Project, path: Path, to: UiAccessRules, listening: socket.socket, *, same: str = ""
) -> None:
    """Serve the pages over HTTP until SIGTERM or SIGINT, then finish open requests.

    A second signal ends at once. `same` is what the commands shown on the pages end with, such as
    `--target NAME`.
    """
    config = listening_config(
        Application(partial(reread, path, project.target), to, same=same), lifespan="off"
    )
    server = Server(
        config, ending="what is under way is finished", cut="what was under way is not known"
    )
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(server.serve(sockets=[listening]))
