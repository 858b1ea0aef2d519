"""TrafficScript over the local stack's own control route: minutes that nobody sent.

A real account's metrics cannot be made up.
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
from .. import backend
from ..endpoints import adoption
from ..session import AwsSession, aws_of


@final
class StackTrafficScript:
    """The TrafficScript port over the local stack."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._aws: AwsSession = aws_of(target)
        self._known = False  # that what answers is our stack

    def add(self, endpoint: str, minutes: Sequence[TrafficMinute]) -> None:
        """Put minutes of invented traffic into the local stack's CloudWatch metrics.

        Raises:
            NotFound: There is no such endpoint.
            Invalid: A minute that cannot be.
            Unsupported: The server is not our stack.
        """
        url = self._url()
        state = self._target.endpoints.observe(endpoint)
        if state is None:
            raise hosting.not_found(endpoint)
        hosting.check_minutes(endpoint, minutes, [variant.name for variant in state.variants])
        name = self._aws.endpoint_name(endpoint)
        named = [
            replace(minute, variant=adoption.variant_name(self._aws, endpoint, minute.variant))
            for minute in minutes
        ]
        body = {"endpoint": name, "region": self._aws.region, "minutes": named}
        with self._target.calls.mutating("POST /_stack/minutes", name):
            control.post(url, "_stack/minutes", msgspec.json.encode(body))

    def advance(self, span: timedelta) -> None:
        """Move the local stack's clock forward; raise Unsupported if the server is not ours."""
        control.post(
            self._url(), "_stack/clock", msgspec.json.encode({"advance": span.total_seconds()})
        )

    def _url(self) -> str:
        """Return the local stack's URL; raise Unsupported if the server is not our stack."""
        url = self._aws.endpoint_url
        self._known = self._known or (url is not None and backend.server(url) == backend.OURS)
        if url is None or not self._known:
            raise Unsupported(
                f"target {self._target.name}: only the local stack takes a script",
                capability="traffic_script",
            )
        return url
