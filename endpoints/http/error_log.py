"""Write errors that callers can bring about to stderr, so that no caller fills a log.

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
    """Log an exception to stderr; of the same cause at most one line a minute.

    `what` says what failed. The first time its traceback is written, too.
    """
    where = _place(error)
    first, untold = _due(f"{what}: {type(error).__name__}", where)
    if first:
        traceback.print_exception(error, file=sys.stderr)
    if untold is not None:
        _write(f"{what}: {type(error).__name__} at {where}: {_one_line(error)}", untold)


def tell_line(what: str, detail: str) -> None:
    """Log a line to stderr, at most once a minute for the same `what`."""
    _, untold = _due(what, "")
    if untold is not None:
        _write(f"{what}: {_one_line(detail)}", untold)


def _due(what: str, where: str) -> tuple[bool, int | None]:
    """Return whether an error may be logged now, and how many like it went unlogged before.

    `what` and `where` identify the error. The number is None if it is the first, or may not be
    logged.
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
    """Print an error to stderr, with the number of suppressed errors like it."""
    more = f" ({untold:,} more like it were not told)" if untold else ""
    print(f"{text}{more}", file=sys.stderr, flush=True)


def _place(error: BaseException) -> str:
    """Return the file and line that raised an error, as text."""
    frames = traceback.extract_tb(error.__traceback__, limit=-1)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "an unknown place"


def _one_line(value: object) -> str:
    """Return a value on one line, without control characters."""
    return ascii(str(value)[:500])[
        1:-1
    ]  # a caller's words may have line ends, and what a terminal obeys
