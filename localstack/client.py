"""Steer a stack that runs: `from isthmus_stack.client import Stack`."""

from .core.client import Stack

__all__ = ["Stack"]
