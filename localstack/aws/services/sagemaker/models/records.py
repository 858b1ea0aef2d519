"""What the stack keeps about models beside moto."""

from __future__ import annotations

from typing import Any


class Models:
    """What moto does not tell again of each model."""

    def __init__(self) -> None:
        self.more: dict[str, dict[str, Any]] = {}
