"""The state of online prediction: log rows that wait to be written."""

from __future__ import annotations

import threading
from typing import Any


class Waiting:
    """The rows of one stack that wait to be written, by table."""

    def __init__(self) -> None:
        self.rows: dict[str, list[dict[str, Any]]] = {}
        self.lock = threading.Lock()
