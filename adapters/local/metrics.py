"""MetricSource: minute buckets out of the router's request log, aggregated by DuckDB. Percentiles are exact, from every request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

from ...endpoints import hosting
from ...endpoints.port import Bucket, Window
from ...errors import NotSettled
from ...target import Target
from ...times import epoch_milliseconds, from_epoch
from .endpoint_rows import endpoint_folder
from .home import home
from .request_log import files

# a line that a full disk cut short is not a request; the supervisor's log tells of it
_SQL = """
SELECT variant, finished // 60000 AS minute, count(*),
       count(*) FILTER (status BETWEEN 400 AND 499), count(*) FILTER (status >= 500),
       avg(us) / 1000, quantile_cont(us, 0.5) / 1000, quantile_cont(us, 0.9) / 1000, quantile_cont(us, 0.99) / 1000
FROM read_csv($files, header = false, auto_detect = false, delim = ',', ignore_errors = true,
              columns = {'finished': 'BIGINT', 'variant': 'VARCHAR', 'status': 'INTEGER', 'us': 'BIGINT'})
WHERE finished >= $start AND finished < $end
GROUP BY ALL ORDER BY variant, minute
"""


@final
class LocalMetricSource:
    def __init__(self, target: Target) -> None:
        self._target = target

    def read(self, endpoint: str, window: Window) -> Mapping[str, tuple[Bucket, ...]]:
        """See the port. NotFound: no such endpoint; Invalid: not whole minutes."""
        self._target.calls.reading("metrics.read", endpoint)
        hosting.check_window(window)
        start, end = epoch_milliseconds(window.start), epoch_milliseconds(window.end)
        if window.end > self._target.clock():
            raise NotSettled(
                f"the window ends at {window.end:%H:%M} UTC, which is not over", remedy="ask again after it, or for the minutes before it"
            )
        folder = endpoint_folder(home(self._target), endpoint)
        if not folder.exists():
            raise hosting.not_found(endpoint)
        logs = files(folder / "requests", window.start, window.end)
        if not logs:
            return {}
        import duckdb

        with duckdb.connect() as connection:
            rows = connection.execute(_SQL, {"files": list(map(str, logs)), "start": start, "end": end}).fetchall()
        buckets: dict[str, list[Bucket]] = {}
        for variant, minute, requests, client_errors, server_errors, mean, p50, p90, p99 in rows:
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
            buckets.setdefault(variant, []).append(bucket)
        return {variant: tuple(minutes) for variant, minutes in buckets.items()}
