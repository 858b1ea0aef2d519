"""TrafficScript: minutes that nobody sent, by the local stack's own control route.

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
from ..endpoints import deployed_models as deployed
from ..endpoints import lookup as standing
from ..session import session_of


@final
class StackTrafficScript:
    def __init__(self, target: Target) -> None:
        self._target = target
        self._session = session_of(target)

    def add(self, endpoint: str, minutes: Sequence[TrafficMinute]) -> None:
        """Into the stack's Cloud Monitoring, which answers its metrics from it.

        NotFound, Invalid; Unsupported: anything but our stack.
        """
        url = self._url()
        endpoints = {
            described.name: {
                variant: number for number, variant in deployed.names(described).items()
            }
            for described in standing.serving(self._session, endpoint)
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
        """Move the stack's clock. Unsupported: anything but our stack."""
        control.post(
            self._url(), "_stack/clock", msgspec.json.encode({"advance": span.total_seconds()})
        )

    def _url(self) -> str:
        url = self._session.endpoint_url
        if url is None:
            raise Unsupported(
                f"target {self._target.name}: only the local stack takes a script",
                capability="traffic_script",
            )
        return url
