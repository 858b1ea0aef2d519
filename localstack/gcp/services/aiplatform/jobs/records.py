"""The state of running custom jobs and training pipelines, besides their messages."""

from __future__ import annotations

import threading
from collections import deque

_AT_ONCE = 16  # containers that run at the same time; the others are PENDING


class Running:
    """One running job: how to end it, when it has ended, and its last lines."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.done = threading.Event()
        self.tail: deque[str] = deque(maxlen=20)
        self.remarks: list[str] = []


class Trainings:
    """The running training pipelines of one stack."""

    def __init__(self) -> None:
        self.running: dict[str, Running] = {}


class Jobs:
    """The running custom jobs of one stack. Their messages are in Resources."""

    def __init__(self) -> None:
        self.running: dict[str, Running] = {}
        self.places = threading.BoundedSemaphore(_AT_ONCE)
