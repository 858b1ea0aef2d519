"""The names that a user's module of handlers imports (`python -m isthmus_stack.gcp --handlers`)."""

from .core.call import Call
from .core.errors import GcpError
from .core.http_messages import HttpAnswer, HttpRequest
from .core.registry import handles, route

__all__ = ["Call", "GcpError", "HttpAnswer", "HttpRequest", "handles", "route"]
