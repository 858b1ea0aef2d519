"""Run the offline GCP as a process: `python -m isthmus_stack.gcp`; `--help` names its options."""

from __future__ import annotations

import os
import sys
import threading

from ..core.process import HOST, leave, options, serve
from .environment import PORT


def main(arguments: list[str] | None = None) -> int:
    """Start the stack that the command line describes, and serve it until it is told to end.

    Returns:
        The process's exit code.
    """
    settings = options("gcp", PORT, arguments)
    os.environ.setdefault(
        "ARROW_DEFAULT_MEMORY_POOL", "system"
    )  # Arrow's own pool keeps 30 MB of what it has freed
    from . import composition as handler_modules
    from .core.rpc import late_packages
    from .core.rpc.methods import APIS, load
    from .core.server.front import Front
    from .core.server.listeners import Server
    from .googlesql import compiled as googlesql

    late_packages.install(api.module for api in APIS if api.module)
    handler_modules.load_own(settings.handlers)

    def listening() -> None:
        if not googlesql.available():
            sys.stderr.write(
                "the GCP stack does not check queries: GoogleSQL's analyzer is not installed "
                "(pip install zetasql==0.1.5)\n"
            )
            sys.stderr.flush()
        threading.Thread(target=warm, name="warm", daemon=True).start()

    def warm() -> None:
        """Import Vertex AI's package, which takes seconds, before the first call waits for it."""
        load(APIS[0])
        handler_modules.load("google.longrunning")
        handler_modules.load(APIS[0].package)

    return serve(
        "gcp",
        settings,
        Front,
        server=lambda front, port: Server(front, HOST, port),
        listening=listening,
    )


if __name__ == "__main__":
    leave(main())
