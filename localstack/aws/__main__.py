"""`python -m isthmus.localstack.aws [--port N] [--image NAME=COMMAND]... [--clock real|instant|manual] [--home FOLDER]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..clock import MODES


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m isthmus.localstack.aws", description="An AWS that executes, on this machine.")
    parser.add_argument("--port", type=int, default=4599, help="0: any free one (default: 4599)")
    parser.add_argument("--image", action="append", default=[], metavar="NAME=COMMAND", help="what a container image is here; repeatable")
    parser.add_argument("--clock", choices=MODES, default="real")
    parser.add_argument("--home", type=Path, help="the stack's scratch folder (default: a temporary one)")
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
            more=tuple(given.handlers),
            ready=given.ready,
            until_stdin_closes=given.until_stdin_closes,
        )
    except OSError as error:
        sys.stderr.write(f"error  the AWS stack cannot listen on port {given.port}: {error.strerror or error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
