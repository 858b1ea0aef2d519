"""`app` is the gateway for any ASGI server (gateway/application.py).

It serves every endpoint of the project that ISTHMUS_PROJECT names (a file or a folder; default: the
working folder), on ISTHMUS_TARGET (default: that of profiles.yaml). ISTHMUS_ALLOW_HOST: names, with
commas between, that callers may use for it. ISTHMUS_ALLOW_USER: other users of this machine that
may ask (peers.py); a server that takes a caller's address from a header needs ISTHMUS_TOKEN, or
`*`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ..gateway.http.application import Application
from ..gateway.http.sample import Sampler
from ..gateway.http.service import Service
from ..gateway.processes.shared_folder import shared_folder
from ..http.door import TOKEN, door
from ..http.peers import allowed_users


def of_environment(environ: Mapping[str, str] = os.environ) -> Application:
    """Return the gateway's ASGI application for the project that ISTHMUS_PROJECT names.

    The project is opened when the server starts.
    """
    named = Path(environ.get("ISTHMUS_PROJECT", "."))

    def make() -> Service:
        from ...core.runtime.project import open as open_project

        path = str(named / "project.yaml" if named.is_dir() else named)
        project = open_project(path, target=environ.get("ISTHMUS_TARGET"))
        folder = shared_folder()
        sampler = Sampler(project=path, target=environ.get("ISTHMUS_TARGET"), folder=str(folder))
        return Service(project, (), folder=folder, slot=0, sampler=sampler, owns_folder=True)

    hosts = environ.get("ISTHMUS_ALLOW_HOST", "").split(",")
    entrance = door(
        listen="127.0.0.1",
        allow_hosts=hosts,
        token=environ.get(TOKEN),
        users=allowed_users(environ),
    )
    return Application(make, entrance, listening=False)


app = of_environment()
