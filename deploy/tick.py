"""Look once at every running rollout: the handler of a scheduled function.

AWS Lambda, or anything else, calls it once a minute. The function's package holds the project's
folder and `isthmus[sagemaker]`. PROJECT (default: project.yaml beside this file) and TARGET
(default: profiles.yaml's) are environment variables. What it may do in AWS: run a rollout against
the offline AWS, and `isthmus stack policy` writes it. Start rollouts with `isthmus rollout start
ENDPOINT --no-controller`. A look that is killed, late or doubled does no harm.
"""
# ruff: noqa: INP001  a script, not a package

from __future__ import annotations

import os
import sys
from pathlib import Path

import isthmus as im


def handler(_event: object = None, _context: object = None) -> dict[str, str]:
    """Look at every running rollout and return what was done, a line for each endpoint.

    It raises when it could not look, so that the schedule's own alarm tells of it.
    """
    path = Path(os.environ.get("PROJECT", Path(__file__).parent / "project.yaml"))
    with im.open(path, target=os.environ.get("TARGET")) as project:
        return im.rollout.tick(project)


if __name__ == "__main__":
    sys.stdout.write("".join(f"{endpoint}   {line}\n" for endpoint, line in handler().items()))
