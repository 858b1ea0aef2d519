"""Ids of answers: those of one process are numbered, so that a number that is missing among the exposures is a lost answer."""

from __future__ import annotations

import itertools
import os
import secrets
import weakref
from collections import deque
from typing import final


@final
class AnswerNumbers:
    """`q-<process>-<number>`, from 1. Many threads may ask; a forked process begins anew under a name of its own."""

    def __init__(self) -> None:
        self.renew()
        _numbers.add(self)

    def renew(self) -> None:
        self._name = f"q-{secrets.token_hex(6)}"
        self._next = itertools.count(1)
        self._unused: deque[int] = deque()

    def take(self) -> str:
        try:
            number = self._unused.popleft()
        except IndexError:
            number = next(self._next)
        return f"{self._name}-{number}"

    def give_back(self, answer: str) -> None:
        """It was not answered: the next answer has this number."""
        name, _, number = answer.rpartition("-")
        if name == self._name:
            self._unused.append(int(number))


_numbers: weakref.WeakSet[AnswerNumbers] = weakref.WeakSet()


def _after_fork() -> None:
    """Before the child has a second thread: one that saw half of a renewal would answer under an id of the parent's."""
    for numbers in _numbers:
        numbers.renew()


os.register_at_fork(after_in_child=_after_fork)
