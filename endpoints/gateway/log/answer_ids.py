"""Ids of answers, numbered within a process.

A number that is missing among the exposures is a lost answer.
"""

from __future__ import annotations

import itertools
import secrets
from collections import deque
from hashlib import sha256
from typing import final

from ..processes.forks import renewed_when_forked


@final
class AnswerNumbers:
    """`q-<process>-<number>`, from 1.

    Many threads may ask; a forked process begins anew under a name of its own.
    """

    def __init__(self, seed: str | None = None) -> None:
        """Begin a series of request ids: the same one for the same seed, by default a new one."""
        self._begin(
            secrets.token_hex(6) if seed is None else sha256(seed.encode()).hexdigest()[:12]
        )
        renewed_when_forked(self)

    def renew(self) -> None:
        """Begin a new series of request ids, for a process that was just forked."""
        self._begin(secrets.token_hex(6))

    def _begin(self, process: str) -> None:
        """Start to number the answers from 1, under a name of this process."""
        self._name = f"q-{process}"
        self._next = itertools.count(1)
        self._unused: deque[int] = deque()

    def take(self) -> str:
        """Return the next request id of this process, as text such as `q-<process>-<number>`."""
        try:
            number = self._unused.popleft()
        except IndexError:
            number = next(self._next)
        return f"{self._name}-{number}"

    def give_back(self, answer: str) -> None:
        """Free a request's number for the next answer, as the request was not answered.

        A number that is missing in the log then always stands for a lost answer.
        """
        name, _, number = answer.rpartition("-")
        if name == self._name:
            self._unused.append(int(number))
