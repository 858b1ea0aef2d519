"""The router's log, from which metrics are read; it is kept for no longer than they need it.

It has a line a request, `finished (ms since 1970),variant,status,microseconds`, and a file an hour
(UTC), which is only appended to.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

KEPT = timedelta(hours=48)


class RequestLog:
    """The files of one endpoint.

    Each line is one write to a file in append mode: readable at once, and whole unless the disk is
    full. `keep`: a file whose hour ended before that is removed when the next one is begun.
    """

    def __init__(self, folder: Path, *, keep: timedelta = KEPT) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._keep = keep
        remove_before(folder, datetime.now(UTC) - keep)
        self._hour = -1
        self._file = -1
        self._torn = False

    def write(self, variant: str, status: int, seconds: float) -> None:
        """Append a request that finished now to the request log: variant, HTTP status, duration."""
        now = time.time()
        hour = int(now // 3600)
        line = log_line(int(now * 1000), variant, status, int(seconds * 1_000_000))
        if self._torn:
            line = b"\n" + line
        try:
            if hour != self._hour:
                self._open(hour)
            self._torn = os.write(self._file, line) != len(line)
        except OSError as error:
            # a full disk must not stop the answers; the supervisor's log says what is missing
            self._torn = True
            print(f"request log: {error}", file=sys.stderr, flush=True)

    def _open(self, hour: int) -> None:
        """Open the request log of an hour, and remove the hours' logs that are too old."""
        if self._file >= 0:
            os.close(self._file)
        path = self._folder / file_name(datetime.fromtimestamp(hour * 3600, UTC))
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._hour = hour
        remove_before(self._folder, datetime.now(UTC) - self._keep)


def log_line(finished: int, variant: str, status: int, microseconds: int) -> bytes:
    """Return the request log's line for one request.

    `finished` is in milliseconds since 1970.
    """
    return b"%d,%s,%d,%d\n" % (finished, variant.encode(), status, microseconds)


def file_name(hour: datetime) -> str:
    """Return the file name of an hour's request log."""
    return f"{hour:%Y%m%d%H}.csv"


def files(folder: Path, start: datetime, end: datetime) -> list[Path]:
    """Return the request log files that may hold requests finished in [start, end)."""
    hour = start.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    paths = []
    while hour < end:
        if (path := folder / file_name(hour)).exists():
            paths.append(path)
        hour += timedelta(hours=1)
    return paths


def remove_before(folder: Path, moment: datetime) -> None:
    """Remove the request logs of hours that ended before a moment."""
    for path in folder.glob("*.csv"):
        with suppress(OSError, ValueError):  # somebody else's file, or another removed it
            if (
                datetime.strptime(path.stem, "%Y%m%d%H").replace(tzinfo=UTC) + timedelta(hours=1)
                <= moment
            ):
                path.unlink()
