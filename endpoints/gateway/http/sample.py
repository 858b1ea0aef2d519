"""A request that an endpoint answers, for a gateway to warm up with.

It is made by a process of its own: the query that finds keys in the
log needs an engine, which has no place in a process that serves.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Protocol

import msgspec

from ....errors import IsthmusError

_SECONDS = 120


class SampleFailed(Exception):
    """The sample request could not be made; the text says why."""


class Samples(Protocol):
    def sample(self, endpoint: str) -> dict[str, Any]:
        """Return an example request to an endpoint; raise SampleFailed if there is none."""
        ...


class Sampler(msgspec.Struct, frozen=True, kw_only=True):
    """A source of sample requests for a project, named as `isthmus.open` takes it.

    The processes of one gateway share `folder`, so that one query serves them all.
    """

    project: str
    target: str | None = None
    offline: bool = False
    folder: str

    def sample(self, endpoint: str) -> dict[str, Any]:
        """Return an example request to an endpoint; raise SampleFailed if its log is empty."""
        try:
            return self._read_cache(endpoint)
        except OSError as error:
            raise SampleFailed(f"{self.folder}: {error.strerror or error}") from error

    def _read_cache(self, endpoint: str) -> dict[str, Any]:
        """Return an endpoint's example request; the first worker that asks makes the file of it."""
        path = Path(self.folder) / f"{endpoint}.json"
        with (Path(self.folder) / f"{endpoint}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                half = path.with_suffix(".half")
                half.write_bytes(self._run(endpoint))
                half.rename(path)
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])

    def _run(self, endpoint: str) -> bytes:
        """Run a process that makes an example request to an endpoint; return it as JSON."""
        command = [
            sys.executable,
            "-P",
            "-m",
            __spec__.name,
            msgspec.json.encode(self).decode(),
            endpoint,
        ]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                timeout=_SECONDS,
            )
        except subprocess.TimeoutExpired:
            raise SampleFailed(f"the log gave no example within {_SECONDS} s") from None
        if done.returncode:
            lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or [
                f"exit code {done.returncode}"
            ]
            raise SampleFailed(lines[-1])
        return done.stdout


def main(settings: str, endpoint: str) -> int:
    """Make an example request to an endpoint in this process, and print it as JSON.

    It is the program of a process of its own; `settings` says which project to open, as JSON.
    """
    from ....core.runtime.project import open as open_project
    from ..smoke import example_request

    sampler = msgspec.json.decode(settings, type=Sampler)
    result, sys.stdout = sys.stdout, sys.stderr  # a trainer's module may print when it is imported
    try:
        with open_project(
            sampler.project, target=sampler.target, offline=sampler.offline
        ) as project:
            request = example_request(project, endpoint)
    except IsthmusError as error:
        print(error, file=sys.stderr)
        return 1
    os.write(result.fileno(), msgspec.json.encode(request))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
