"""`python -m isthmus_stack.aws`: the offline AWS as a process; `--help` names its options."""

from __future__ import annotations

from importlib.metadata import version

from ..core.process import leave, options, serve
from .core.environment import PORT


def main(arguments: list[str] | None = None) -> int:
    """Run the offline AWS as a process, and return its exit status."""
    parsed_options = options("aws", PORT, arguments)
    from . import handler_modules
    from .core.protocol.http import Channel
    from .front import Front

    handler_modules.load(parsed_options.handlers)
    return serve("aws", parsed_options, Front, channel=Channel, versions={"moto": version("moto")})


if __name__ == "__main__":
    leave(main())
