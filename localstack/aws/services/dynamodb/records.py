"""What the stack keeps about tables beside moto."""

from __future__ import annotations

from datetime import datetime


class Tables:
    """`ready`: when each table is there.

    What is read here and then changed is so under `SERIAL`, as moto's own handlers are.
    """

    def __init__(self) -> None:
        self.ready: dict[str, datetime] = {}
