"""A replica's output in Cloud Logging: log `workerpool0-0`, resource `ml_job`."""

from __future__ import annotations

import time

from ....core.call import Call
from ....core.projects import with_project_id
from ...logging import in_process

_EVERY = 0.5  # seconds between two deliveries


class Lines:
    def __init__(self, call: Call, job: str, replica: str) -> None:
        self._call = call
        self._waiting: list[str] = []
        self._next = 0.0
        self._log = f"{'/'.join(with_project_id(call, job).split('/')[:2])}/logs/{replica}"
        self._labels = {
            "job_id": job.rpartition("/")[2],
            "task_name": replica,
            "project_id": with_project_id(call, job).split("/")[1],
        }

    def write(self, line: str) -> None:
        """Queue a line of a job's output for Cloud Logging."""
        self._waiting.append(line)

    def flush_if_due(self) -> None:
        """Write the queued lines to Cloud Logging, if the interval is over."""
        if self._waiting and time.monotonic() >= self._next:
            self.flush()

    def flush(self) -> None:
        """Write the queued lines of a job's output to Cloud Logging now."""
        self._next = time.monotonic() + _EVERY
        lines, self._waiting = self._waiting, []
        if lines:
            in_process.write(self._call, self._log, "ml_job", self._labels, lines)
