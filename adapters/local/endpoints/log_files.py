"""The logs that an endpoint's processes write by their standard error."""

from __future__ import annotations

import os
import sys
from pathlib import Path

LIMIT = 10_000_000  # bytes; as many of those before them are kept once


def limit(log: Path, most: int = LIMIT) -> None:
    """Shorten a log of more than `most` bytes: move its end to `<log>.1`, and begin it anew.

    Processes may write meanwhile, in append mode: what they write between the copy and the cut is
    lost.
    """
    try:
        if (size := log.stat().st_size) > most:
            try:
                _copy(log, size - most, most)
            finally:  # a full disk: the limit holds all the more
                os.truncate(log, 0)
    except FileNotFoundError:
        return  # nobody has written it yet
    except OSError as error:
        print(f"{log.name}: {error}", file=sys.stderr, flush=True)


def _copy(log: Path, start: int, size: int) -> None:
    """Copy `size` bytes of a log, from `start` on, to the older log beside it, `<log>.1`."""
    with log.open("rb") as file:
        file.seek(start)
        log.with_name(f"{log.name}.1").write_bytes(file.read(size))
