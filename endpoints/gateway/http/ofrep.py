"""OpenFeature's Remote Evaluation Protocol 0.3.0: an endpoint's parameters as flags. Pure.

The protocol is github.com/open-feature/protocol. `ranker.blend` is one parameter, `ranker` all of
them as an object. A value is always sent with its variant, and an error with its details: the
protocol's Python provider fails without them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, Literal

import msgspec

from ....project.specs.description import Endpoint
from ..decide.assignment import ParameterSource, UnitDecision
from .answers import HttpAnswer

PATH = "/ofrep/v1/evaluate/flags"
KEY = "targetingKey"  # of a context: the unit

ErrorCode = Literal[
    "FLAG_NOT_FOUND", "TARGETING_KEY_MISSING", "INVALID_CONTEXT", "PARSE_ERROR", "GENERAL"
]
Reason = Literal["SPLIT", "TARGETING_MATCH", "STATIC", "DISABLED"]
_REASONS: tuple[Reason, ...] = (
    "SPLIT",
    "TARGETING_MATCH",
    "DISABLED",
    "STATIC",
)  # the first where several runs have a say
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, object]).decode


class Flag(msgspec.Struct, frozen=True, kw_only=True):
    """`metadata`: the run that has a say in it, and the version of what is known of experiments."""

    key: str
    value: Any
    variant: str  # the arm; default: no run has a say in it
    reason: Reason
    metadata: dict[str, str | int]


class RefusedError(Exception):
    """Why a request is not evaluated."""

    def __init__(self, code: ErrorCode, details: str) -> None:
        self.code: ErrorCode = code
        self.details = details
        super().__init__(details)


def context_of(body: bytes) -> dict[str, Any]:
    """Return the OpenFeature context in a request's JSON body.

    Raises RefusedError if it is unreadable, or lacks targetingKey: the unit.
    """
    try:
        context = _decode(body).get("context", {})
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RefusedError("PARSE_ERROR", f"the body is not a JSON object: {error}") from None
    if not isinstance(context, dict):
        raise RefusedError("INVALID_CONTEXT", "the context is not an object")
    if context.get(KEY) in (None, ""):
        raise RefusedError(
            "TARGETING_KEY_MISSING", f"the context has no {KEY}: assignment goes by it"
        )
    return context


def flag(key: str, endpoint: Endpoint, decision: UnitDecision, config: int | None) -> Flag | None:
    """Return the value of the feature flag `key` for a unit's arms, or None if there is none.

    The key is `endpoint.parameter`, or `endpoint` for all parameters as an object. `decision` has
    the unit's arms and parameters, and `config` is the version of the document of running
    experiments.
    """
    _, dot, name = key.partition(".")
    settings = _settings(endpoint, decision)
    if dot and name not in settings:
        return None
    sources = [
        decision.sources[setting]
        for setting in ([name] if dot else settings)
        if setting in decision.sources
    ]
    return _flag(key, settings[name] if dot else settings, sources, config)


def flags(endpoint: Endpoint, decision: UnitDecision, config: int | None) -> list[Flag]:
    """Return all feature flags of an endpoint for a unit: one for each parameter.

    One more has all parameters as an object. `decision` has the unit's arms and parameters, and
    `config` is the version of the document of running experiments.
    """
    settings = _settings(endpoint, decision)
    keys = [endpoint.name, *(f"{endpoint.name}.{name}" for name in settings)]
    return [evaluated for key in keys if (evaluated := flag(key, endpoint, decision, config))]


def _settings(endpoint: Endpoint, decision: UnitDecision) -> dict[str, Any]:
    """Return a unit's parameter values by name, those that are declared as float as floats.

    OpenFeature's clients compare types, so that a whole number must have a point, too.
    """
    floats = {name for name, parameter in endpoint.parameters.items() if parameter.type == "float"}
    return {
        name: float(value) if name in floats and type(value) is int else value
        for name, value in decision.settings.items()
    }


def _flag(key: str, value: Any, sources: Iterable[ParameterSource], config: int | None) -> Flag:
    """Return a feature flag: its value, OpenFeature's reason, and the experiments that set it.

    `config` is the version of the document of running experiments.
    """
    by_run = {source.run: source for source in sources}
    reasons: list[Reason] = [*(_reason(source) for source in by_run.values()), "STATIC"]
    metadata: dict[str, str | int] = {"run": ",".join(by_run)} if by_run else {}
    return Flag(
        key=key,
        value=value,
        variant=",".join(source.arm for source in by_run.values()) or "default",
        reason=min(reasons, key=_REASONS.index),
        metadata=metadata if config is None else metadata | {"config": config},
    )


def _reason(source: ParameterSource) -> Reason:
    """Return OpenFeature's reason code, such as SPLIT, for where a parameter's value comes from.

    DISABLED says that the unit is in a holdout. Of an arm that was shipped to all units it is
    TARGETING_MATCH or STATIC.
    """
    if source.how == "holdout":
        return "DISABLED"
    return "SPLIT" if source.how == "split" else "TARGETING_MATCH" if source.targeted else "STATIC"


def single(evaluated: Flag) -> HttpAnswer:
    """Return one feature flag as an HTTP response, in OpenFeature's JSON."""
    return HttpAnswer(status=200, body=_encode(evaluated))


def bulk(evaluated: Iterable[Flag], if_none_match: str) -> HttpAnswer:
    """Return all feature flags as an HTTP response, or 304 if the caller has these already.

    `if_none_match` is the request's header of that name.
    """
    body = _encode({"flags": list(evaluated)})
    etag = f'"{sha256(body).hexdigest()[:32]}"'
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return (
        HttpAnswer(status=304, body=b"", etag=etag)
        if etag in tags
        else HttpAnswer(status=200, body=body, etag=etag)
    )


def refusal(code: ErrorCode, details: str, *, status: int = 400, key: str = "") -> HttpAnswer:
    """Return OpenFeature's error response to a request that cannot be evaluated."""
    of_flag: Mapping[str, str] = {"key": key} if key else {}
    return HttpAnswer(
        status=status, body=_encode({**of_flag, "errorCode": code, "errorDetails": details})
    )


def as_error(answer: HttpAnswer) -> HttpAnswer:
    """Return a gateway's error response rewritten with OpenFeature's errorCode and errorDetails."""
    fields = _decode(answer.body)
    if "errorCode" in fields:
        return answer
    details = "; ".join(str(fields[name]) for name in ("error", "remedy") if fields.get(name))
    return msgspec.structs.replace(
        answer, body=_encode({"errorCode": "GENERAL", "errorDetails": details})
    )
