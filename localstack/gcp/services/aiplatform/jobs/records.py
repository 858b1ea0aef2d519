"""CustomJobs that run, and what is known of one beyond its message."""

from __future__ import annotations

import threading
from collections import deque

_AT_ONCE = 16  # containers that run at the same time; the others are PENDING


class Running:
    """One job's life: how to end it, when it has ended, and its last lines."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.done = threading.Event()
        self.tail: deque[str] = deque(maxlen=20)
        self.remarks: list[str] = []


class Trainings:
    """TrainingPipelines that run. One a stack, as Jobs is."""

    def __init__(self) -> None:
        self.running: dict[str, Running] = {}


class Jobs:
    """One a stack. The messages are in Resources."""

    def __init__(self) -> None:
        self.running: dict[str, Running] = {}
        self.places = threading.BoundedSemaphore(_AT_ONCE)
