"""The gateway's application in a thread of this process, on a free port of loopback.

It is for callers that move the project's clock.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import final

import uvicorn

from ....core.runtime.project import Project
from ....errors import Unavailable
from ....storage import wait
from ...http.door import door
from ...http.server import config as listening_config
from ...http.server import listener, url
from ..decide.live_document import LIVE
from ..processes.shared_folder import shared_folder
from .application import Application
from .sample import Samples
from .service import Service

_HOST = "127.0.0.1"
_PATIENCE = timedelta(minutes=1)  # with a store that does not say what runs


@final
class Background:
    """`lost`: rows of what is logged, once it has ended."""

    def __init__(self, address: str, application: Application) -> None:
        self.url = address
        self._application = application

    @property
    def lost(self) -> int:
        """The number of log rows that the gateway could not write."""
        return self._application.lost


@contextmanager
def in_background(
    project: Project, endpoint: str, samples: Samples, *, seed: str | None = None
) -> Iterator[Background]:
    """Serve an endpoint's gateway over HTTP in a thread while the `with` block runs.

    Serving begins once the running experiments have been read: earlier callers would be in none.
    Raises Unavailable if that takes a minute, or if the gateway does not start. `samples` makes
    example requests, and `seed` is for what the gateway draws at random.
    """
    service = Service(
        project,
        (endpoint,),
        folder=shared_folder(),
        slot=0,
        sampler=samples,
        owns_folder=True,
        seed=seed,
    )
    application = Application(lambda: service, door(listen=_HOST), tells=False)
    config = listening_config(application, lifespan="on")
    server = uvicorn.Server(config)

    def serve() -> None:
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(server.serve(sockets=[listening]))

    with listener(_HOST, 0) as listening:
        thread = threading.Thread(target=serve, name="gateway")
        thread.start()
        try:
            wait(
                lambda: service.live.problems,
                lambda problems: not problems,
                deadline=_PATIENCE,
                what=f"the gateway's copy of {LIVE}",
            )
            yield Background(url(_HOST, listening), application)
        finally:
            server.should_exit = True
            thread.join()
    if not server.started:
        raise Unavailable(
            f"the gateway of {endpoint} did not start",
            remedy=f"isthmus gateway {endpoint} says why",
        )
