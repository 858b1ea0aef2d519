"""Shadow traffic: copies of answered requests that another variant answers for comparison.

Nothing of it is shown, and it is no exposure: `shadows` is a stream of its own. An answer never
waits for it: a copy for which there is no room is dropped, and counted. Copies go one after the
other, so a variant that is slow gets fewer, not more at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from queue import Empty, Full, Queue
from statistics import fmean
from typing import Any, final

import msgspec

from ...core.runtime.project import Project
from ...errors import IsthmusError, Unsupported
from ...events.port import Row
from ...project.specs.description import Endpoint, Shadow
from .. import hosting
from ..http.error_log import tell
from .decide.assignment import bucket
from .log.log_rows import LoggedAnswer
from .log.log_writer import LogWriter
from .processes.forks import renewed_when_forked
from .processes.tally import Tally
from .rank.models import Models
from .rank.ranking import Item, as_scores, order
from .rank.scores import ScoredCandidates
from .request.request import RankRequest

ROOM = 200  # copies that may wait
_LONGEST = 300  # characters of what went wrong
_JOINED = 1.0  # seconds that `close` waits for the copy that is on its way


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """An answered request, and what its answer was."""

    request_id: str
    moment: datetime  # the project's clock
    unit: str
    instances: list[dict[str, Any]]
    parameters: Mapping[str, Any]
    items: Sequence[Item]
    slots: int
    variant: str
    version: str  # model@version
    scores: Sequence[float]
    milliseconds: float  # of the call of the endpoint


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    version: str  # model@version
    scores: Sequence[float]
    milliseconds: float


@final
class Shadowing:
    """The sender of an endpoint's copies. Many threads may call it.

    Its own thread begins with the first copy; a forked process has one of its own, with nothing in
    it.
    """

    def __init__(
        self,
        project: Project,
        endpoint: Endpoint,
        shadow: Shadow,
        models: Models,
        *,
        log: Callable[[Row], object],
        tally: Tally,
    ) -> None:
        """Raise Unsupported if this target cannot aim a request at a variant."""
        if not hosting.aims(project.target.capabilities, endpoint.routing):
            raise Unsupported(
                f"{endpoint.name}: {project.target.name} cannot aim a copy at {shadow.variant} "
                "under routing: weighted",
                capability=hosting.AIM,
                remedy="routing: sticky, or take `shadow:` out",
            )
        self._host, self._models, self._log, self._tally = (
            project.target.endpoints,
            models,
            log,
            tally,
        )
        self._endpoint, self._variant = endpoint.name, shadow.variant
        self._below = int(shadow.share * 100)  # of 10,000 requests
        self._maximise = project.spec.objectives[endpoint.objective].goal == "maximise"
        self.renew()
        renewed_when_forked(self)

    def renew(self) -> None:
        """Make a new lock and an empty queue, for a process that was just forked."""
        self._lock = threading.Lock()
        self._queue: Queue[Copy | None] = Queue(ROOM)
        self._thread: threading.Thread | None = None
        self._ended = False
        self.problem = ""  # the last mistake that is ours: what failed and how is in the log, too

    def answered(
        self,
        request: RankRequest,
        instances: list[dict[str, Any]],
        scored: ScoredCandidates,
        answered: LoggedAnswer,
    ) -> None:
        """Queue a copy of an answered request for the shadow variant, if it is in the copied share.

        | `instances` are the rows sent to the model, `scored` its scores, `answered` the logged
        answer.

        No copy is queued if the shadow variant itself gave the answer.
        """
        if (
            scored.variant == self._variant
            or bucket("shadow", self._endpoint, answered.request_id) >= self._below
        ):
            return
        copy = Copy(
            request_id=answered.request_id,
            moment=answered.moment,
            unit=request.unit,
            instances=instances,
            parameters=scored.decision.parameters,
            items=scored.candidates.items,
            slots=request.slots,
            variant=scored.variant,
            version=scored.version,
            scores=scored.candidates.scores,
            milliseconds=scored.milliseconds,
        )
        self._offer(copy)

    def end(self) -> None:
        """Stop sending request copies to the shadow variant, and drop those that wait."""
        self._ended = True
        with suppress(Empty):
            while True:
                self._queue.get_nowait()
                self._tally.shadowed("dropped")
        self._queue.put_nowait(None)

    def close(self) -> None:
        """Stop sending request copies; wait up to a second for the one under way."""
        if self._thread is not None:
            self.end()
            self._thread.join(_JOINED)

    def _offer(self, copy: Copy) -> None:
        """Queue a copied request for the shadow variant; if the queue is full, drop it."""
        if self._ended:
            return
        try:
            self._queue.put_nowait(copy)
        except Full:
            self._tally.shadowed("dropped")
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(
                    target=self._run, daemon=True, name=f"shadow of {self._endpoint}"
                )
                try:
                    thread.start()
                except RuntimeError as error:  # no thread can be started: the next copy tries again
                    self._note(error)
                else:
                    self._thread = thread

    def _run(self) -> None:
        """Send queued request copies to the shadow variant until the queue is closed."""
        while (copy := self._queue.get()) is not None:
            try:
                self._send(copy)
            except Exception as error:  # noqa: BLE001  the thread must go on, whatever it was; it is counted and told
                self._tally.shadowed("failed")
                self._note(error)

    def _send(self, copy: Copy) -> None:
        """Send a copied request to the shadow variant; log the comparison, or the error."""
        compared, failure = None, None
        try:
            compared = self._comparison(copy)
        except Exception as error:  # noqa: BLE001  a copy that is logged as failed, whatever it was
            failure = f"{type(error).__name__}: {error}"[:_LONGEST]
            if not isinstance(error, IsthmusError):
                self._note(error)
        self._log(compared or row(copy, self._endpoint, self._variant, failure=failure))
        self._tally.shadowed("compared" if compared else "failed")

    def _note(self, error: Exception) -> None:
        """Record and log an unexpected exception, which does not count as a model failure."""
        self.problem = (
            f"a copy for {self._variant} failed by a mistake in Isthmus: "
            f"{type(error).__name__}: {error}"
        )[:_LONGEST]
        tell(f"a copy for {self._variant} failed by a mistake in Isthmus", error)

    def _comparison(self, copy: Copy) -> Row:
        """Ask the shadow variant for scores; return the log row that compares both answers."""
        began = time.perf_counter()
        scores, version = self._ask(copy)
        reply = Reply(
            version=version, scores=scores, milliseconds=1000 * (time.perf_counter() - began)
        )
        return row(copy, self._endpoint, self._variant, reply, maximise=self._maximise)

    def _ask(self, copy: Copy) -> tuple[Sequence[float], str]:
        """Return the shadow variant's scores for a copied request, and its model version."""
        reply = self._host.invoke(
            self._endpoint,
            copy.instances,
            variant=self._variant,
            request_id=f"w-{copy.request_id}",
            parameters=copy.parameters,
        )
        version = f"{self._models.now().models.get(self._variant, self._endpoint)}@{reply.version}"
        return as_scores(
            reply.predictions, len(copy.instances), who=f"{self._variant} ({version})"
        ), version


