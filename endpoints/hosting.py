"""The rules that every endpoint host keeps, whatever runs its variants.

Pure: an adapter reads its provider's state, these judge it.

What differs from one target to the next stands in `HostRules`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

from ..errors import Conflict, Invalid, ModelError, NotFound, Unsupported
from ..events.port import Row
from ..pipelines.models.call_parameters import SCALARS, is_scalar
from .port import NO_PARAMETERS, EndpointSpec, TrafficMinute, VariantSpec, Window
from .revision import identity
from .split import HUNDRED, check, percent_text

if TYPE_CHECKING:
    from ..target import Capability, Target

STICKY, CAPTURE = "routing.sticky", "capture"  # the capabilities that a spec may ask for
AIM, PARAMETERS = "invoke.variant", "invoke.parameters"  # and a request


class HostRules(msgspec.Struct, frozen=True, kw_only=True):
    """In what one target's endpoints differ from another's."""

    target: str  # its name, as messages say it
    provider: str
    resolution: Decimal  # of a share of the traffic, in percent
    max_bytes: int  # of a request's body
    most_variants: int | None = None  # of an endpoint; None: as many as one likes
    offers: frozenset[str] = frozenset()  # capabilities that are not refused


class _Predictions(msgspec.Struct, frozen=True):
    predictions: tuple[object, ...]


_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(_Predictions)


def rules_of(target: Target, *, provider: str, most_variants: int | None = None) -> HostRules:
    """By the target's capabilities: traffic.resolution, invoke.max_bytes, and which it offers at
    all.
    """
    return HostRules(
        target=target.name,
        provider=provider,
        resolution=resolution(target),
        max_bytes=int(_number(target, "invoke.max_bytes")),
        most_variants=most_variants,
        offers=frozenset(
            name for name, row in target.capabilities.items() if row.level != "refused"
        ),
    )


def resolution(target: Target) -> Decimal:
    """The smallest step of a share of the traffic, in percent, where the target splits it."""
    return _number(target, "traffic.resolution")


def metrics_delay(target: Target) -> timedelta:
    """How long after its end a minute's figures are final."""
    value = target.capabilities["metrics.delay"].value
    if not isinstance(value, timedelta):
        raise TypeError(f"{target.name}: the capability metrics.delay needs a time, not {value!r}")
    return value


def _number(target: Target, capability: str) -> Decimal:
    """TypeError for a row without one: the adapter's mistake, not the user's."""
    value = target.capabilities[capability].value
    if not isinstance(value, int | Decimal):
        raise TypeError(f"{target.name}: the capability {capability} needs a number, not {value!r}")
    return Decimal(value)


def check_spec(spec: EndpointSpec, rules: HostRules) -> None:
    """Invalid: no variants, two of one name, a count below 1.

    Unsupported, by its capability: more than this target's endpoints have.
    """
    names = [variant.name for variant in spec.variants]
    if not names or len(set(names)) != len(names):
        raise Invalid(
            f"endpoint {spec.name} needs variants, each with a name of its own; it has {names}"
        )
    for variant in spec.variants:
        if variant.instances is not None and not 1 <= variant.instances[0] <= variant.instances[1]:
            raise Invalid(
                f"endpoint {spec.name}, variant {variant.name}: {variant.instances} is no "
                "number of instances",
                remedy="at least 1, and the most not below the fewest",
            )
    if rules.most_variants is not None and len(names) > rules.most_variants:
        raise Unsupported(
            f"endpoint {spec.name} has {len(names)} variants; {rules.provider} takes "
            f"{rules.most_variants}",
            capability="endpoints.variants",
        )
    if spec.routing == "sticky" and STICKY not in rules.offers:
        raise Unsupported(
            "sticky routing is not supported yet", capability=STICKY, remedy="routing: weighted"
        )
    if spec.capture_percent and CAPTURE not in rules.offers:
        raise Unsupported(
            "capture is not supported yet", capability=CAPTURE, remedy="leave capture_percent at 0"
        )


def aims(capabilities: Mapping[str, Capability], routing: str) -> bool:
    """Whether a request can name its variant: of a sticky endpoint always.

    What a target says nothing of is not judged.
    """
    return routing == "sticky" or AIM not in capabilities or capabilities[AIM].level != "refused"


def check_aim(endpoint: str, variant: str | None, rules: HostRules) -> None:
    """Unsupported: a request that names its variant, where a request cannot under weighted routing."""
    if variant is not None and AIM not in rules.offers:
        raise Unsupported(
            f"{endpoint}: {rules.provider} takes no request for one variant: the split alone "
            "decides",
            capability=AIM,
            remedy="routing: sticky",
        )


def guard_traffic(
    spec: EndpointSpec,
    running: Mapping[str, VariantSpec],
    traffic: Mapping[str, Decimal],
    *,
    routing: str = "weighted",
) -> None:
    """Conflict: the spec removes or changes a variant that has traffic, or has another `routing`
    than what runs.

    Of a sticky endpoint a host knows no traffic: router.py looks at it.
    """
    if spec.routing != routing:
        raise Conflict(
            f"{spec.name} runs with routing: {routing}, and keeps it as long as it runs",
            remedy=f"write routing: {routing}; or isthmus destroy, then isthmus deploy {spec.name}",
        )
    if routing == "weighted":
        guard_variants(spec, running, traffic)


