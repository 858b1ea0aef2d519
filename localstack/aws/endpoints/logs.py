"""A container's output: in CloudWatch Logs, and its last lines at hand."""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from collections.abc import Iterable
from typing import IO, Any

from ..jobs.logs import LogStream

_KEPT = 20
_TICK = 0.5


class VariantLog(LogStream):
    """/aws/sagemaker/Endpoints/<endpoint>, stream <variant>/<instance>."""

    def __init__(self, client: Any, group: str, stream: str) -> None:
        self._client = client
        self._group = group
        self._stream = stream
        self._waiting: list[dict[str, Any]] = []
        self._next = 0.0
        self.last: deque[str] = deque(maxlen=_KEPT)
        self._create()

    def say(self, line: str) -> None:
        self.last.append(line)
        self.write(line)

    def follow(self, output: IO[bytes], first: Iterable[str], stopping: threading.Event) -> None:
        """Until the output ends. Lines are delivered twice a second, not one by one: a container may log each request."""
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
            self.tick()
        if rest:
            self.say(rest.decode(errors="replace"))
        output.close()
        if not stopping.is_set():
            self.flush()
