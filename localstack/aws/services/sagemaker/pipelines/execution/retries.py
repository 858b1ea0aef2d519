"""Retry policies: which of the service's own errors a step tries again, when, and how often.

Source: SageMaker developer guide, "Retry Policy for Pipeline Steps". A command that exits non-zero
is none of these errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ..definition.document import Retry

THROTTLING, SERVICE_FAULT = "Step.THROTTLING", "Step.SERVICE_FAULT"
INTERNAL, CAPACITY, LIMIT = (
    "SageMaker.JOB_INTERNAL_ERROR",
    "SageMaker.CAPACITY_ERROR",
    "SageMaker.RESOURCE_LIMIT",
)

# Throttling and faults of the service are tried again whatever the definition says; how often is
# not documented.
_ALWAYS = Retry(
    exceptions=(THROTTLING, SERVICE_FAULT), interval=1, backoff=2.0, attempts=3, expire_after=None
)


class StepFailed(Exception):
    """A step did not work.

    Args:
        reason: Why.
        kind: The retry policies' name for the error, None for what is not tried again.
    """

    def __init__(self, reason: str, kind: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.kind = kind


class Retries:
    """The attempts of one step."""

    def __init__(self, policies: Sequence[Retry], began: datetime) -> None:
        self._policies = (*policies, _ALWAYS)
        self._began = began
        self._used: dict[int, int] = {}

    def wait(self, error: StepFailed, now: datetime) -> float | None:
        """Return the seconds until a failed step's next attempt, or None if there is none.

        The first retry policy that names the error decides.
        """
        for number, policy in enumerate(self._policies):
            if error.kind not in policy.exceptions:
                continue
            used = self._used.get(number, 0)
            overdue = policy.expire_after is not None and now - self._began >= policy.expire_after
            if used >= policy.attempts or overdue:
                return None
            self._used[number] = used + 1
            return policy.interval * policy.backoff**used
        return None


def kind_of_reason(failure: str) -> str | None:
    """Return the exception type of a retry policy that fits a job's FailureReason, or None."""
    if failure.startswith("InternalServerError"):
        return INTERNAL
    return CAPACITY if failure.startswith("CapacityError") else None
