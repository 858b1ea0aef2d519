"""Minutes of an endpoint's traffic that nobody sent.

A scripted world puts them into a stack's metrics as if they had happened.
"""

from __future__ import annotations

from datetime import datetime

import msgspec


class Minute(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One minute of one variant.

    The latencies are those of its requests, in their order and again from the first.
    """

    variant: str
    start: datetime
    requests: int
    client_errors: int = 0
    server_errors: int = 0
    latencies_ms: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.start.second or self.start.microsecond:
            raise ValueError(f"{self.start} is not the start of a minute, with its zone")
        if (
            min(self.requests, self.client_errors, self.server_errors) < 0
            or self.client_errors + self.server_errors > self.requests
        ):
            raise ValueError(
                f"{self.requests} requests cannot have {self.client_errors} and "
                f"{self.server_errors} errors"
            )
        if not self.latencies_ms or min(self.latencies_ms) < 0:
            raise ValueError("latencies_ms needs one latency at least, and none below 0")

    @property
    def answers(self) -> list[tuple[int, float]]:
        """The status and latency of each simulated request; the errors are the first ones."""
        statuses = [400] * self.client_errors + [500] * self.server_errors
        statuses += [200] * (self.requests - len(statuses))
        latencies = self.latencies_ms
        return [
            (status, latencies[place % len(latencies)]) for place, status in enumerate(statuses)
        ]


class Minutes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of POST /_stack/minutes.

    `region` "": the stack's usual one.
    """

    endpoint: str
    minutes: tuple[Minute, ...]
    region: str = ""
