"""Refusals of Firehose."""

from __future__ import annotations

from ...core.registry import AwsError


def invalid(message: str) -> AwsError:
    """Return Firehose's InvalidArgumentException with this message."""
    return AwsError("InvalidArgumentException", message, 400)
