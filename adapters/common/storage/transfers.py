"""Parallel transfers, and files that arrive whole, for the clouds' blob stores."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeVar

_THREADS = 8

Item = TypeVar("Item")


def side_by_side(do: Callable[[Item], None], items: Sequence[Item]) -> None:
    """Call a function for every item, several at a time in threads; return when all are done."""
    if len(items) < 2:
        for item in items:
            do(item)
        return
    with ThreadPoolExecutor(_THREADS) as pool:
        for _ in pool.map(do, items):
            pass


@contextmanager
def arriving(goal: Path, temporary: str) -> Iterator[IO[bytes]]:
    """Open a file for writing that appears at `goal` complete and synced to disk, or not at all.

    Until then it has a temporary name that begins with `temporary`.
    """
    goal.parent.mkdir(parents=True, exist_ok=True)
    aside = goal.parent / f"{temporary}{uuid.uuid4().hex}"
    try:
        with aside.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        aside.replace(goal)
    finally:
        aside.unlink(missing_ok=True)
