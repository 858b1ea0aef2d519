"""BigQuery jobs that happen once, however often they are repeated.

A job's id is made of what it does and the number of the try. A caller that starts a try which
exists already (409) looks at it: what is done is done, what runs is waited for, and what failed is
past: the next try follows. BigQuery knows its jobs for six months.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ....errors import (
    AlreadyExists,
    IsthmusError,
    LimitExceeded,
    NotFound,
    OutcomeUnknown,
    Throttled,
    Unavailable,
)
from ..errors import translated
from ..session import VertexSession, retry

_TRIES = 100  # ids that one batch may use up in six months
_OURS = 4  # tries of one call
_STARTS = 3  # of one try whose replies are lost
_PAUSE = 0.5  # seconds, doubled each time
_LONGEST = 6 * 3600  # seconds: BigQuery ends a job after six hours
_CALL = 60  # seconds


def once(session: VertexSession, stem: str, start: Callable[[str], Any], what: str) -> None:
    """Run a BigQuery job exactly once, however often this is called with one `stem`.

    Jobs are recognized by their ids. It starts jobs `<stem>-0`, `<stem>-1`, ... until one has
    succeeded. `start` starts a job with an id, `what` is being done, for errors.
    """
    failures = 0
    for attempt in range(_TRIES):
        job, ours = _start(session, f"{stem}-{attempt}", start, what)
        try:
            with translated(what):
                job.result(retry=retry(), timeout=_LONGEST)
        except IsthmusError as error:
            if job.state != "DONE":
                raise
            if not ours:
                continue
            failures += 1
            if failures == _OURS or not isinstance(error, (Throttled, Unavailable)):
                raise
            time.sleep(_PAUSE * 2**failures)
        else:
            return
    raise LimitExceeded(
        f"{what}: {_TRIES} tries failed", remedy="look at the project's jobs in BigQuery's console"
    )


def _start(
    session: VertexSession, name: str, start: Callable[[str], Any], what: str
) -> tuple[Any, bool]:
    """Start the BigQuery job `name`; return it, and whether this call started it."""
    for _ in range(_STARTS):
        try:
            with translated(what, effect=True):
                return start(name), True
        except (AlreadyExists, OutcomeUnknown) as error:
            if (job := _job(session, name)) is not None:
                return job, not isinstance(error, AlreadyExists)
    raise OutcomeUnknown(
        f"{what}: job {name} was started and is not to be seen", remedy="run this again"
    )


def _job(session: VertexSession, name: str) -> Any:
    """Return a BigQuery job by its id, or None."""
    try:
        with translated(f"looking at job {name}"):
            return session.bigquery.get_job(name, retry=retry(), timeout=_CALL)
    except NotFound:
        return None
