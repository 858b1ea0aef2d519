"""The jobs that the stack keeps, while they run and after."""

from __future__ import annotations

import threading
from datetime import datetime
from typing import Any, Literal

Kind = Literal["training", "processing", "transform", "tuning"]
ENDED = ("Completed", "Failed", "Stopped")


class Job:
    """One job.

    Its thread writes, requests read; every write is a single assignment or happens under `lock`.
    """

    def __init__(
        self, kind: Kind, name: str, arn: str, params: dict[str, Any], now: datetime
    ) -> None:
        self.kind: Kind = kind
        self.name = name
        self.arn = arn
        self.params = params  # of the Create call
        self.created = self.modified = now
        self.started: datetime | None = None  # of the container, not of the job
        self.ended: datetime | None = None
        self.status = "InProgress"
        self.secondary = "Starting"
        self.transitions: list[dict[str, Any]] = []
        self.metrics: dict[str, tuple[float, datetime]] = {}
        self.failure: str | None = None
        self.exit_message: str | None = None
        self.tuning: str | None = None  # the ARN of the tuning job that launched this training job
        self.artifacts: str | None = None
        self.as_moto: dict[str, Any] | None = (
            None  # the Describe answer of a job that nothing runs (--moto-answers)
        )
        self.stop = threading.Event()  # somebody asked it to stop
        self.done = threading.Event()
        self.lock = threading.RLock()

    def moves(self, secondary: str, message: str, now: datetime) -> None:
        """Set the job's secondary status, such as Downloading, and record the transition at `now`.

        `message` explains the status.
        """
        with self.lock:
            if self.transitions:
                self.transitions[-1].setdefault("EndTime", now)
            self.transitions.append(
                {"Status": secondary, "StartTime": now, "StatusMessage": message}
            )
            self.secondary = secondary
            self.modified = now

    def ends(self, status: str, secondary: str, message: str, now: datetime) -> None:
        """Set the job's final status, and record the transition at `now`.

        `secondary` is the last secondary status, and `message` explains it.
        """
        with self.lock:
            self.moves(secondary, message, now)
            self.transitions[-1]["EndTime"] = now
            self.status = status
            self.ended = now
        self.done.set()


class Jobs:
    """The jobs of one account and region, in the order of their creation."""

    def __init__(self) -> None:
        self.training: dict[str, Job] = {}
        self.processing: dict[str, Job] = {}
        self.transform: dict[str, Job] = {}
        self.tuning: dict[str, Job] = {}
        self.lock = threading.Lock()

    def jobs_of(self, kind: Kind) -> dict[str, Job]:
        """Return the jobs of a kind (training, processing ...) by their names."""
        jobs: dict[str, Job] = getattr(self, kind)
        return jobs
