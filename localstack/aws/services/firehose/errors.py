"""Refusals of Firehose."""

from __future__ import annotations

from ...core.registry import AwsError


def invalid(message: str) -> AwsError:
    """Return the error for an invalid argument."""
    return AwsError("InvalidArgumentException", message, 400)
