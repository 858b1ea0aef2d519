"""Answers to POST requests of a gateway, without HTTP: a body in, an answer out.

Never raises: what goes wrong is the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeVar, final

import msgspec

from ....core.runtime.project import Project
from ....errors import Invalid, IsthmusError
from ...http.error_log import tell
from ..decide.assignment import UnitDecision
from ..gateway import Gateway
from ..processes import counters
from ..processes.counters import Counters, sample
from ..request.request import shape_of
from . import ofrep
from .answers import HttpAnswer, failure, status_of
from .track import MOST, track

_decode = msgspec.json.Decoder(dict[str, object]).decode
_decode_any = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_Result = TypeVar("_Result")
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


@final
class Calls:
    """The calls of a gateway's API, answered for many threads."""

    def __init__(
        self, project: Project, gateways: Mapping[str, Gateway], counted: Counters
    ) -> None:
        self._project = project
        self._gateways = gateways
        self._counters = counted
        self._first = next(iter(gateways))

    def rank(self, body: bytes) -> HttpAnswer:
        """Answer POST /rank: choose and order the candidates."""

        def ranked(gateway: Gateway, request: dict[str, Any]) -> HttpAnswer:
            ranking = gateway.rank(request)
            self._count(ranking.assignments)
            return HttpAnswer(status=200, body=_encode(ranking), variant=ranking.variant)

        return self._of_endpoint(body, ranked)

    def assign(self, body: bytes) -> HttpAnswer:
        """Answer POST /assign: return a unit's arms, and log them unless the body says not to."""

        def assigned(gateway: Gateway, request: dict[str, Any]) -> HttpAnswer:
            log = request.pop("log", True)
            if not isinstance(log, bool):
                raise Invalid(
                    "log is not true or false", remedy="leave it out, or false: nothing is logged"
                )
            arms = gateway.assign(request, log=log)
            self._count(arms.assignments)
            return HttpAnswer(status=200, body=_encode(arms))

        return self._of_endpoint(body, assigned)

    def track(self, body: bytes) -> HttpAnswer:
        """Answer POST /track: validate events, and write them to the event log."""
        try:
            sent = _decode_any(body)
        except _UNREADABLE as error:
            return failure(400, f"the body is not JSON: {error}")
        events = sent if isinstance(sent, list) else [sent]
        if len(events) > MOST:
            return failure(
                413,
                f"{len(events):,} events are more than the {MOST:,} of a request",
                "send them in parts",
            )
        tracked = _answer_or_failure(lambda: track(self._project, events))
        if isinstance(tracked, HttpAnswer):
            return tracked
        fields: dict[str, object] = {"accepted": tracked.accepted, "rejected": tracked.rejected}
        if tracked.error is None:
            return HttpAnswer(status=200, body=_encode(fields))
        return HttpAnswer(
            status=status_of(tracked.error),
            body=_encode({"error": str(tracked.error), "remedy": tracked.error.remedy, **fields}),
        )

    def flag(self, key: str, body: bytes) -> HttpAnswer:
        """Answer OpenFeature's request for one feature flag: an endpoint's parameter."""
        name = key.partition(".")[0]
        if name not in self._gateways:
            return ofrep.refusal(
                "FLAG_NOT_FOUND", f"there is no endpoint {name[:100]!r} here", status=404, key=key
            )

        def evaluated(context: dict[str, Any]) -> HttpAnswer:
            gateway = self._gateways[name]
            decision, config = self._evaluate(gateway, context)
            flag = ofrep.flag(key, gateway.endpoint, decision, config)
            if flag is None:
                return ofrep.refusal(
                    "FLAG_NOT_FOUND",
                    f"{name} has no parameter {key[len(name) + 1 :][:100]!r}",
                    status=404,
                    key=key,
                )
            return msgspec.structs.replace(ofrep.single(flag), endpoint=name)

        return _answer_or_failure(lambda: _of_context(body, evaluated, key))

    def flags(self, body: bytes, if_none_match: str) -> HttpAnswer:
        """Answer OpenFeature's request for all feature flags, or that they are unchanged.

        `if_none_match` is the request's header of that name, by which the caller knows them.
        """

        def evaluated(context: dict[str, Any]) -> HttpAnswer:
            every = []
            for gateway in self._gateways.values():
                every += ofrep.flags(gateway.endpoint, *self._evaluate(gateway, context))
            return ofrep.bulk(every, if_none_match)

        return _answer_or_failure(lambda: _of_context(body, evaluated))

    def _evaluate(
        self, gateway: Gateway, context: dict[str, Any]
    ) -> tuple[UnitDecision, int | None]:
        """Return a unit's arms and parameters for a flag's context; count the arms as metrics.

        The second result is the version of the document of running experiments.
        """
        decision, config = gateway.evaluate(context[ofrep.KEY], context)
        self._count(decision.arms)
        return decision, config

    def _of_endpoint(
        self, body: bytes, answer: Callable[[Gateway, dict[str, Any]], HttpAnswer]
    ) -> HttpAnswer:
        """Answer a JSON body by `answer`, called with the gateway of the endpoint that it names.

        The name may be left out where only one endpoint is served. An unreadable body, or an
        unknown name, is answered by an error.
        """
        try:
            request = _decode(body)
        except _UNREADABLE as error:
            return failure(400, f"the body is not a JSON object: {error}")
        name: object = self._first
        if "endpoint" in request and (
            len(self._gateways) > 1 or not has_field(self._project, self._first, "endpoint")
        ):
            name = request.pop("endpoint")
        elif len(self._gateways) > 1:
            return failure(
                400, "the body has no endpoint", f"say which: {', '.join(self._gateways)}"
            )
        if not isinstance(name, str) or name not in self._gateways:
            return failure(
                404,
                f"there is no endpoint {str(name)[:100]!r} here",
                f"there is {', '.join(self._gateways)}",
            )
        gateway = self._gateways[name]
        return msgspec.structs.replace(
            _answer_or_failure(lambda: answer(gateway, request)), endpoint=name
        )

    def _count(self, arms: Mapping[str, str]) -> None:
        """Add a unit's assignments (arms by experiment run) to the metrics."""
        for run, arm in arms.items():
            self._counters.add(_assignment_sample(run, arm))


