"""Scores of a request's candidates by the variant of its arm, or by two interleaved variants."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, final

import msgspec
from msgspec.structs import replace

from ....core import spans
from ....core.runtime.project import Project
from ....errors import IsthmusError, NotFound
from ....project.specs.description import Endpoint
from ....project.specs.rules import Rule
from ...port import Reply
from ..decide.assignment import Assigner, Interleaving, UnitDecision
from ..processes.forks import renewed_when_forked
from ..processes.tally import Tally
from ..request.request import RankRequest
from .arrangement import Candidates
from .models import DeployedModels, FeatureRows, Models
from .ranking import as_scores, order
from .unit_caps import CapCounts

_SECOND_CALLS = 32  # calls of second variants that are under way at once; more wait


class ResolvedRequest(msgspec.Struct, frozen=True):
    """A request, and all that its answer goes by."""

    asked: RankRequest
    assigner: Assigner
    deployed: DeployedModels
    rows: FeatureRows
    sent: int  # candidates; those after them are there for a pin
    rules: tuple[Rule, ...]
    counted: CapCounts
    began: float


class ScoredCandidates(msgspec.Struct, frozen=True, kw_only=True):
    """A request's candidates as a model scored them."""

    decision: UnitDecision
    variant: str
    version: str  # model@version
    candidates: Candidates
    milliseconds: float  # of the call of the endpoint


@final
class Scoring:
    """Many threads may ask.

    A second variant is asked by a thread of its own; a forked process has none of its parent's.
    """

    def __init__(self, project: Project, endpoint: Endpoint, models: Models, tally: Tally) -> None:
        self._project, self._endpoint = project, endpoint.name
        self._maximise = project.spec.objectives[endpoint.objective].goal == "maximise"
        self._models, self._tally = models, tally
        self.renew()
        renewed_when_forked(self)

    def renew(self) -> None:
        """Make a new lock, and drop the parent's threads, for a process that was just forked."""
        self._lock = threading.Lock()
        self._threads: ThreadPoolExecutor | None = None

    def close(self) -> None:
        """Wait for running calls of models to finish, then end the threads.

        A later request starts threads of its own, which end with it.
        """
        with self._lock:
            threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(wait=False)

    def scored(
        self, question: ResolvedRequest, request_id: str, decision: UnitDecision
    ) -> ScoredCandidates:
        """Score the candidates by the variant that the unit's experiment arm names.

        If that variant is not deployed, the endpoint's traffic split chooses one, parameters are
        the defaults, and the answer counts for no arm.
        """
        if decision.variant is not None and decision.variant not in question.deployed.models:
            decision = self._fallback(question.assigner)
        try:
            return self._ask(question, request_id, decision)
        except NotFound:
            if decision.variant is None:
                raise
        return self._ask(question, request_id, self._fallback(question.assigner))

    def rivals(
        self, question: ResolvedRequest, request_id: str, decision: UnitDecision, duel: Interleaving
    ) -> tuple[ScoredCandidates, ...]:
        """Return the candidates as scored by both interleaved variants, or by one if one fails.

        An answer by one variant alone is counted as such, and credits neither. Raises the error of
        a variant if neither answers.
        """
        first, second = (replace(decision, variant=variant) for variant in duel.variants)
        second_future = self._start_second(question, f"i-{request_id}", second)
        tries = (self._try(question, request_id, first), second_future.result())
        answered = tuple(attempt for attempt in tries if isinstance(attempt, ScoredCandidates))
        if len(answered) < len(tries):
            self._tally.answered_alone()
        if answered:
            return answered
        failures = [attempt for attempt in tries if isinstance(attempt, IsthmusError)]
        if all(isinstance(failure, NotFound) for failure in failures):
            return (self.scored(question, request_id, first),)
        raise next(failure for failure in failures if not isinstance(failure, NotFound))

    def _start_second(
        self, question: ResolvedRequest, request_id: str, decision: UnitDecision
    ) -> Future[ScoredCandidates | IsthmusError]:
        """Request the scores of the second interleaved variant in a thread; return the future.

        `decision` has the unit's arms and parameters.
        """
        with self._lock:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(
                    _SECOND_CALLS, thread_name_prefix=f"rivals of {self._endpoint}"
                )
            return self._threads.submit(self._try, question, request_id, decision)

    def _try(
        self, question: ResolvedRequest, request_id: str, decision: UnitDecision
    ) -> ScoredCandidates | IsthmusError:
        """Request a variant's scores; return its error instead of raising it.

        `decision` has the unit's arms and parameters.
        """
        try:
            if decision.variant not in question.deployed.models:
                return NotFound(f"{self._endpoint} runs no variant {decision.variant}")
            return self._ask(question, request_id, decision)
        except IsthmusError as error:
            return error

    def _fallback(self, assigner: Assigner) -> UnitDecision:
        """Return the arms and parameters of a unit in no experiment, as its variant is missing.

        The event is counted in the metrics.
        """
        self._tally.aimed_at_nothing()
        return assigner.unassigned

    def _ask(
        self, question: ResolvedRequest, request_id: str, decision: UnitDecision
    ) -> ScoredCandidates:
        """Ask the endpoint for scores; return them with the model version that answered.

        `decision` has the unit's arms and parameters.
        """
        request, deployed = question.asked, question.deployed
        began = time.perf_counter()
        reply = self._invoke(question.rows.instances, request_id, decision)
        spent = 1000 * (time.perf_counter() - began)
        if reply.variant not in deployed.models:  # deployed since we looked
            deployed = self._models.again()
        version = f"{deployed.models.get(reply.variant, self._endpoint)}@{reply.version}"
        scores = as_scores(
            reply.predictions, len(request.candidates), who=f"{reply.variant} ({version})"
        )
        candidates = Candidates(
            items=request.candidates,
            scores=scores,
            best=order(request.candidates, scores, maximise=self._maximise),
            features=question.rows.ruled,
            sent=question.sent,
            slots=request.slots,
            maximise=self._maximise,
            before=question.counted.before,
        )
        return ScoredCandidates(
            decision=decision,
            variant=reply.variant,
            version=version,
            candidates=candidates,
            milliseconds=spent,
        )

    def _invoke(
        self, instances: list[dict[str, Any]], request_id: str, decision: UnitDecision
    ) -> Reply:
        """Send the rows to the endpoint for prediction; record the call as a tracing span."""
        began = time.perf_counter()
        try:
            with spans.span(
                "endpoints.invoke", kind="CLIENT", endpoint=self._endpoint, request_id=request_id
            ) as tell:
                reply = self._project.target.endpoints.invoke(
                    self._endpoint,
                    instances,
                    variant=decision.variant,
                    request_id=request_id,
                    parameters=decision.parameters,
                )
                tell(variant=reply.variant, version=reply.version)
        except IsthmusError:
            # it may be another model than we know: look again before the next request
            self._models.forget()
            self._tally.failed()
            raise
        self._tally.answered(reply.variant, time.perf_counter() - began)
        return reply
