"""Announcements after a look: notices, and at the end the page.

They change no decision, and one that fails is tried again.
"""

from __future__ import annotations

from datetime import datetime

from ..errors import IsthmusError
from . import notices
from .notices import Delivery, Post
from .page import report
from .state.ports import ControllerPorts
from .state.states import RolloutState


def tell(
    ports: ControllerPorts, state: RolloutState, now: datetime, *, post: Post | None = None
) -> Delivery:
    """Send a rollout's due webhook notices, and write its report page once it is over.

    Its controller calls this, or any process once it has ended. A page that cannot be drawn delays
    no notice. The result says whether something is left to do, with the problems.

    `ports` are the interfaces to the target's stores.
    """
    page = _write_page(ports, state, now)
    try:
        notice = notices.deliver(ports.state, state, now, post=post)
    except IsthmusError as error:
        notice = _failed_delivery(state, now, error)
    return Delivery(owing=page.owing or notice.owing, problems=(*page.problems, *notice.problems))


def _write_page(ports: ControllerPorts, state: RolloutState, now: datetime) -> Delivery:
    """Write a rollout's report page once it is over, unless the page exists.

    Return whether that is still to be done, with the problems.
    """
    try:
        if state.released and not _has_page(ports, state):
            report.write(ports, state)
    except IsthmusError as error:
        return _failed_delivery(state, now, error)
    return Delivery()


def _failed_delivery(state: RolloutState, now: datetime, error: IsthmusError) -> Delivery:
    """Return the outcome of an announcement that failed: its error, and whether to try again.

    It is tried again for a limited time after the end of the rollout.
    """
    over = state.watch_until or state.ended
    return Delivery(
        owing=over is None or now - over < notices.TRIED, problems=(f"telling: {error}",)
    )


def _has_page(ports: ControllerPorts, state: RolloutState) -> bool:
    """Return whether the report page of a rollout is stored."""
    uri = report.report_uri(ports, state)
    return any(blob.uri == uri for blob in ports.blobs.list(uri))
