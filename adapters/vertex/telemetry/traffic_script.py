"""TrafficScript over the local stack's own control route: minutes that nobody sent.

A real project's metrics cannot be made up.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import final

import msgspec
from msgspec.structs import replace

from ....endpoints import hosting
from ....endpoints.port import TrafficMinute
from ....errors import Unsupported
from ....target import Target
from ...common import control
from ..endpoints import deployed_models, lookup
from ..session import session_of


@final
class StackTrafficScript:
    """The TrafficScript port over the local stack."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._session = session_of(target)

    def add(self, endpoint: str, minutes: Sequence[TrafficMinute]) -> None:
        """Put minutes of invented traffic into the local stack's metrics, for rehearsals.

        Raises:
            NotFound: There is no such endpoint.
            Invalid: A minute that cannot be.
            Unsupported: The server is not our stack.
        """
        url = self._url()
        endpoints = {
            described.name: {
                variant: number for number, variant in deployed_models.names(described).items()
            }
            for described in lookup.serving(self._session, endpoint)
        }
        hosting.check_minutes(
            endpoint, minutes, [variant for ids in endpoints.values() for variant in ids]
        )
        for name, ids in endpoints.items():
            if sent := [
                replace(minute, variant=ids[minute.variant])
                for minute in minutes
                if minute.variant in ids
            ]:
                with self._session.calls.mutating("POST /_stack/minutes", endpoint):
                    control.post(
                        url,
                        "_stack/minutes",
                        msgspec.json.encode({"endpoint": name, "minutes": sent}),
                    )

    def advance(self, span: timedelta) -> None:
        """Move the local stack's clock forward; raise Unsupported if the server is not ours."""
        control.post(
            self._url(), "_stack/clock", msgspec.json.encode({"advance": span.total_seconds()})
        )

    def _url(self) -> str:
        """Return the local stack's URL; raise Unsupported if the target has none."""
        url = self._session.endpoint_url
        if url is None:
            raise Unsupported(
                f"target {self._target.name}: only the local stack takes a script",
                capability="traffic_script",
            )
        return url
