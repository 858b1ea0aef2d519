"""Errors of the verbs, each with what to do about it.

StackError
  Invalid        an option or an argument that cannot be
  NotFound       no such cloud, service or recording; no stack answers
  Newer          a newer version wrote it
  Unsupported    this cannot be done yet
  MissingPackage what the stack needs is not installed
  Unavailable    the stack did not start, ended by itself, or cannot be ended
"""

from __future__ import annotations


class StackError(Exception):
    """A request that cannot be met. `remedy`: what to do about it."""

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


class Invalid(StackError): ...


class NotFound(StackError): ...


class Newer(StackError): ...


class Unsupported(StackError): ...


class MissingPackage(StackError): ...


class Unavailable(StackError): ...
