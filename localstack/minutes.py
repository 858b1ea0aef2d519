"""Minutes of traffic that nobody sent: `from isthmus_stack.minutes import Minute`."""

from .core.minutes import Minute, Minutes

__all__ = ["Minute", "Minutes"]
