"""TrafficScript over the request log: minutes of requests that nobody sent.

They are written as the router would have written them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import final

from ....endpoints import hosting
from ....endpoints.port import TrafficMinute
from ....target import Target
from ....times import epoch_milliseconds
from ..endpoints.request_log import file_name, log_line
from ..endpoints.rows import endpoint_folder
from ..home import home


@final
class LocalTrafficScript:
    """The TrafficScript port over the request log."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def add(self, endpoint: str, minutes: Sequence[TrafficMinute]) -> None:
        """Write minutes of invented traffic into the request log, for rehearsals and tests.

        There is one write for each minute.

        Raises:
            NotFound: There is no such endpoint.
            Invalid: A minute that cannot be.
        """
        state = self._target.endpoints.observe(endpoint)
        if state is None:
            raise hosting.not_found(endpoint)
        hosting.check_minutes(endpoint, minutes, [variant.name for variant in state.variants])
        folder = endpoint_folder(home(self._target), endpoint) / "requests"
        folder.mkdir(parents=True, exist_ok=True)
        for minute in minutes:
            with (
                self._target.calls.mutating("metrics.add", endpoint),
                (folder / file_name(minute.start)).open("ab", buffering=0) as file,
            ):
                file.write(_log_lines(minute))

    def advance(self, span: timedelta) -> None:
        """Do nothing: local endpoints have no clock of their own."""


def _log_lines(minute: TrafficMinute) -> bytes:
    """Return a minute of invented requests as lines of the request log, evenly spread over it."""
    start, latencies, errors = (
        epoch_milliseconds(minute.start),
        minute.latencies_ms,
        minute.client_errors + minute.server_errors,
    )
    return b"".join(
        log_line(
            start + 60_000 * place // minute.requests,
            minute.variant,
            400 if place < minute.client_errors else 500 if place < errors else 200,
            round(latencies[place % len(latencies)] * 1000),
        )
        for place in range(minute.requests)
    )