def shadowing(
    project: Project, endpoint: Endpoint, models: Models, writer: LogWriter, tally: Tally
) -> Shadowing | None:
    """Return the sender of an endpoint's shadow traffic, or None if it declares no `shadow:`.

    Its rows are logged with the gateway's own.
    """
    if endpoint.shadow is None:
        return None
    return Shadowing(
        project,
        endpoint,
        endpoint.shadow,
        models,
        log=lambda logged: writer.put({"shadows": [logged]}),
        tally=tally,
    )


def row(
    copy: Copy,
    endpoint: str,
    shadow: str,
    reply: Reply | None = None,
    *,
    failure: str | None = None,
    maximise: bool = True,
) -> Row:
    """Return a row of the stream `shadows`: both answers' latencies, scores and agreement.

    `copy` has the request and its answer, `reply` the shadow variant's answer or `failure` its
    error. `endpoint` and `shadow` are names. Latencies are rounded to 0.1 ms, so that percentiles
    are counted, not listed.
    """
    return {
        "event_id": copy.request_id,
        "event_timestamp": copy.moment,
        "endpoint": endpoint,
        "unit": copy.unit,
        "variant": copy.variant,
        "version": copy.version,
        "shadow": shadow,
        "shadow_version": reply.version if reply else None,
        "milliseconds": round(copy.milliseconds, 1),
        "shadow_milliseconds": round(reply.milliseconds, 1) if reply else None,
        "failure": failure,
        "score_difference": fmean(reply.scores) - fmean(copy.scores) if reply else None,
        "agreement": agreement(copy, reply.scores, maximise=maximise) if reply else None,
    }


def agreement(copy: Copy, scores: Sequence[float], *, maximise: bool) -> float:
    """Return the share of items that two models both rank among their first.

    The first ones are as many as the request asked to be shown, `copy` has the first model's
    scores, and `scores` are the second model's.
    """
    first = min(copy.slots, len(copy.items))
    both = (
        set(order(copy.items, model_scores, maximise=maximise)[:first])
        for model_scores in (copy.scores, scores)
    )
    return len(set.intersection(*both)) / first
