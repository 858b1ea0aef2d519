"""The additions to moto's models that the stack keeps."""

from __future__ import annotations

from typing import Any


class Models:
    """The members of each model that moto does not tell again."""

    def __init__(self) -> None:
        self.more: dict[str, dict[str, Any]] = {}
