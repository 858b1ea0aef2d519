"""The options by which the laptop serves an endpoint, from its profile."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec

from ....project.reading import quantities


class Serving(msgspec.Struct, frozen=True, kw_only=True):
    """How the laptop serves one endpoint."""

    timeout: timedelta = timedelta(seconds=60)
    return_wait: timedelta = timedelta(seconds=2)
    request_log: timedelta = timedelta(hours=48)


def serving(options: Mapping[str, Any], endpoint: str) -> Serving:
    """Return an endpoint's serving settings, such as the time-out, from a profile's options.

    The options may have settings for the endpoint alone.
    """
    chosen = dict(options.get("serving", {}))
    timeouts = chosen.pop("timeouts", {})
    if endpoint in timeouts:
        chosen["timeout"] = timeouts[endpoint]
    return Serving(**{key: quantities.duration(text) for key, text in chosen.items()})


def arguments(options: Mapping[str, Any], endpoint: str, *, max_bytes: int) -> list[str]:
    """Return the command-line arguments for an endpoint's supervisor process, from the profile.

    `max_bytes` is the size of the largest request.
    """
    chosen = serving(options, endpoint)
    limits = ["--max-bytes", str(max_bytes), "--timeout", str(chosen.timeout.total_seconds())]
    return [
        *limits,
        "--return-wait",
        str(chosen.return_wait.total_seconds()),
        "--keep-log",
        str(chosen.request_log.total_seconds()),
    ]
