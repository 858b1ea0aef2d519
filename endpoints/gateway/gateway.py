"""The gateway: joins features at request time, asks the endpoint, orders, explores, and says what it showed."""

from __future__ import annotations

import json
import secrets
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from random import Random
from typing import Any, Self, final

import msgspec

from ...errors import Invalid, IsthmusError, NotFound
from ...events.emit import emit_stream
from ...events.port import Rejected, Row
from ...feature_store.history import entity_key
from ...feature_store.online import OnlineReader
from ...feature_store.row_cache import RowCache
from ...project.streams import Stream
from ...runtime import Project
from ..port import NO_PARAMETERS, Reply
from .answer_numbers import AnswerNumbers
from .inputs import Inputs, manifest_of, union, view_keys
from .log_writer import CLOSING, Emit, LogWriter
from .ranking import Shown, as_scores, shown
from .request import RankRequest, parsed, shape_of
from .streams import STREAMS
from .tally import Tally

REFRESH = timedelta(seconds=1)  # how old the list of variants may be; a new variant has no traffic and takes longer to start


class Ranking(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    items: tuple[int | str, ...]
    scores: tuple[float, ...]
    propensities: tuple[float, ...]
    variant: str
    version: str  # model@version
    rules: tuple[str, ...]
    request_id: str
    stale_features: tuple[str, ...]
    problems: tuple[str, ...] = ()  # exposures that could not be delivered, of this answer or of earlier ones; absent when all is well

    def __str__(self) -> str:
        short = msgspec.structs.replace(
            self,
            scores=tuple(float(f"{score:.3g}") for score in self.scores),
            propensities=tuple(float(f"{share:.6g}") for share in self.propensities),
        )
        return json.dumps(msgspec.to_builtins(short))


class _Deployed(msgspec.Struct, frozen=True):
    inputs: Inputs
    models: dict[str, str]  # by variant
    seen: float


@final
class Gateway:
    """`rank` may be called from many threads. What does not change from request to request is worked out once a second at most.

    Exposures are delivered by a thread, in groups: `close` (or `with`), the end of the project's `with` and the end of the program wait for
    them. `durable`: each answer waits for its own.
    """

    def __init__(
        self,
        project: Project,
        endpoint: str,
        *,
        rng: Random | None = None,
        emit: Emit | None = None,
        durable: bool = False,
        refresh: timedelta = REFRESH,
    ) -> None:
        """NotFound: project.yaml has no such endpoint. `emit`: where rows of a stream go, by default the project's own."""
        found = project.spec.endpoints.get(endpoint)
        if found is None:
            have = ", ".join(project.spec.endpoints) or "none"
            raise NotFound(f"project.yaml has no endpoint {endpoint}", remedy=f"it has {have}")
        self.project = project
        self.endpoint = found
        self.tally = Tally()
        self._numbers = AnswerNumbers()
        self._shape = shape_of(project.spec, found)
        self._explore = float(found.explore) / 100
        self._maximise = project.spec.objectives[found.objective].goal == "maximise"
        self._rng = rng or Random()  # noqa: S311  exploration is no secret
        self._writer = LogWriter(emit or partial(_emit, project), name=endpoint, durable=durable, closers=project.before_close)
        weakref.finalize(self, self._writer.end).atexit = False  # the thread is not kept by who forgot the gateway
        self._refresh = refresh.total_seconds()
        self._keys = view_keys(project)
        self._manifests: dict[tuple[str, int], Any] = {}
        self._deployed: _Deployed | None = None
        self._local = threading.local()
        self._cache = RowCache(project.target.online, found.online_cache) if found.online_cache else None

    @property
    def waiting(self) -> int:
        """Exposures that are not delivered yet."""
        return self._writer.waiting["exposures"]

    @property
    def undelivered(self) -> int:
        """Exposures that are lost."""
        return self._writer.undelivered["exposures"]

    @property
    def undelivered_rows(self) -> Mapping[Stream, int]:
        """Of everything that is logged, by stream."""
        return self._writer.undelivered

    def close(self, within: timedelta = CLOSING) -> None:
        """Deliver the exposures of what was answered. Those that do not leave in time are counted, and told on stderr."""
        self._writer.close(within)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def rank(self, request: Mapping[str, Any]) -> Ranking:
        """Invalid: the request. ModelError, Busy, Unavailable: the endpoint. An exposure that is lost is told in `problems`."""
        asked = parsed(request, self._shape)
        deployed = self._variants()
        instances, stale = self._instances(asked, deployed.inputs)
        request_id = self._numbers.take()
        try:
            return self._answered(asked, deployed, instances, stale, request_id)
        except BaseException:  # whatever it was, nobody was answered
            self._numbers.give_back(request_id)
            raise

    def _answered(
        self, asked: RankRequest, deployed: _Deployed, instances: list[dict[str, Any]], stale: tuple[str, ...], request_id: str
    ) -> Ranking:
        reply = self._invoke(instances, request_id)
        if reply.variant not in deployed.models:  # deployed since we looked
            self._deployed = None
            deployed = self._variants()
        version = f"{deployed.models.get(reply.variant, self.endpoint.name)}@{reply.version}"
        scores = as_scores(reply.predictions, len(instances), who=f"{reply.variant} ({version})")
        places, explored = shown(asked.candidates, scores, slots=asked.slots, explore=self._explore, rng=self._rng, maximise=self._maximise)
        return Ranking(
            items=tuple(place.item for place in places),
            scores=tuple(place.score for place in places),
            propensities=tuple(place.propensity for place in places),
            variant=reply.variant,
            version=version,
            rules=(),
            request_id=request_id,
            stale_features=stale,
            problems=self._expose(asked, places, reply.variant, version, request_id, explored=explored),
        )

    @property
    def model_parameters(self) -> tuple[str, ...]:
        """The names of the parameters that a deployed model takes with a call."""
        return self._variants().inputs.parameters

    def score(self, request: Mapping[str, Any], *, variant: str | None = None, parameters: Mapping[str, object] = NO_PARAMETERS) -> Reply:
        """Only ask the models: nothing is shown, so no exposure. What deploy's smoke test calls."""
        instances, _ = self._instances(parsed(request, self._shape), self._variants().inputs)
        request_id = f"s-{secrets.token_hex(8)}"
        reply = self.project.target.endpoints.invoke(
            self.endpoint.name, instances, variant=variant, request_id=request_id, parameters=parameters
        )
        as_scores(reply.predictions, len(instances), who=reply.variant)
        return reply

    def look(self, request: Mapping[str, Any] | None = None) -> None:
        """Whether the endpoint is there, and the features of `request` can be read: raises what `rank` would."""
        inputs = self._variants().inputs
        if request is not None:
            self._instances(parsed(request, self._shape), inputs)

    def _variants(self) -> _Deployed:
        now = time.monotonic()
        held = self._deployed
        if held is not None and now - held.seen < self._refresh:
            return held
        state = self.project.target.endpoints.observe(self.endpoint.name)
        if state is None:
            raise NotFound(f"{self.endpoint.name} is not deployed", remedy=f"isthmus deploy {self.endpoint.name}")
        manifests = [self._manifest(v.model, v.version) for v in state.variants]
        held = _Deployed(union(manifests, self._keys), {v.name: v.model for v in state.variants}, now)
        self._deployed = held
        return held

    def _manifest(self, model: str, version: int) -> Any:
        found = self._manifests.get((model, version))
        if found is None:
            found = self._manifests[model, version] = manifest_of(self.project, model, version)
        return found

    def _instances(self, asked: RankRequest, inputs: Inputs) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
        """One row a candidate. The features of the other entities are read once and shared."""
        shared = dict(asked.attributes)
        for name in inputs.attributes:
            if name not in shared:
                raise Invalid(f"{self.endpoint.name}: the deployed models read {name}", remedy=f"send {name}, or give it in serve_as")
        shared.update(inputs.constants)
        candidates_key = self.project.spec.entities[asked.entity].key
        for view, (key, names) in inputs.views.items():
            if key != candidates_key and key not in asked.keys:
                raise Invalid(f"{self.endpoint.name}: {key} is missing", remedy=f"the deployed models read {view}.{names[0]}")
        wanted = {view: asked.candidates if key == candidates_key else [asked.keys[key]] for view, (key, _) in inputs.views.items()}
        features = self._reader(inputs).read(wanted)
        rows: list[dict[str, Any]] = [{} for _ in asked.candidates]
        stale: list[str] = []
        for view, (key, names) in inputs.views.items():
            served = features[view]
            if key == candidates_key:
                for row, stored in zip(rows, served.rows, strict=True):
                    for name in names:
                        row[name] = stored[name]
            else:
                for name in names:
                    shared[name] = served.rows[0][name]
            stale += [f"{view}.{name}" for name in names if f"{view}.{name}" in served.stale_features]
        return [shared | row for row in rows], tuple(stale)

    def _reader(self, inputs: Inputs) -> OnlineReader:
        """One for each thread: a reader serves one at a time."""
        held = getattr(self._local, "reader", None)
        if held is None or held[0] != inputs.views:
            features = {view: names for view, (_, names) in inputs.views.items()}
            held = self._local.reader = (inputs.views, OnlineReader(self.project, features, cache=self._cache))
        return held[1]

    def _invoke(self, instances: list[dict[str, Any]], request_id: str) -> Reply:
        began = time.perf_counter()
        try:
            reply = self.project.target.endpoints.invoke(self.endpoint.name, instances, variant=None, request_id=request_id)
        except IsthmusError:
            self._deployed = None  # it may be another model than we know: look again before the next request
            self.tally.failed()
            raise
        self.tally.answered(reply.variant, time.perf_counter() - began)
        return reply

    def _expose(
        self, asked: RankRequest, places: Sequence[Shown], variant: str, version: str, request_id: str, *, explored: bool
    ) -> tuple[str, ...]:
        """The answer is given all the same; what could not be logged is counted and said, as it biases every later evaluation."""
        moment = self.project.now()
        rows = [
            {
                "event_id": f"{request_id}-{place.position}",
                "event_timestamp": moment,
                "endpoint": self.endpoint.name,
                "unit": asked.unit,
                "variant": variant,
                "version": version,
                "entity": asked.entity,
                "entity_key": entity_key(place.item),
                "position": place.position,
                "score": place.score,
                "propensity": place.propensity,
                "explored": explored,
            }
            for place in places
        ]
        return self._writer.put({"exposures": rows})


def _emit(project: Project, stream: Stream, rows: Sequence[Row]) -> Sequence[Rejected]:
    return emit_stream(project, STREAMS[stream], rows)
