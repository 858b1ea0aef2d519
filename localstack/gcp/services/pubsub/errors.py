"""Pub/Sub's errors."""

from __future__ import annotations

from ...core.errors import GcpError


def not_found(name: str) -> GcpError:
    """Return the NOT_FOUND error for a topic, subscription or snapshot."""
    return GcpError("NOT_FOUND", f"Resource not found (resource={name.rpartition('/')[2]}).")


def already_exists(name: str) -> GcpError:
    """Return the ALREADY_EXISTS error for a name that is taken."""
    return GcpError(
        "ALREADY_EXISTS",
        f"Resource already exists in the project (resource={name.rpartition('/')[2]}).",
    )