def _of_context(
    body: bytes, answer: Callable[[dict[str, Any]], HttpAnswer], key: str = ""
) -> HttpAnswer:
    """Answer a feature flag request by `answer`, called with the request's OpenFeature context.

    Errors become OpenFeature's error responses; `key` is the flag's name in them.
    """
    try:
        return answer(ofrep.context_of(body))
    except ofrep.RefusedError as refusal:
        return ofrep.refusal(refusal.code, refusal.details, key=key)
    except Invalid as error:
        return ofrep.refusal(
            "INVALID_CONTEXT", f"{error}; {error.remedy}" if error.remedy else str(error), key=key
        )


def _answer_or_failure(answer: Callable[[], _Result]) -> _Result | HttpAnswer:
    """Return what `answer` returns; turn an exception into an error response.

    So no request can end the server.
    """
    try:
        return answer()
    except IsthmusError as error:
        return failure(status_of(error), str(error), error.remedy)
    except Exception as error:  # noqa: BLE001  a mistake of ours is an answer, too, and its traceback is in the log
        tell("a request failed by a mistake in Isthmus", error)
        return failure(
            500,
            f"a mistake in Isthmus: {type(error).__name__}; its traceback is in the gateway's log",
        )


def has_field(project: Project, name: str, field: str) -> bool:
    """Return whether a request to the endpoint may have a field of this name."""
    shape = shape_of(project.spec, project.spec.endpoints[name])
    return field in {shape.unit, *shape.entities, *shape.attributes, *shape.of_request}


@lru_cache(maxsize=1_000)
def _assignment_sample(run: str, arm: str) -> str:
    """Return the name and labels of the Prometheus metric that counts assignments to an arm."""
    return sample(counters.ASSIGNMENTS, run=run, arm=arm)
