"""For other people's handlers: the names that docs/offline-aws.md tells them to import."""

from .core.registry import AwsError, Context, handles

__all__ = ["AwsError", "Context", "handles"]
