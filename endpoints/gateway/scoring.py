"""A request's candidates -> their scores: which variant is asked, and who answers where it is not there."""

from __future__ import annotations

import time
from typing import Any, final

import msgspec

from ...errors import IsthmusError, NotFound
from ...project.rule_specs import Rule
from ...project.specs import Endpoint
from ...runtime import Project
from ..port import Reply
from .arranging import Candidates
from .assignment import Assigner, Decision
from .counting import Counted
from .models import Deployed, Models, Rows
from .ranking import as_scores, order
from .request import RankRequest
from .tally import Tally


class Question(msgspec.Struct, frozen=True):
    """A request, and all that its answer goes by."""

    asked: RankRequest
    assigner: Assigner
    deployed: Deployed
    rows: Rows
    sent: int  # candidates; those after them are there for a pin
    rules: tuple[Rule, ...]
    counted: Counted
    began: float


class Scored(msgspec.Struct, frozen=True, kw_only=True):
    """A request's candidates as a model scored them."""

    decision: Decision
    variant: str
    version: str  # model@version
    candidates: Candidates
    milliseconds: float  # of the call of the endpoint


@final
class Scoring:
    """From many threads."""

    def __init__(self, project: Project, endpoint: Endpoint, models: Models, tally: Tally) -> None:
        self._project, self._models, self._tally = project, models, tally
        self._endpoint = endpoint.name
        self._maximise = project.spec.objectives[endpoint.objective].goal == "maximise"

    def scored(self, question: Question, request_id: str) -> Scored:
        """By the unit's arms. Raises what EndpointHost.invoke does; ModelError: no number an item."""
        asked, deployed = question.asked, question.deployed
        decision = question.assigner.decide(asked.unit, asked.context)
        if decision.variant is not None and decision.variant not in deployed.models:
            decision = self._gone(question.assigner)
        began = time.perf_counter()
        reply, decision = self._reply(question, request_id, decision)
        spent = 1000 * (time.perf_counter() - began)
        if reply.variant not in deployed.models:  # deployed since we looked
            deployed = self._models.again()
        version = f"{deployed.models.get(reply.variant, self._endpoint)}@{reply.version}"
        scores = as_scores(reply.predictions, len(asked.candidates), who=f"{reply.variant} ({version})")
        candidates = Candidates(
            items=asked.candidates,
            scores=scores,
            best=order(asked.candidates, scores, maximise=self._maximise),
            features=question.rows.ruled,
            sent=question.sent,
            slots=asked.slots,
            maximise=self._maximise,
            before=question.counted.before,
        )
        return Scored(decision=decision, variant=reply.variant, version=version, candidates=candidates, milliseconds=spent)

    def _reply(self, question: Question, request_id: str, decision: Decision) -> tuple[Reply, Decision]:
        try:
            return self._invoke(question.rows.instances, request_id, decision), decision
        except NotFound:
            if decision.variant is None:
                raise
        unassigned = self._gone(question.assigner)
        return self._invoke(question.rows.instances, request_id, unassigned), unassigned

    def _gone(self, assigner: Assigner) -> Decision:
        """The variant that an arm names is not there: the call goes where any goes, with the defaults, and counts for no arm."""
        self._tally.aimed_at_nothing()
        return assigner.unassigned

    def _invoke(self, instances: list[dict[str, Any]], request_id: str, decision: Decision) -> Reply:
        began = time.perf_counter()
        try:
            reply = self._project.target.endpoints.invoke(
                self._endpoint, instances, variant=decision.variant, request_id=request_id, parameters=decision.parameters
            )
        except IsthmusError:
            self._models.forget()  # it may be another model than we know: look again before the next request
            self._tally.failed()
            raise
        self._tally.answered(reply.variant, time.perf_counter() - began)
        return reply
