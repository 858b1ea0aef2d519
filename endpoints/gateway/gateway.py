"""The gateway: joins features at request time, asks the endpoint, orders, explores, and logs."""

from __future__ import annotations

import secrets
import time
import weakref
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from random import Random
from typing import Any, Self, final

import msgspec

from ...core.runtime.project import Project
from ...events.port import Row
from ...project.specs.streams import Stream, exposed_events, streams_of, watched
from ..port import NO_PARAMETERS, Reply
from ..traffic.resolution import ranking_endpoint_of
from .arms import Arms
from .decide.assignment import Assigner, Interleaving, UnitDecision
from .decide.live_reader import LiveReader, reader_of
from .decide.rulebook import Rulebook, pinned_items
from .log import log_rows
from .log.answer_ids import AnswerNumbers
from .log.delivery import deliver
from .log.log_rows import LoggedAnswer
from .log.log_writer import CLOSING, Emit, LogWriter
from .log.scored_rows import ScoredRows, scored_rows
from .placement import Placement, draw, interleave
from .processes.tally import Tally
from .rank.arrangement import steps
from .rank.draft import coins
from .rank.explanation import Explanation, explanation
from .rank.models import REFRESH, Models
from .rank.ranking import ShownItem, as_scores
from .rank.ranking_answer import Assigned, Ranking
from .rank.scores import ResolvedRequest, ScoredCandidates, Scoring
from .rank.unit_caps import Counting
from .request.request import asked_of, context_of, parsed, shape_of, unit_of
from .shadow import shadowing


