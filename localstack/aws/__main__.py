"""`python -m isthmus.localstack.aws`; `--help` names what can be set."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..clock import MODES

_UNITS = {"MB": 10**6, "GB": 10**9}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m isthmus.localstack.aws", description="An AWS that executes, on this machine.")
    parser.add_argument("--port", type=int, default=4599, help="0: any free one (default: 4599)")
    parser.add_argument("--image", action="append", default=[], metavar="NAME=COMMAND", help="what a container image is here; repeatable")
    parser.add_argument("--clock", choices=MODES, default="real")
    parser.add_argument("--home", type=Path, help="the stack's scratch folder (default: a temporary one)")
    parser.add_argument("--query-memory", type=_size, default=10**9, metavar="SIZE", help="what an Athena query may use (default: 1GB)")
    parser.add_argument("--handlers", action="append", default=[], metavar="MODULE", help="a module with handlers of your own; repeatable")
    parser.add_argument("--ready", type=Path, metavar="FILE", help="written once the stack listens: its url and pid")
    parser.add_argument("--until-stdin-closes", action="store_true", help="end when the process that started this one does")
    given = parser.parse_args(arguments)
    images = {}
    for text in given.image:
        name, equals, command = text.partition("=")
        if not (name and equals and command):
            parser.error(f"--image {text}: write NAME=COMMAND")
        images[name] = command
    from .server import serve

    try:
        serve(
            port=given.port,
            images=images,
            clock=given.clock,
            home=given.home,
            query_memory=given.query_memory,
            more=tuple(given.handlers),
            ready=given.ready,
            until_stdin_closes=given.until_stdin_closes,
        )
    except OSError as error:
        sys.stderr.write(f"error  the AWS stack cannot listen on port {given.port}: {error.strerror or error}\n")
        return 1
    return 0


def _size(text: str) -> int:
    """Bytes of 256MB or 2GB."""
    number, unit = text[:-2], text[-2:].upper()
    if not number.isdecimal() or int(number) == 0 or unit not in _UNITS:
        raise argparse.ArgumentTypeError(f"{text} is not a size: write 256MB or 2GB")
    return int(number) * _UNITS[unit]


if __name__ == "__main__":
    raise SystemExit(main())
