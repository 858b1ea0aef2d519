"""The state of DynamoDB's tables that the stack keeps beside moto."""

from __future__ import annotations

from datetime import datetime


class Tables:
    """The time at which each table is ready.

    What is read here and then changed is so under `SERIAL`, as moto's own handlers are.
    """

    def __init__(self) -> None:
        self.ready: dict[str, datetime] = {}
