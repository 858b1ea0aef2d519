"""The names that docs/offline-aws.md tells other people's handlers to import."""

from .core.registry import AwsError, Context, handles

__all__ = ["AwsError", "Context", "handles"]
