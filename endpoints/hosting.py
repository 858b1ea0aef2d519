"""The rules that every endpoint host keeps, whatever runs its variants. Pure.

An adapter reads its provider's state, and these functions judge it. What differs from one target to
the next stands in `HostRules`.
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
    """How one target's endpoints differ from another's."""

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
    """Return the limits that a target sets on endpoints, from its declared capabilities.

    These are the step of traffic shares, the largest request, and which features the target has.
    `provider` is its name in errors.
    """
    return HostRules(
        target=target.name,
        provider=provider,
        resolution=resolution(target),
        max_bytes=int(_capability_number(target, "invoke.max_bytes")),
        most_variants=most_variants,
        offers=frozenset(
            name for name, row in target.capabilities.items() if row.level != "refused"
        ),
    )


def resolution(target: Target) -> Decimal:
    """Return the smallest step in which a target splits traffic, in percent."""
    return _capability_number(target, "traffic.resolution")


def metrics_delay(target: Target) -> timedelta:
    """Return how long after its end a minute's endpoint metrics are final."""
    value = target.capabilities["metrics.delay"].value
    if not isinstance(value, timedelta):
        raise TypeError(f"{target.name}: the capability metrics.delay needs a time, not {value!r}")
    return value


def _capability_number(target: Target, capability: str) -> Decimal:
    """Return the number that a target declares for a capability, such as invoke.max_bytes.

    Raises:
        TypeError: The adapter declares none, which is its programmer's mistake.
    """
    value = target.capabilities[capability].value
    if not isinstance(value, int | Decimal):
        raise TypeError(f"{target.name}: the capability {capability} needs a number, not {value!r}")
    return Decimal(value)


def check_spec(spec: EndpointSpec, rules: HostRules) -> None:
    """Raise an error for an endpoint's spec that this target cannot have.

    Raises:
        Invalid: It has no variants, two of one name, or a count below 1.
        Unsupported: It asks for more than the target has; the error names the capability.
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
    """Return whether a request to a target can choose the variant that answers it.

    With sticky `routing` it always can. A target whose capabilities do not mention this is taken to
    be able.
    """
    return routing == "sticky" or AIM not in capabilities or capabilities[AIM].level != "refused"


def check_aim(endpoint: str, variant: str | None, rules: HostRules) -> None:
    """Raise Unsupported if a request names a variant on a target where only the split chooses.

    `variant` None leaves the choice to the split.
    """
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
    """Raise Conflict if a spec changes a variant that has traffic, or the endpoint's routing.

    `running` are the variants as they run, and `traffic` is percent by variant. A host knows no
    traffic of a sticky endpoint: traffic/router.py guards that.
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
    """Raise Conflict for a spec that removes or changes a variant that has traffic.

    Its number of instances may change.

    Args:
        spec: The endpoint as it is to be.
        running: The variants that run, by name; a variant that is missing here is not compared.
        traffic: Percent by variant, the larger of what is served and what is requested.

    Raises:
        Conflict: The spec would take traffic away.
    """
    declared = {variant.name: variant for variant in spec.variants}
    for name, percent in traffic.items():
        if percent <= 0 or name not in running:
            continue
        if name not in declared or identity(declared[name]) != identity(running[name]):
            change = "be changed" if name in declared else "be removed"
            raise Conflict(
                f"{spec.name}: {name} has {percent_text(percent)} % of the traffic and would "
                f"{change}",
                remedy=f"move its traffic away first: isthmus traffic {spec.name} {name}=0",
            )


def first_split(spec: EndpointSpec) -> dict[str, Decimal]:
    """Return a new endpoint's traffic in percent by variant: the first variant has all of it."""
    return {
        variant.name: HUNDRED if place == 0 else Decimal(0)
        for place, variant in enumerate(spec.variants)
    }


def checked_split(
    endpoint: str, split: Mapping[str, Decimal], variants: Sequence[str], rules: HostRules
) -> dict[str, Decimal]:
    """Check a traffic split against the endpoint's variants and the target's rules, and return it.

    Raises:
        Invalid: See split.check.
        Unsupported: See split.check.
    """
    return check(
        split,
        variants=variants,
        resolution=rules.resolution,
        where=f"{rules.target} endpoint {endpoint}",
    )


def sticky(endpoint: str) -> Unsupported:
    """Return the error for a traffic split set at the host of an endpoint with sticky routing.

    There the gateway splits the units.
    """
    return Unsupported(f"{endpoint} is sticky: the gateway splits its traffic", capability=STICKY)


def check_token(endpoint: str, token: str | None, *, expect: str | None) -> None:
    """Raise Conflict if the endpoint has changed since it was read (optimistic locking).

    Args:
        endpoint: Its name.
        token: The token that it has now; None: it is absent.
        expect: The token that was observed; None: it was absent.

    Raises:
        Conflict: The tokens differ.
    """
    if token != expect:
        raise Conflict(
            f"{endpoint} was changed by somebody else since it was observed",
            remedy="look at it again, and decide again",
        )


def not_found(endpoint: str) -> NotFound:
    """Return the error for an endpoint that is not deployed."""
    return NotFound(f"there is no endpoint {endpoint}", remedy=f"isthmus deploy {endpoint}")


def check_window(window: Window) -> None:
    """Raise Invalid for a time window that is not whole minutes, or ends before it starts.

    Raises:
        Invalid: The window is one of these.
    """
    whole = all(moment.second == moment.microsecond == 0 for moment in (window.start, window.end))
    if not whole or window.end < window.start:
        raise Invalid(
            f"a window is whole minutes, the end after the start: {window.start} .. "
            f"{window.end} is not"
        )


def check_minutes(endpoint: str, minutes: Sequence[TrafficMinute], variants: Sequence[str]) -> None:
    """Raise Invalid for impossible figures in simulated minutes of traffic.

    Raises:
        Invalid: One is of a variant that is not there, is not a whole minute, has more errors than
            requests, or no latency.
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
    """Raise Invalid for a parameter that JSON cannot carry unchanged to every target.

    The narrowest form counts, which is Vertex AI's: a protobuf Value.

    Raises:
        Invalid: A parameter's value is no bool, finite number or valid text.
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
    """Return the JSON body of a prediction request: `{"instances": [...]}` and any parameters.

    Raises:
        Invalid: See `check_parameters`.
        Unsupported: The target takes no parameters, or fewer bytes.
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
    """Return the predictions in the JSON body of a model's successful answer.

    Raises:
        ModelError: The body has no predictions.
    """
    try:
        return _decoder.decode(body).predictions
    except msgspec.MsgspecError as error:
        text = body.decode("utf-8", "replace")
        raise ModelError(
            f"{endpoint}: the model's answer has no predictions: {error}", status=200, body=text
        ) from error
