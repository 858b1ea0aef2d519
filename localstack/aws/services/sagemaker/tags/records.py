"""What the stack keeps about tags of SageMaker's resources."""

from __future__ import annotations

import threading


class Tags:
    def __init__(self) -> None:
        self.of: dict[str, dict[str, str]] = {}
        self.gone: set[str] = set()  # deleted: not to be asked of moto, which may still know them
        self.lock = threading.Lock()
