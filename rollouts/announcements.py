"""Announcements after a look: notices, and at the end the page.

They change no decision, and one that fails is tried again.
"""

from __future__ import annotations

from datetime import datetime

from ..errors import IsthmusError
from . import notices
from .notices import Delivery, Post
from .page import report
from .state.ports import Ports
from .state.states import State


def tell(ports: Ports, state: State, now: datetime, *, post: Post | None = None) -> Delivery:
    """Send a state's due notices, and write the page once the rollout is over.

    Its driver does this, or anybody once it has ended. A page that cannot be drawn holds up no
    notice.
    """
    page = _page(ports, state, now)
    try:
        notice = notices.deliver(ports.state, state, now, post=post)
    except IsthmusError as error:
        notice = _untold(state, now, error)
    return Delivery(owing=page.owing or notice.owing, problems=(*page.problems, *notice.problems))


def _page(ports: Ports, state: State, now: datetime) -> Delivery:
    """Write the page once the rollout is over, unless it exists."""
    try:
        if state.released and not _has_page(ports, state):
            report.write(ports, state)
    except IsthmusError as error:
        return _untold(state, now, error)
    return Delivery()


def _untold(state: State, now: datetime, error: IsthmusError) -> Delivery:
    """Return the state after an announcement failed: what is left to announce, and when.

    What fails for as long as a notice is tried will go on failing: then nothing is left to do.
    """
    over = state.watch_until or state.ended
    return Delivery(
        owing=over is None or now - over < notices.TRIED, problems=(f"telling: {error}",)
    )


def _has_page(ports: Ports, state: State) -> bool:
    """Return whether the page exists."""
    uri = report.report_uri(ports, state)
    return any(blob.uri == uri for blob in ports.blobs.list(uri))
