"""Run the offline GCP as a process: `python -m isthmus_stack.gcp`; `--help` names its options."""

from __future__ import annotations

import importlib
import os
import sys
import threading
from typing import TYPE_CHECKING

from ..core.process import HOST, leave, options, serve
from .environment import PORT

if TYPE_CHECKING:
    from ..core.minutes import Minutes
    from .core.call import Call


def main(arguments: list[str] | None = None) -> int:
    """Start a Google Cloud stack from the command line, and serve it until a signal.

    Returns:
        The process's exit code.
    """
    settings = options("gcp", PORT, arguments)
    os.environ.setdefault(
        "ARROW_DEFAULT_MEMORY_POOL", "system"
    )  # Arrow's own pool keeps 30 MB of what it has freed
    from .composition import CATALOG
    from .core.rpc import late_packages
    from .core.server.front import Front, Services
    from .core.server.listeners import Server
    from .coverage import FAMILIES, coverage
    from .googlesql import compiled as googlesql

    late_packages.install(api.module for api in CATALOG.apis if api.module)
    for module in settings.handlers:
        importlib.import_module(module)
    services = Services(
        catalog=CATALOG, names=frozenset(FAMILIES), coverage=coverage, add_minutes=_add_minutes
    )

    def listening() -> None:
        """Warn if queries cannot be checked, and begin to import Vertex AI's package."""
        if not googlesql.available():
            sys.stderr.write(
                "the GCP stack does not check queries: GoogleSQL's analyzer is not installed "
                "(pip install zetasql==0.1.5)\n"
            )
            sys.stderr.flush()
        threading.Thread(target=warm, name="warm", daemon=True).start()

    def warm() -> None:
        """Import Vertex AI's package, which takes seconds, before the first call waits for it."""
        CATALOG.load(CATALOG.default)

    return serve(
        "gcp",
        settings,
        lambda stack: Front(stack, services),
        server=lambda front, port: Server(front, HOST, port),
        listening=listening,
    )


def _add_minutes(call: Call, scripted: Minutes) -> None:
    """Add minutes of traffic that a test invented to the metrics of an endpoint."""
    from .core.rpc.late_packages import IMPORTING

    with IMPORTING:
        from .services.aiplatform.endpoints.scripted_traffic import add_scripted_minutes

    add_scripted_minutes(call, scripted)


if __name__ == "__main__":
    leave(main())
