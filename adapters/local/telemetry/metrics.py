"""MetricSource over the router's request log: minutes, aggregated by DuckDB.

Percentiles are exact, from every request. A rollout asks for the minutes of its bake again at every
look. The log is only appended to, so an hour whose file has not changed is not read again.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, final

from ....endpoints import hosting
from ....endpoints.port import Bucket, Window
from ....errors import NotSettled
from ....target import Target
from ....times import from_epoch
from ..endpoints.request_log import files
from ..endpoints.rows import endpoint_folder
from ..home import home

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_MOST_HOURS = 200  # that are remembered
# a line that a full disk cut short is not a request (the supervisor's log tells of it), nor is one
# with the zeros of a power cut
_SQL = """
SELECT variant, finished // 60000 AS minute, count(*),
       count(*) FILTER (status BETWEEN 400 AND 499), count(*) FILTER (status >= 500),
       avg(us) / 1000, quantile_cont(us, 0.5) / 1000,
       quantile_cont(us, 0.9) / 1000, quantile_cont(us, 0.99) / 1000
FROM read_csv($file, header = false, auto_detect = false, delim = ',', ignore_errors = true,
              columns = {'finished': 'BIGINT',
                         'variant': 'VARCHAR', 'status': 'INTEGER', 'us': 'BIGINT'})
WHERE instr(variant, chr(0)) = 0
GROUP BY ALL ORDER BY minute
"""

Stamp = tuple[int, int, int]  # inode, size, time of the last change
Minutes = tuple[tuple[str, Bucket], ...]  # with their variants, in the order of time


@final
class LocalMetricSource:
    """The MetricSource port over the request log."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._lock = threading.Lock()
        self._connection: DuckDBPyConnection | None = None
        self._hours: dict[Path, tuple[Stamp, Minutes]] = {}

    def read(self, endpoint: str, window: Window) -> Mapping[str, tuple[Bucket, ...]]:
        """Return each variant's request counts, errors and latencies by minute, in order.

        Quantiles are over all requests of a minute, in ms. Raises NotSettled if the window ends
        after now, NotFound without endpoint, Invalid unless it is of whole minutes.
        """
        self._target.calls.reading("metrics.read", endpoint)
        hosting.check_window(window)
        if window.end > self._target.clock():
            raise NotSettled(
                f"the window ends at {window.end:%H:%M} UTC, which is not over",
                remedy="ask again after it, or for the minutes before it",
            )
        folder = endpoint_folder(home(self._target), endpoint)
        if not folder.exists():
            raise hosting.not_found(endpoint)
        buckets: dict[str, list[Bucket]] = {}
        for path in files(folder / "requests", window.start, window.end):
            for variant, bucket in self._hour(path):
                if window.start <= bucket.start < window.end:
                    buckets.setdefault(variant, []).append(bucket)
        return {variant: tuple(minutes) for variant, minutes in buckets.items()}

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def _hour(self, path: Path) -> Minutes:
        """Return the metrics of each minute in one hour's request log, cached until it changes.

        The connection to DuckDB is kept: connecting takes longer than reading most files.
        """
        status = path.stat()
        stamp = status.st_ino, status.st_size, status.st_mtime_ns
        with self._lock:
            remembered = self._hours.get(path)
            if remembered is not None and remembered[0] == stamp:
                return remembered[1]
            if self._connection is None:
                import duckdb

                self._connection = duckdb.connect(config={"threads": 1})
            minutes = tuple(
                map(_minute, self._connection.execute(_SQL, {"file": str(path)}).fetchall())
            )
            if len(self._hours) >= _MOST_HOURS:
                self._hours.clear()
            self._hours[path] = stamp, minutes
            return minutes


def _minute(row: tuple[str, int, int, int, int, float, float, float, float]) -> tuple[str, Bucket]:
    """Convert a row of the metrics query to a variant's name and the metrics of one minute."""
    variant, minute, requests, client_errors, server_errors, mean, p50, p90, p99 = row
    bucket = Bucket(
        start=from_epoch(minute * 60_000),
        requests=requests,
        client_errors=client_errors,
        server_errors=server_errors,
        mean_ms=mean,
        p50_ms=p50,
        p90_ms=p90,
        p99_ms=p99,
    )
    return variant, bucket
