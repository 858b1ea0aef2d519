"""Cloud Storage's errors."""

from __future__ import annotations

from typing import Any

from ...core.errors import GcpError

NOT_MET = "At least one of the pre-conditions you specified did not hold."


def invalid(message: str, parameter: str | None = None) -> GcpError:
    """Return the error 400 for a request or a parameter that is not valid."""
    place: dict[str, Any] = (
        {"locationType": "parameter", "location": parameter} if parameter else {}
    )
    return GcpError("INVALID_ARGUMENT", message, reason="invalid", **place)


def precondition_failed() -> GcpError:
    """Return the error 412 for a precondition that does not hold."""
    return GcpError(
        "FAILED_PRECONDITION",
        NOT_MET,
        reason="conditionNotMet",
        http=412,
        locationType="header",
        location="If-Match",
    )


def no_object(bucket: str, name: str) -> GcpError:
    """Return the error 404 for an object that does not exist."""
    return GcpError("NOT_FOUND", f"No such object: {bucket}/{name}", reason="notFound")


def bad_key(reason: str, text: str) -> GcpError:
    """Return the error for a customer-supplied encryption key that is missing or not valid."""
    return GcpError("INVALID_ARGUMENT", text, reason=reason)


def public_access_refusal() -> GcpError:
    """Return the error for an ACL or policy that breaks public access prevention."""
    text = (
        "The member bindings allUsers and allAuthenticatedUsers are not allowed since public "
        "access prevention is enforced."
    )
    return GcpError("FAILED_PRECONDITION", text, reason="conditionNotMet", http=412)
