"""What the stack keeps about prepared statements."""

from __future__ import annotations

import threading
from datetime import datetime

import msgspec


class Prepared(msgspec.Struct, frozen=True):
    name: str
    query: str
    workgroup: str
    description: str
    modified: datetime


class AllPrepared:
    def __init__(self) -> None:
        self.by_name: dict[tuple[str, str], Prepared] = {}
        self.lock = threading.Lock()
