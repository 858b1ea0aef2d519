"""Answers of a gateway over HTTP other than rankings. Pure."""

from __future__ import annotations

import msgspec

from ....errors import (
    Busy,
    Invalid,
    IsthmusError,
    ModelError,
    NotFound,
    OutcomeUnknown,
    Throttled,
    Unavailable,
    Unsupported,
)

_STATUS: tuple[tuple[type[IsthmusError], int], ...] = (
    (Invalid, 400),
    (Unsupported, 501),  # of the target
    (NotFound, 404),
    (Throttled, 429),
    (ModelError, 502),
    (OutcomeUnknown, 502),
    (Busy, 503),
    (Unavailable, 503),
)
_encode = msgspec.json.Encoder().encode


class HttpAnswer(msgspec.Struct, frozen=True, kw_only=True):
    status: int
    body: bytes
    endpoint: str = ""
    variant: str = ""
    etag: str = ""


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    ready: bool
    problem: str | None = None
    warm_up: tuple[str, ...] = ()  # variants that did not answer when each was tried once


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """GET /health.

    The counts are sums over the gateway's processes; `endpoints` is what this one sees.
    """

    ready: bool
    workers: int
    ready_workers: int
    waiting_exposures: int
    undelivered_exposures: int
    undelivered_rows: int  # of all streams
    endpoints: dict[str, Readiness]
    config: int | None = None  # the version of experiments/live that this process has
    config_age: float | None = (
        None  # seconds since the store was seen to have it; null: it was not read yet
    )
    problems: tuple[str, ...] = ()  # that do not make it less ready
    problem: str | None = None


def failure(
    status: int, message: str, remedy: str | None = None, *, endpoint: str = ""
) -> HttpAnswer:
    """Return an error response as JSON: the message, and what to do about it."""
    return HttpAnswer(
        status=status, body=_encode({"error": message, "remedy": remedy}), endpoint=endpoint
    )


def status_of(error: IsthmusError) -> int:
    """Return the HTTP status code for an error of Isthmus."""
    if isinstance(error, ModelError) and error.status == 504:
        return 504
    if isinstance(error, Unsupported) and error.capability == "invoke.max_bytes":
        return 413
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
