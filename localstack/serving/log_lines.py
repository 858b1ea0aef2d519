"""A container's output as it comes: line by line, in batches, its last lines at hand."""

from __future__ import annotations

import os
import select
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable
from typing import IO

_KEPT = 20
_TICK = 0.5


class Lines(ABC):
    """The output of one container.

    Where it goes is a cloud's own: `write` takes a line, `flush_if_due` runs twice a second,
    `flush` at the end.
    """

    def __init__(self) -> None:
        self.last: deque[str] = deque(maxlen=_KEPT)

    @abstractmethod
    def write(self, line: str) -> None:
        """Queue a line for delivery to the log."""

    @abstractmethod
    def flush_if_due(self) -> None:
        """Deliver the queued lines if enough time has passed since the last delivery."""

    @abstractmethod
    def flush(self) -> None:
        """Deliver all queued lines now."""

    def say(self, line: str) -> None:
        """Write a line to the log, and remember it among the container's last lines."""
        self.last.append(line)
        self.write(line)

    def follow(self, output: IO[bytes], first: Iterable[str], stopping: threading.Event) -> None:
        """Read a container's output line by line into the log until it ends or `stopping` is set.

        `first` are lines that were read before. Lines are delivered twice a second, not one by one:
        a container may log each request.
        """
        for line in first:
            self.say(line)
        rest = b""
        while not stopping.is_set():
            if select.select([output], [], [], _TICK)[0]:
                data = os.read(output.fileno(), 65_536)
                if not data:
                    break
                *lines, rest = (rest + data).split(b"\n")
                for raw in lines:
                    self.say(raw.decode(errors="replace").rstrip("\r"))
            self.flush_if_due()
        if rest:
            self.say(rest.decode(errors="replace"))
        output.close()
        if not stopping.is_set():
            self.flush()