def guard_variants(
    spec: EndpointSpec, running: Mapping[str, VariantSpec], traffic: Mapping[str, Decimal]
) -> None:
    """Conflict: the spec removes or changes a variant that has traffic.

    How many instances it has may change.

    `traffic`: percent by variant, the larger of what is served and what is asked for. A variant
    that is not in `running` is not known.
    """
    wanted = {variant.name: variant for variant in spec.variants}
    for name, percent in traffic.items():
        if percent <= 0 or name not in running:
            continue
        if name not in wanted or identity(wanted[name]) != identity(running[name]):
            change = "be changed" if name in wanted else "be removed"
            raise Conflict(
                f"{spec.name}: {name} has {percent_text(percent)} % of the traffic and would "
                f"{change}",
                remedy=f"move its traffic away first: isthmus traffic {spec.name} {name}=0",
            )


def first_split(spec: EndpointSpec) -> dict[str, Decimal]:
    """Percent by variant of a new endpoint: its first variant has everything."""
    return {
        variant.name: HUNDRED if place == 0 else Decimal(0)
        for place, variant in enumerate(spec.variants)
    }


def checked_split(
    endpoint: str, split: Mapping[str, Decimal], variants: Sequence[str], rules: HostRules
) -> dict[str, Decimal]:
    """The split, if this endpoint can have it. Invalid, Unsupported: see split.check."""
    return check(
        split,
        variants=variants,
        resolution=rules.resolution,
        where=f"{rules.target} endpoint {endpoint}",
    )


def sticky(endpoint: str) -> Unsupported:
    return Unsupported(f"{endpoint} is sticky: the gateway splits its traffic", capability=STICKY)


def check_token(endpoint: str, token: str | None, *, expect: str | None) -> None:
    """Conflict: the endpoint is not as it was when it was observed. None: it is, or was, absent."""
    if token != expect:
        raise Conflict(
            f"{endpoint} was changed by somebody else since it was observed",
            remedy="look at it again, and decide again",
        )


def not_found(endpoint: str) -> NotFound:
    return NotFound(f"there is no endpoint {endpoint}", remedy=f"isthmus deploy {endpoint}")


def check_window(window: Window) -> None:
    """Invalid: not whole minutes, or it ends before it starts."""
    whole = all(moment.second == moment.microsecond == 0 for moment in (window.start, window.end))
    if not whole or window.end < window.start:
        raise Invalid(
            f"a window is whole minutes, the end after the start: {window.start} .. "
            f"{window.end} is not"
        )


def check_minutes(endpoint: str, minutes: Sequence[TrafficMinute], variants: Sequence[str]) -> None:
    """Invalid: of a variant that is not there, not a whole minute, more errors than requests, or no
    latency.
    """
    for minute in minutes:
        if minute.variant not in variants:
            raise Invalid(
                f"{endpoint} has no variant {minute.variant}",
                remedy=f"it has {', '.join(variants)}",
            )
        check_window(Window(start=minute.start, end=minute.start))
        errors = minute.client_errors + minute.server_errors
        if (
            min(minute.requests, minute.client_errors, minute.server_errors) < 0
            or errors > minute.requests
            or not minute.latencies_ms
        ):
            raise Invalid(
                f"{endpoint}: {minute.variant} cannot have had {errors} errors in "
                f"{minute.requests} requests at {minute.start}"
            )


def check_parameters(endpoint: str, parameters: Mapping[str, object]) -> None:
    """Invalid: one that JSON, or a protobuf Value, which is what Vertex AI makes of it, would not
    carry as it is.
    """
    for name, value in parameters.items():
        if not is_scalar(value):
            kind = "" if isinstance(value, int | float | str) else f", a {type(value).__name__}"
            raise Invalid(
                f"{endpoint}: the parameter {name} is {value!r}{kind}",
                remedy=f"a parameter is {SCALARS}",
            )


def request_body(
    endpoint: str,
    instances: Sequence[Row],
    rules: HostRules,
    parameters: Mapping[str, object] = NO_PARAMETERS,
) -> bytes:
    """`{"instances": [...]}`, and `"parameters": {...}` where there are any.

    Invalid: see `check_parameters`. Unsupported: parameters, or more bytes, than the target takes.
    """
    document: dict[str, object] = {"instances": instances}
    if parameters:
        if PARAMETERS not in rules.offers:
            raise Unsupported(
                f"{endpoint}: {rules.provider} passes no parameters to a model",
                capability=PARAMETERS,
                remedy="leave them out: the model goes by its defaults",
            )
        check_parameters(endpoint, parameters)
        document["parameters"] = dict(parameters)
    body = _encode(document)
    if len(body) > rules.max_bytes:
        raise Unsupported(
            f"{endpoint}: the request has {len(body):,} bytes, more than the "
            f"{rules.max_bytes:,} that {rules.target} takes",
            capability="invoke.max_bytes",
            remedy="send fewer instances a call",
        )
    return body


def predictions(endpoint: str, body: bytes) -> tuple[object, ...]:
    """Those of an answer of status 200. ModelError: it has none."""
    try:
        return _decoder.decode(body).predictions
    except msgspec.MsgspecError as error:
        text = body.decode("utf-8", "replace")
        raise ModelError(
            f"{endpoint}: the model's answer has no predictions: {error}", status=200, body=text
        ) from error
