"""The prepared statements that the stack keeps."""

from __future__ import annotations

import threading
from datetime import datetime

import msgspec


class Prepared(msgspec.Struct, frozen=True):
    """A prepared statement of a workgroup."""

    name: str
    query: str
    workgroup: str
    description: str
    modified: datetime


class AllPrepared:
    """The prepared statements of one account and region."""

    def __init__(self) -> None:
        self.by_name: dict[tuple[str, str], Prepared] = {}
        self.lock = threading.Lock()
