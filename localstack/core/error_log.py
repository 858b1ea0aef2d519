"""Tell of errors that callers can bring about, without letting a caller fill the log.

Each cause is told in full once, then by a line a minute.
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from pathlib import Path

EVERY = 60.0  # seconds between two lines of one cause
# what and where -> when it was told last, and how often it was not told since
_told: dict[tuple[str, str], tuple[float, int]] = {}
_lock = threading.Lock()


def tell(what: str, error: BaseException) -> None:
    """Write an unexpected error to the stack's stderr; `what` says what failed.

    The first time it comes with its traceback, then as a line a minute at most.
    """
    where = _raised_at(error)
    first, untold = _due(f"{what}: {type(error).__name__}", where)
    if first:
        traceback.print_exception(error, file=sys.stderr)
    if untold is not None:
        _write(f"{what}: {type(error).__name__} at {where}: {_one_line(error)}", untold)


def tell_line(what: str, detail: str) -> None:
    """Write a line, `what` failed and `detail`, to the stack's stderr.

    It is written once a minute at most for the same `what`.
    """
    _, untold = _due(what, "")
    if untold is not None:
        _write(f"{what}: {_one_line(detail)}", untold)


def _due(what: str, where: str) -> tuple[bool, int | None]:
    """Return whether to log an error's traceback, and how many errors like it were left out.

    Errors are alike that have the same `what` failed, raised at the same place `where`. The number
    is None where the error is not to be logged: one like it was, within the last minute.
    """
    now, cause = time.monotonic(), (what, where)
    with _lock:
        last = _told.get(cause)
        if last is not None and now - last[0] < EVERY:
            _told[cause] = (last[0], last[1] + 1)
            return False, None
        _told[cause] = (now, 0)
        return last is None, last[1] if last else 0


def _write(text: str, untold: int) -> None:
    """Print the text of an error, and how many errors like it were left out (`untold`)."""
    more = f" ({untold:,} more like it were not told)" if untold else ""
    print(f"{text}{more}", file=sys.stderr, flush=True)


def _raised_at(error: BaseException) -> str:
    """Return the file and line that raised an error.

    The error's message is left out: it may contain a client's data.
    """
    frames = traceback.extract_tb(error.__traceback__, limit=-1)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "an unknown place"


def _one_line(value: object) -> str:
    """Return a value as text on one line, without control characters, for a log."""
    return ascii(str(value)[:500])[
        1:-1
    ]  # a caller's words may have line ends, and what a terminal obeys
