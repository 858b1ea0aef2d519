"""How Athena refuses a request, and how a query fails, at its tables or in its language."""

from __future__ import annotations

from ...core.registry import AwsError


class QueryFailed(Exception):
    """A query that ends FAILED. `str()` is the StateChangeReason.

    `code`: Trino's error name, such as TABLE_NOT_FOUND; empty where Athena has words of its own.
    `category` and `type`: of Athena's error catalogue; category 1 is the system, 2 the query, 3
    other.
    """

    def __init__(
        self, code: str, message: str, *, at: tuple[int, int] | None = None, category: int = 2
    ) -> None:
        where = f"line {at[0]}:{at[1]}: " if at else ""
        super().__init__(f"{code}: {where}{message}" if code else message)
        self.code = code
        self.category = category
        self.type = 1001 if category == 2 else 0


class NotRun(QueryFailed):
    """Athena has it; this stack does not run it.

    Said plainly, so that nobody looks for a mistake in the query.
    """

    def __init__(self, what: str, *, at: tuple[int, int] | None = None) -> None:
        super().__init__(
            "NOT_SUPPORTED",
            f"the local AWS stack does not run {what}; Athena does",
            at=at,
            category=1,
        )


def refusal(message: str, code: str = "INVALID_INPUT") -> AwsError:
    return AwsError("InvalidRequestException", message, 400, AthenaErrorCode=code)
