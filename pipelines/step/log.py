"""Write a step's log: what it and its command print goes to its `log.txt` while it is printed."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...storage import BlobStore
from ..runs.document import local_path

_COPY = 1.0  # seconds between copies to the provider's own log
_UPLOAD = 15  # copies between uploads


@contextmanager
def capture(blobs: BlobStore, uri: str, scratch: Path) -> Iterator[Path]:
    """Redirect stdout and stderr of this process and its children to the step's log at `uri`.

    The block gets the log's local path. If `uri` is a local file, the log is written there
    directly. Elsewhere it is also copied to the provider's log, and uploaded now and then.
    """
    place = local_path(uri)
    path = place or scratch / "log.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
    outside = os.dup(1), os.dup(2)
    _flush()
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    copying = None if place else _Copy(blobs, uri, path, outside[0])
    try:
        yield path
    finally:
        _flush()
        os.dup2(outside[0], 1)
        os.dup2(outside[1], 2)
        if copying:
            copying.stop()
        os.close(outside[0])
        os.close(outside[1])


class _Copy:
    """A thread that carries a growing file to a descriptor, and to a blob."""

    def __init__(self, blobs: BlobStore, uri: str, path: Path, outside: int) -> None:
        self.blobs, self.uri, self.path, self.outside = blobs, uri, path, outside
        self.seen = 0
        self.uploaded = -1
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """Stop the thread that copies the log, after the last lines."""
        self.stopping.set()
        self.thread.join()

    def _run(self) -> None:
        """Copy new lines of the log at intervals, until told to stop."""
        rounds = 0
        while not self.stopping.wait(_COPY):
            rounds += 1
            self._copy(upload=rounds % _UPLOAD == 0)
        self._copy(upload=True)

    def _copy(self, *, upload: bool) -> None:
        """Copy the log's new bytes to the provider's log, and upload the log if asked."""
        with self.path.open("rb") as file:
            file.seek(self.seen)
            new = file.read()
        if new:
            os.write(self.outside, new)
            self.seen += len(new)
        if upload and self.seen != self.uploaded:
            self.blobs.put(self.uri, self.path.read_bytes())
            self.uploaded = self.seen


def last_line(path: Path) -> str:
    """Return the last line of a log that is not blank, or an empty text."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4096))
        lines = file.read().decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _flush() -> None:
    """Flush what Python has buffered for stdout and stderr."""
    sys.stdout.flush()
    sys.stderr.flush()
