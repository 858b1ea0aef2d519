"""The state of batch prediction: the jobs that run."""

from __future__ import annotations

from typing import Protocol


class Cancellable(Protocol):
    """A run that can be ended early."""

    def cancel(self) -> None:
        """Ask a running job to end soon."""
        ...


class Batches:
    """The running jobs of one stack by name, so that they can be cancelled."""

    def __init__(self) -> None:
        self.works: dict[str, Cancellable] = {}
