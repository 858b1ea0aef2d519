"""Errors as Google's services word them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# google.rpc.Code: its number, and the HTTP status that Google's gateways give it.
CODES: Mapping[str, tuple[int, int]] = {
    "CANCELLED": (1, 499),
    "UNKNOWN": (2, 500),
    "INVALID_ARGUMENT": (3, 400),
    "DEADLINE_EXCEEDED": (4, 504),
    "NOT_FOUND": (5, 404),
    "ALREADY_EXISTS": (6, 409),
    "PERMISSION_DENIED": (7, 403),
    "RESOURCE_EXHAUSTED": (8, 429),
    "FAILED_PRECONDITION": (9, 400),
    "ABORTED": (10, 409),
    "OUT_OF_RANGE": (11, 400),
    "UNIMPLEMENTED": (12, 501),
    "INTERNAL": (13, 500),
    "UNAVAILABLE": (14, 503),
    "DATA_LOSS": (15, 500),
    "UNAUTHENTICATED": (16, 401),
}


class GcpError(Exception):
    """An error as the service words it."""

    def __init__(
        self,
        status: str,
        message: str,
        *,
        reason: str | None = None,
        http: int | None = None,
        details: Sequence[Any] = (),
        **fields: Any,
    ) -> None:
        """Make an error in the form of google.rpc.Status, for a handler to raise.

        Args:
            status: A name of google.rpc.Code.
            message: The text for the caller.
            reason: The name that BigQuery and Storage give it, such as notFound.
            http: The HTTP status, where it is not the code's own.
            details: Messages, or dictionaries of JSON with an @type, that go with it.
            fields: More members of the one entry in `errors`, such as location and locationType.
        """
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message
        self.reason = reason
        self.details = details
        self.fields = fields  # more members of the one entry in `errors`: location, locationType
        self.code, usual = CODES[status]
        self.http = http or usual


def invalid(message: str) -> GcpError:
    """Return an INVALID_ARGUMENT error with this message."""
    return GcpError("INVALID_ARGUMENT", message)
