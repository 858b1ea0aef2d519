"""The step that replays a version, page by page, in a process of the model's own environment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import msgspec
import numpy as np

from ...endpoints.gateway.decide.rulebook import Rulebook
from ...endpoints.gateway.rank.models import FeatureRows, join, keys_by_view, names_by_view
from ...endpoints.gateway.rank.ranking import as_scores
from ...endpoints.gateway.request.inputs import union, view_keys
from ...endpoints.gateway.request.request import RankRequest, parsed, shape_of
from ...endpoints.serving import payloads as wire
from ...errors import Invalid
from ...feature_store.online.past_store import KnownStore
from ...feature_store.online.reads import OnlineReader
from ...pipelines.evaluation.regression import tail_warnings
from ...pipelines.models.predictor import LoadedModel, load
from .accounts import Accounts, Row, edges, rows_of
from .estimates import Replay, by_unit
from .logged_answers import PAGE, Answer, answers
from .policy import SAMPLES, SEED
from .replayed_answer import replayed_arrangement, unshown_probability, weighted_places
from .version import ARTIFACT, DOCUMENT, Question
from .version_replay import VersionReplay

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...core.runtime.project import Project
    from ...endpoints.gateway.rank.ranking import Arrangement
    from ...pipelines.evaluation.statistics import Floats
    from ...pipelines.step.context import StepContext

    Scored = tuple[Answer, Arrangement, NDArray[np.float64]]

UNDRAWN = "they do not explore, so they tell of no other order"
UNTOLD = "of a gateway that did not log the request"
UNFIT = "the request does not fit project.yaml any more"
RULED = "the rules were other ones"
DRAFTED = "one order was made of two variants'"
CHANGED = "the rules, by features as they are known now, give other propensities"


def replay(context: StepContext) -> None:
    """Run the pipeline step that replays a version over the log, and write its JSON artifact."""
    question = msgspec.convert(context.parameters["question"], Question)
    replayed = replayed_from(context.project(), question, context.inputs["model"], log=context.log)
    (context.outputs[ARTIFACT] / DOCUMENT).write_bytes(msgspec.json.encode(replayed))
    context.log(str(replayed))


def replayed_from(
    project: Project,
    question: Question,
    folder: Path,
    *,
    page: int = PAGE,
    log: Callable[[str], None] | None = None,
) -> VersionReplay:
    """Estimate what a model version would have earned on the logged rankings.

    Args:
        project: The project.
        question: The version, and which logged answers are read.
        folder: The folder with the version's files.
        page: How many answers one query reads.
        log: Called with a line of progress after each page.

    Raises:
        Invalid: The predictor failed, or its files are not those that were registered.
    """
    version = _Version(project, question, load(folder, digest=question.digest))
    endpoint = project.spec.endpoints[question.endpoint]
    objective = project.spec.objectives[endpoint.objective]
    accounts, tenths_of = Accounts(number=objective.is_number), None
    for logged in answers(project, question.endpoint, question.window, page=page):
        scored = list(version.scored(logged))
        if tenths_of is None and scored:
            tenths_of = edges(np.concatenate([scores for _, _, scores in scored]))
        if tenths_of is not None:
            accounts.add(
                [
                    row
                    for of_answer in scored
                    for row in version.weighted_rows(*of_answer, tenths_of)
                ]
            )
        if log is not None:
            log(
                f"up to {logged[-1].moment:%Y-%m-%d %H:%M}: {version.replayed:,} answers, "
                f"{version.left_out.total():,} left out"
            )
    replayed = by_unit(accounts.sums(), accounts.units, samples=SAMPLES, seed=SEED)
    amounts, at_most = accounts.amounts(), objective.at_most
    return VersionReplay(
        target=project.target.name,
        version=f"{question.model}@{question.version}",
        endpoint=question.endpoint,
        objective=objective.name,
        explore=version.explore,
        since=question.window.since,
        until=question.window.until,
        answers=version.replayed,
        left_out=dict(version.left_out),
        outside=version.outside / version.undrawn if version.undrawn else None,
        replay=replayed,
        sums=f"{objective.outcome}.{objective.sums}" if objective.is_number else None,
        at_most=at_most,
        capped=float((amounts >= at_most).mean()) if at_most and len(amounts) else None,
        warnings=_tail_warnings(replayed, amounts) if objective.is_number else (),
    )


def _tail_warnings(replayed: Replay, amounts: Floats) -> tuple[str, ...]:
    """Return a sentence on the estimates whose intervals a heavy tail may make too narrow.

    `amounts` are the logged rewards of the rows.
    """
    estimates = {
        "self-normalised": replayed.self_normalised,
        "doubly robust": replayed.doubly_robust,
        "the difference against the log": replayed.difference,
    }
    named = [name for name, value in estimates.items() if value and value.low is not None]
    return tail_warnings(amounts, named if replayed.low is None else ["IPS", *named])


@final
class _Version:
    """A version of the model, and everything by which it would have answered."""

    def __init__(self, project: Project, question: Question, model: LoadedModel) -> None:
        self._endpoint = project.spec.endpoints[question.endpoint]
        self.explore = float(self._endpoint.explore) / 100
        self._spec, self._name, self._model = (
            project.spec,
            f"{question.model}@{question.version}",
            model,
        )
        most = msgspec.structs.replace(
            self._endpoint, max_candidates=1 << 62
        )  # with those that were added for a pin
        self._shape = shape_of(project.spec, most)
        self._maximise = project.spec.objectives[self._endpoint.objective].goal == "maximise"
        self._inputs = union([model.manifest], view_keys(project))
        self._rulebook = Rulebook(self._endpoint, project.spec)
        names = names_by_view(self._inputs, self._rulebook.features)
        self._known = KnownStore(project, names, question.window.since)
        self._reader = OnlineReader(
            project, names, cache=self._known, now=lambda: self._known.moment
        )
        self.left_out: Counter[str] = Counter()
        self.replayed = self.undrawn = 0  # answers; places of those that do not explore
        self.outside = 0.0  # of those places, the version's probability on other items

    def scored(self, logged: Sequence[Answer]) -> Iterator[Scored]:
        """Yield the logged rankings that can be replayed, with the version's scores.

        Others are counted by the reason why they are left out. Pages must be passed in the order of
        their time.
        """
        for answer in logged:
            self._known.move(answer.moment)
            request = self._request(answer)
            if isinstance(request, str):
                self.left_out[request] += 1
                continue
            rows = self._rows(request)
            scores = self._scores(rows, answer)
            rules = self._rulebook.active(answer.entity, request.context, answer.moment)
            arrangement = replayed_arrangement(
                answer, scores, rules, rows.ruled, maximise=self._maximise
            )
            if answer.explore > 0:
                yield answer, arrangement, np.array(scores)
            else:
                self.left_out[UNDRAWN] += 1
                self.undrawn += len(answer.places)
                self.outside += unshown_probability(answer, arrangement, self.explore)

    def weighted_rows(
        self,
        answer: Answer,
        arrangement: Arrangement,
        scores: NDArray[np.float64],
        ends: NDArray[np.float64],
    ) -> list[Row]:
        """Return the rows of a logged ranking, weighted by the version's probabilities.

        `scores` are the version's, and `ends` the bounds of the tenths of all scores. Empty if the
        present rules could not have given the logged order.
        """
        places = weighted_places(answer, arrangement, self.explore)
        if places is None:
            self.left_out[CHANGED] += 1
            return []
        self.replayed += 1
        return rows_of(
            answer.unit, places, np.searchsorted(ends, scores, side="right"), self.explore
        )

    def _request(self, answer: Answer) -> RankRequest | str:
        """Return a logged request as the gateway would read it, or text on why that fails."""
        if answer.request is None or answer.slots is None:
            return UNTOLD
        if answer.interleaved or answer.rules_digest != self._rulebook.digest:
            return DRAFTED if answer.interleaved else RULED
        entity = self._spec.entities.get(answer.entity)
        if entity is None:
            return UNFIT
        key = entity.key
        try:
            request = parsed(
                {
                    self._endpoint.unit: answer.unit,
                    **answer.request,
                    key: answer.candidates,
                    "slots": answer.slots,
                },
                self._shape,
            )
        except Invalid:
            return UNFIT
        return self._lacking(request, key) or request

    def _lacking(self, request: RankRequest, key: str) -> str | None:
        """Return a clause on what the version needs but the request lacks, or None.

        `key` is the name of the candidates' key.
        """
        attributes = [name for name in self._inputs.attributes if name not in request.attributes]
        keys = [
            own for own, _ in self._inputs.views.values() if own != key and own not in request.keys
        ]
        return next(
            (f"{self._name} reads {name}, which was not sent" for name in (*attributes, *keys)),
            None,
        )

    def _rows(self, request: RankRequest) -> FeatureRows:
        """Return the predictor's input rows for a logged request, features included."""
        key, ruled = (
            self._spec.entities[request.entity].key,
            self._rulebook.features.get(request.entity, {}),
        )
        served = self._reader.read(keys_by_view(request, self._inputs, ruled, key))
        return join(
            request, self._inputs, served, key=key, ruled=ruled if self._endpoint.rules else None
        )

    def _scores(self, rows: FeatureRows, answer: Answer) -> list[float]:
        """Return the version's scores for a request's candidates.

        The rows are passed through JSON first, as in a call of the endpoint.
        """
        sent: dict[str, Any] = {
            name: value
            for name, value in answer.parameters.items()
            if name in self._model.manifest.accepted
        }
        body = msgspec.json.encode({"instances": rows.instances, "parameters": sent})
        instances, parameters = wire.request(body, wire.JSON, self._model.manifest)
        try:
            predictions = wire.predictions(
                self._model.predictor.predict(instances, **parameters), len(instances)
            )
        except Exception as error:  # the user's code may raise anything
            raise Invalid(
                f"{self._name} failed on a logged request of {answer.moment:%Y-%m-%d %H:%M}: "
                f"{error}"
            ) from error
        return as_scores(predictions, len(instances), who=self._name)