@final
class Gateway:
    """`rank` may be called from many threads.

    What does not change from request to request is worked out once a second at most.

    Exposures are delivered by a thread, in groups: `close` (or `with`), the end of the project's
    `with` and the end of the program wait for them. `durable`: each answer waits for its own.
    """

    def __init__(
        self,
        project: Project,
        endpoint: str,
        *,
        rng: Random | None = None,
        seed: str | None = None,
        emit: Emit | None = None,
        durable: bool = False,
        refresh: timedelta = REFRESH,
        live: LiveReader | None = None,
    ) -> None:
        """Open a gateway of an endpoint.

        NotFound: project.yaml has no such endpoint. Refused: it has no objective.

        Unsupported: its rules count what units are shown, and the target cannot.

        `seed`: makes what is drawn and the answers' ids the same for the same requests in the same
        order, as a simulation needs it. By default nobody can foretell them.

        `emit`: where rows of a stream go, by default the project's own. `live`: what reads which
        experiments run, for several gateways; by default one of its own.
        """
        self.project = project
        self.endpoint = ranking_endpoint_of(project, endpoint)
        self.tally = Tally()
        self._numbers = AnswerNumbers(seed)
        self._shape = shape_of(project.spec, self.endpoint)
        self._explore = float(self.endpoint.explore) / 100
        self._rng = rng or Random(seed)  # noqa: S311  exploration is no secret
        self._own_live = reader_of(project, [self.endpoint])
        weakref.finalize(self, self._own_live.end)
        self._rulebook = Rulebook(self.endpoint, project.spec)
        self._arms = Arms(self.endpoint, live or self._own_live)
        self._writer = LogWriter(
            emit or partial(deliver, project),
            name=endpoint,
            durable=durable,
            closers=project.before_close,
            lost=self._arms.lost,
        )
        weakref.finalize(
            self, self._writer.end
        ).atexit = False  # the thread is not kept by who forgot the gateway
        self._streams = streams_of(project.spec, self.endpoint)
        self._watched = watched(project.spec, self.endpoint)
        self._tells_exposures = "assignments" in self._streams or bool(exposed_events(project.spec))
        self._counting = Counting(project, self.endpoint, self.tally)
        weakref.finalize(self, self._counting.end)
        self._models = Models(project, self.endpoint, self._rulebook, refresh=refresh)
        self._scoring = Scoring(project, self.endpoint, self._models, self.tally)
        self._shadowing = shadowing(project, self.endpoint, self._models, self._writer, self.tally)
        if self._shadowing is not None:
            weakref.finalize(self, self._shadowing.end)

    @property
    def waiting(self) -> int:
        """Return the number of exposure rows that wait to be written to the log."""
        return self._writer.waiting["exposures"]

    @property
    def undelivered(self) -> int:
        """Return the number of exposure rows that could not be written to the log and are lost."""
        return self._writer.undelivered["exposures"]

    @property
    def undelivered_rows(self) -> Mapping[Stream, int]:
        """Return the number of lost rows of each log stream."""
        return self._writer.undelivered

    @property
    def losing(self) -> str:
        """Return the reason why logged rows are being lost; "" while they are stored."""
        return self._writer.failing

    def retry_log(self) -> None:
        """Try to write one of the lost log rows again, to learn whether the log works by now."""
        self._writer.retry()

    @property
    def problems(self) -> tuple[str, ...]:
        """Return sentences on faults that degrade the gateway's answers without preventing them."""
        shadow = "" if self._shadowing is None else self._shadowing.problem
        return tuple([problem for problem in (self._counting.problem, shadow) if problem])

    def close(self, within: timedelta = CLOSING) -> None:
        """Write the log rows of all answers so far, then end the gateway's threads.

        Rows that cannot be written within the time are counted as lost, and reported on stderr.
        """
        if self._shadowing is not None:
            self._shadowing.close()
        self._scoring.close()
        self._writer.close(within)
        self._own_live.close()
        self._counting.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def rank(self, request: Mapping[str, Any]) -> Ranking:
        """Rank the candidates of a request, log what is shown, and return the answer.

        Raises Invalid for the request; ModelError, Busy or Unavailable for the endpoint. A lost log
        row is reported in the answer's `problems`.
        """
        question = self._question(request)
        request_id = self._numbers.take()
        try:
            return self._answer(question, request_id)
        except BaseException:  # whatever it was, nobody was answered
            self._numbers.give_back(request_id)
            raise

    def explain(self, request: Mapping[str, Any]) -> Explanation:
        """Explain how each rule changes the order of a request; nothing is drawn, shown or logged.

        Raises the errors of `rank`.
        """
        question = self._question(request)
        decision = self._decide(question)
        scored = self._scoring.scored(question, f"s-{secrets.token_hex(8)}", decision)
        every, _ = steps(question.rules, scored.candidates, scored.decision.parameters)
        halved = [_half_of_duel_text(duel, scored.variant)] if (duel := decision.duel) else []
        return explanation(
            self.endpoint.name, scored, every, problems=(*question.counted.problems, *halved)
        )

    def _question(self, request: Mapping[str, Any]) -> ResolvedRequest:
        """Check a ranking request; return it with the rules, models, features and arms it needs."""
        began = time.perf_counter()
        ranked_request = parsed(request, self._shape)
        sent = len(ranked_request.candidates)
        now = self.project.now()
        rules = (
            self._rulebook.active(ranked_request.entity, ranked_request.context, now)
            if self.endpoint.rules
            else ()
        )
        if added := pinned_items(rules, ranked_request):
            ranked_request = msgspec.structs.replace(
                ranked_request, candidates=[*ranked_request.candidates, *added]
            )
        assigner, deployed = self._arms.now(), self._models.now()
        rows, counted = (
            self._models.rows(ranked_request, deployed.inputs),
            self._counting.read(rules, ranked_request.unit, now),
        )
        return ResolvedRequest(
            ranked_request, assigner, deployed, rows, sent, rules, counted, began
        )

    def _decide(self, question: ResolvedRequest) -> UnitDecision:
        """Return the arms of a request's unit in the running experiments, and their parameters."""
        return question.assigner.decide(question.asked.unit, question.asked.context)

    def _answer(self, question: ResolvedRequest, request_id: str) -> Ranking:
        """Answer a checked request: assign arms, score and order its candidates, and log them."""
        ranked_request, assigner, decision = (
            question.asked,
            question.assigner,
            self._decide(question),
        )
        rivals = self._rivals(question, request_id, decision)
        scored, *others = rivals
        decision, candidates = scored.decision, scored.candidates
        outcome = self._draw(question, request_id, rivals)
        self.tally.overruled(outcome.names)
        places = outcome.places
        answered = LoggedAnswer(
            request_id=request_id,
            moment=self.project.now(),
            endpoint=self.endpoint.name,
            unit=ranked_request.unit,
            by=tuple([(rival.variant, rival.version) for rival in rivals]),
            entity=ranked_request.entity,
            explored=outcome.explored,
            decision=decision,
            config=assigner.version,
        )
        uncounted = self._counting.add(
            question.counted, ranked_request.unit, candidates, places, answered.moment
        )
        logged = self._scored_rows(question, places)
        rows = self._rows(question, answered, outcome, rivals, logged)
        if self._shadowing is not None and not others:
            self._shadowing.answered(question.asked, question.rows.instances, scored, answered)
        ids = tuple([log_rows.exposure_id(request_id, place.position) for place in places])
        positions = tuple([place.position for place in places])
        return Ranking(
            items=tuple([place.item for place in places]),
            scores=tuple([place.score for place in places]),
            propensities=tuple([place.propensity for place in places]),
            variant=answered.variant,
            version=answered.version,
            rules=outcome.overruled.texts,
            request_id=request_id,
            stale_features=question.rows.stale,
            assignments=dict(decision.arms),
            parameters=dict(decision.parameters),
            exposures=ids if self._tells_exposures or assigner.assigns else (),
            positions=positions if positions and positions[-1] != len(positions) else (),
            # the answer is given all the same: what is lost biases every later evaluation, and is
            # said
            problems=(
                *uncounted,
                *(() if logged is None else logged.problems),
                *self._writer.put(rows),
            ),
        )

    def _scored_rows(
        self, question: ResolvedRequest, places: Sequence[ShownItem]
    ) -> ScoredRows | None:
        """Return the rows that the shown items were scored by; None if they are not logged."""
        if not self.endpoint.log_features:
            return None
        rows = scored_rows(question.asked.candidates, question.rows.instances, places)
        self.tally.left_out(len(rows.too_large))
        return rows

    def _rivals(
        self, question: ResolvedRequest, request_id: str, decision: UnitDecision
    ) -> tuple[ScoredCandidates, ...]:
        """Return the candidates as scored by one variant, or by each of two interleaved ones.

        `decision` has the unit's arms and parameters.
        """
        if decision.duel is not None and self._rulebook.drawable:
            return self._scoring.rivals(question, request_id, decision, decision.duel)
        if decision.duel is not None:  # of rules that were written since the run began
            self.tally.answered_alone()
        return (self._scoring.scored(question, request_id, decision),)

    def _draw(
        self, question: ResolvedRequest, request_id: str, rivals: Sequence[ScoredCandidates]
    ) -> Placement:
        """Return the items to show in order: by one variant's ranking, or by two interleaved.

        `rivals` has the candidates as scored by each variant.
        """
        first, *others = rivals
        decision = first.decision
        explore = self._explore if decision.explore is None else decision.explore / 100
        if not others or decision.duel is None:
            return draw(
                question.rules,
                self._rulebook,
                first.candidates,
                decision.parameters,
                explore=explore,
                rng=self._rng,
            )
        pair, coin = (first.candidates, others[0].candidates), coins(decision.duel.salt, request_id)
        return interleave(
            question.rules,
            self._rulebook,
            pair,
            decision.parameters,
            explore=explore,
            rng=self._rng,
            coin=coin,
        )

    def _rows(
        self,
        question: ResolvedRequest,
        answered: LoggedAnswer,
        outcome: Placement,
        rivals: Sequence[ScoredCandidates],
        scored: ScoredRows | None,
    ) -> dict[Stream, list[Row]]:
        """Return the log rows of one answer, by stream: exposures, rankings and assignments.

        `answered` is the answer as it is logged, `outcome` has the shown items, `rivals` the
        candidates as scored by each variant, and `scored` the rows of the shown items, where they
        are logged.
        """
        ranked_request, assigner = question.asked, question.assigner
        rows: dict[Stream, list[Row]] = {
            "exposures": log_rows.exposures(answered, outcome.places, scored)
        }
        if "rankings" in self._streams or assigner.assigns:
            spent = 1000 * (time.perf_counter() - question.began)
            overruled = outcome.overruled
            attributes = log_rows.attributes_of(ranked_request.context, self._watched)
            orders = [rival.candidates.best for rival in rivals]
            row = log_rows.ranking(
                answered,
                ranked_request,
                orders,
                overruled,
                attributes,
                explore=outcome.explore,
                milliseconds=spent,
            )
            rows["rankings"] = [row]
        rows["assignments"] = self._arms.unlogged(
            assigner,
            answered.decision,
            ranked_request.unit,
            answered.moment,
            ranked_request.context,
        )
        return rows

    def assign(self, request: Mapping[str, Any], *, log: bool = True) -> Assigned:
        """Return the arms and parameters of a unit, for a product that ranks its items itself.

        `request` has the unit, and the attributes that experiments target. Without `log` the
        assignments are not logged. Raises Invalid for a wrong request.
        """
        unit, context = asked_of(request, self._shape)
        assigner = self._arms.now()
        decided = assigner.decide(unit, context)
        decision = decided.undrawn()
        return Assigned(
            assignments=dict(decision.arms),
            parameters=dict(decision.settings),
            config=assigner.version,
            problems=(
                *_undrawn(decided.duel),
                *(self._log(assigner, decision, unit, context) if log else ()),
            ),
        )

    def evaluate(self, unit: object, context: Mapping[str, Any]) -> tuple[UnitDecision, int | None]:
        """Return a unit's arms and parameters for feature flags.

        The second result is the version of the document of running experiments. New assignments are
        logged. Attributes in `context` that are not declared are ignored.
        """
        name, attributes = unit_of(unit, self._shape), context_of(context, self._shape)
        assigner = self._arms.now()
        decision = assigner.decide(name, attributes).undrawn()
        self._log(assigner, decision, name, attributes)
        return decision, assigner.version

    def _log(
        self, assigner: Assigner, decision: UnitDecision, unit: str, context: Mapping[str, Any]
    ) -> tuple[str, ...]:
        """Log the unit's assignments that are new today; return problems of the log as text."""
        return self._writer.put(
            {
                "assignments": self._arms.unlogged(
                    assigner, decision, unit, self.project.now(), context
                )
            }
        )

    @property
    def model_parameters(self) -> tuple[str, ...]:
        """Return the names of the parameters that a deployed model accepts in a prediction."""
        return self._models.now().inputs.parameters

    def score(
        self,
        request: Mapping[str, Any],
        *,
        variant: str | None = None,
        parameters: Mapping[str, object] = NO_PARAMETERS,
    ) -> Reply:
        """Return the models' raw predictions for a request; no exposure is logged.

        It serves the smoke test of `deploy`, and `invoke` with parameters.
        """
        instances = self._models.rows(
            parsed(request, self._shape), self._models.now().inputs
        ).instances
        request_id = f"s-{secrets.token_hex(8)}"
        reply = self.project.target.endpoints.invoke(
            self.endpoint.name,
            instances,
            variant=variant,
            request_id=request_id,
            parameters=parameters,
        )
        as_scores(reply.predictions, len(instances), who=reply.variant)
        return reply

    def look(self, request: Mapping[str, Any] | None = None) -> None:
        """Check that the endpoint exists and that the features of a request can be read.

        Without a request, no features are read. It raises what `rank` raises.
        """
        inputs = self._models.now().inputs
        if request is not None:
            self._models.rows(parsed(request, self._shape), inputs)


def _undrawn(duel: Interleaving | None) -> tuple[str, ...]:
    """Return a warning if a unit is in an interleaving run, as only /rank can interleave.

    `duel` is that run; with None the result is empty.
    """
    if duel is None:
        return ()
    first, second = duel.variants
    return (
        (
            f"{duel.run} makes one order of {first}'s and {second}'s, which only /rank can: "
            f"{first} is given, and counts for neither"
        ),
    )


def _half_of_duel_text(duel: Interleaving, variant: str) -> str:
    """Return a note for `explain`: the shown order is that of one of two interleaved variants."""
    return (
        f"{duel.run} interleaves {' and '.join(duel.variants)} for this unit; this is the order "
        f"of {variant} alone"
    )
