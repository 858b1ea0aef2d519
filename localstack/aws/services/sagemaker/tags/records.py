"""The tags that the stack keeps of SageMaker's resources."""

from __future__ import annotations

import threading


class Tags:
    """The tags of one account and region, by the resource's ARN."""

    def __init__(self) -> None:
        self.of: dict[str, dict[str, str]] = {}
        self.gone: set[str] = set()  # deleted: not to be asked of moto, which may still know them
        self.lock = threading.Lock()
