"""Refusals of requests, and failures of queries at their tables or in their language."""

from __future__ import annotations

from ...core.registry import AwsError


class QueryFailed(Exception):
    """A query that ends FAILED. `str()` is the StateChangeReason.

    Args:
        code: Trino's error name, such as TABLE_NOT_FOUND; empty where Athena has words of its own.
        message: What is wrong.
        position: The line and the column in the query, both from 1.
        category: The category in Athena's error catalogue: 1 is the system, 2 the query, 3 other.
    """

    def __init__(
        self, code: str, message: str, *, position: tuple[int, int] | None = None, category: int = 2
    ) -> None:
        where = f"line {position[0]}:{position[1]}: " if position else ""
        super().__init__(f"{code}: {where}{message}" if code else message)
        self.code = code
        self.category = category
        self.type = 1001 if category == 2 else 0


class NotRun(QueryFailed):
    """A query that Athena runs and this stack does not.

    The error says so plainly, so that nobody looks for a mistake in the query.
    """

    def __init__(self, what: str, *, position: tuple[int, int] | None = None) -> None:
        super().__init__(
            "NOT_SUPPORTED",
            f"the local AWS stack does not run {what}; Athena does",
            position=position,
            category=1,
        )


def refusal(message: str, code: str = "INVALID_INPUT") -> AwsError:
    """Return the InvalidRequestException for a request that Athena refuses."""
    return AwsError("InvalidRequestException", message, 400, AthenaErrorCode=code)
