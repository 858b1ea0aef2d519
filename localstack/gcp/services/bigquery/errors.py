"""Refusals of BigQuery, by their reason.

The same words answer a request and stand in a job's status.
"""

from __future__ import annotations

from typing import Any

# reason -> HTTP status, google.rpc code [docs: bigquery/docs/error-messages]
_STATUS = {
    "notFound": (404, "NOT_FOUND"),
    "duplicate": (409, "ALREADY_EXISTS"),
    "invalid": (400, "INVALID_ARGUMENT"),
    "invalidQuery": (400, "INVALID_ARGUMENT"),
    "required": (400, "INVALID_ARGUMENT"),
    "parseError": (400, "INVALID_ARGUMENT"),
    "resourceInUse": (400, "FAILED_PRECONDITION"),
    "resourcesExceeded": (400, "INVALID_ARGUMENT"),
    "bytesBilledLimitExceeded": (400, "INVALID_ARGUMENT"),
    "conditionNotMet": (412, "FAILED_PRECONDITION"),
    "accessDenied": (403, "PERMISSION_DENIED"),
    "rateLimitExceeded": (403, "PERMISSION_DENIED"),
    "stopped": (499, "CANCELLED"),
    "notImplemented": (501, "UNIMPLEMENTED"),
    "internalError": (500, "INTERNAL"),
}


class BigQueryError(Exception):
    """A refusal of BigQuery's.

    `location` is the part of the request that is wrong, such as `query` or a field's name.
    """

    def __init__(self, reason: str, message: str, location: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.location = location

    @property
    def http(self) -> int:
        """The HTTP status that belongs to the error's reason."""
        return _STATUS[self.reason][0]

    @property
    def status(self) -> str:
        """The name of the google.rpc code that belongs to the error's reason."""
        return _STATUS[self.reason][1]

    def proto(self) -> dict[str, Any]:
        """Return the error as an ErrorProto, as a job's status shows it, in JSON."""
        place = {"location": self.location} if self.location else {}
        return {"reason": self.reason, "message": self.message, **place}


def invalid(message: str, location: str | None = None) -> BigQueryError:
    """Return the error `invalid`, for a request that is wrong at `location`, such as a field."""
    return BigQueryError("invalid", message, location)


def invalid_query(message: str) -> BigQueryError:
    """Return the error `invalidQuery`, for a statement that is wrong."""
    return BigQueryError("invalidQuery", message, "query")


def not_run(subject: str) -> BigQueryError:
    """Return the error for a `subject` that BigQuery supports and this stack does not."""
    return BigQueryError("notImplemented", f"not supported by the offline BigQuery yet: {subject}")
