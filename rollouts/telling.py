"""What is told after a look: notices, and at the end the page. It changes no decision, and what cannot be told is tried again."""

from __future__ import annotations

from datetime import datetime

from ..errors import IsthmusError
from . import notices, report
from .notices import Delivery, Post
from .ports import Ports
from .states import State


def tell(ports: Ports, state: State, now: datetime, *, post: Post | None = None) -> Delivery:
    """Of a state as it is stored; by its driver, or by anybody once it has ended."""
    try:
        if state.released and not _has_page(ports, state):
            report.write(ports, state)
        return notices.deliver(ports.state, state, now, post=post)
    except IsthmusError as error:
        return Delivery(owing=True, problems=(f"telling: {error}",))


def _has_page(ports: Ports, state: State) -> bool:
    uri = report.report_uri(ports, state)
    return any(blob.uri == uri for blob in ports.blobs.list(uri))
