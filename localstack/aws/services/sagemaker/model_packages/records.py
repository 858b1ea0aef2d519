"""The model package groups that the stack keeps, and their versions."""

from __future__ import annotations

import threading
from typing import Any

import msgspec


class Group(msgspec.Struct, kw_only=True):
    """A model package group."""

    name: str
    arn: str
    description: str | None
    created: Any
    last: int = 0  # the number of the last version: never used again


class Registry:
    """The groups and versions of one account and region."""

    def __init__(self) -> None:
        self.groups: dict[str, Group] = {}
        self.packages: dict[str, dict[str, Any]] = {}  # by ARN: the Describe answer
        self.tokens: dict[str, str] = {}  # ClientToken -> ARN
        self.lock = threading.RLock()
