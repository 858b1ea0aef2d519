"""EndpointHost on Vertex AI: `apply` deploys and undeploys models; `shift` writes the split under a
look's etag and nothing else.

A sticky endpoint is an endpoint of Vertex AI's for each variant, as a request names no deployed
model (apart.py).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, final

import msgspec

from ....endpoints import hosting
from ....endpoints.port import NO_PARAMETERS, EndpointSpec, EndpointState, Reply
from ....errors import Busy, Conflict, Invalid
from ....events.port import Row
from ....target import Target
from ...common import adoption
from .. import operations
from ..names import endpoint_id
from ..session import Session, session_of
from . import adopted_versions as repeating
from . import deployed_models as deployed
from . import lookup as standing
from . import sticky as apart
from .deployed_models import Seen
from .deployment import Deployer, Versions
from .invocations import Invoker
from .labels import TOUCH, is_adopted
from .sticky import Parts

SHARED_BYTES = 1_500_000  # of a request to a shared endpoint
_KIND_REMEDY = (
    "set `endpoint:` of profiles.yaml as it stands, or remove the endpoint (isthmus destroy) and "
    "deploy it anew"
)


@final
class VertexEndpoints:
    def __init__(self, target: Target) -> None:
        self._target = target
        self._session = session_of(target)
        self._shared = _is_shared(self._session)
        rules = hosting.rules_of(target, provider="Vertex AI")
        self._rules = (
            msgspec.structs.replace(rules, max_bytes=SHARED_BYTES) if self._shared else rules
        )
        self._deployer = Deployer(self._session, target.profile, shared=self._shared)
        self._invoker = Invoker(
            self._session, partial(standing.answering, self._session, rules=self._rules)
        )

    def apply(self, spec: EndpointSpec) -> EndpointState:
        """Nearer to the spec; returns what it saw before.

        While an operation runs on the endpoint nothing is asked of it: the next call goes on from
        there. Conflict: a variant that has traffic would change. Invalid, Unsupported: what cannot
        be served here.
        """
        hosting.check_spec(spec, self._rules)
        versions = {
            variant.name: self._target.registry.get(variant.model, variant.version)
            for variant in spec.variants
        }
        seen = self._look(spec.name)
        if seen is None:
            adoption.guard_absent(spec.name, self._session.adopted, "Vertex AI")
            self._create(spec)
            self._bring(spec, self._must(spec.name), {}, versions)
            return EndpointState(
                name=spec.name, phase="creating", revision="", token="", variants=()
            )
        if differs := _of_other_kind(seen.endpoint, shared=self._shared):
            raise Invalid(f"{spec.name}: {differs}", remedy=_KIND_REMEDY)
        parts = self._parts(spec.name, seen)
        saw = _state(spec.name, seen, parts)
        repeating.guard(spec, seen.endpoint)
        hosting.guard_traffic(
            spec, deployed.running(seen.endpoint), deployed.traffic(saw), routing=saw.routing
        )
        self._bring(spec, seen, parts, versions)
        return saw

    def shift(self, endpoint: str, split: Mapping[str, Decimal], *, expect: str) -> None:
        """Fenced: what a look shows is compared with `expect`, and the look's etag goes into the
        call.

        An etag also becomes stale by what changes neither split nor models (a monitoring job): then
        it is looked at once more.
        """
        seen, shares = self._checked_shift(endpoint, split, expect=expect)
        try:
            self._write_split(endpoint, seen, shares)
        except Conflict:
            seen, shares = self._checked_shift(endpoint, split, expect=expect)
            self._write_split(endpoint, seen, shares)

    def _checked_shift(
        self, endpoint: str, split: Mapping[str, Decimal], *, expect: str
    ) -> tuple[Seen, dict[str, int]]:
        """Return a look that shows what `expect` was of, and the split by DeployedModel's id.

        Raises: as `shift`.
        """
        seen = self._must(endpoint)
        if _is_sticky(seen):
            raise hosting.sticky(endpoint)
        saw = deployed.state(endpoint, seen)
        wanted = hosting.checked_split(
            endpoint, split, [variant.name for variant in saw.variants], self._rules
        )
        hosting.check_token(endpoint, saw.token, expect=expect)
        absent = [
            variant.name
            for variant in saw.variants
            if variant.phase != "ready" and wanted[variant.name] > 0
        ]
        if seen.running or absent:
            what = f"{', '.join(absent)} is not deployed" if absent else "an operation runs on it"
            raise Busy(
                f"{endpoint}: {what} at Vertex AI", remedy="try again when the change has ended"
            )
        return seen, deployed.split_of(seen.endpoint, wanted)

    def _write_split(self, endpoint: str, seen: Seen, shares: Mapping[str, int]) -> None:
        """Write the split, and a label that makes older tokens stale.

        Conflict: the endpoint was changed since it was seen.
        """
        labels = {**seen.endpoint.labels, TOUCH: secrets.token_hex(4)}
        done = self._deployer.update(seen.endpoint, traffic_split=shares, labels=labels)
        if {key: percent for key, percent in done.traffic_split.items() if percent} != shares:
            raise Conflict(
                f"{endpoint} was changed by somebody else at the same time",
                remedy="look at it again, and decide again",
            )

    def observe(self, endpoint: str) -> EndpointState | None:
        """From the endpoint and the operations on it; of a sticky one each variant is an endpoint.

        None: there is no such endpoint.
        """
        seen = self._look(endpoint)
        return None if seen is None else _state(endpoint, seen, self._parts(endpoint, seen))

    def invoke(
        self,
        endpoint: str,
        instances: Sequence[Row],
        *,
        variant: str | None,
        request_id: str,
        parameters: Mapping[str, object] = NO_PARAMETERS,
    ) -> Reply:
        """One prediction, never repeated.

        Unsupported: a request for one variant of a weighted endpoint.

        NotFound, ModelError, Busy, Unavailable, OutcomeUnknown; Invalid, before anything is sent: a
        parameter that JSON does not carry.
        """
        body = hosting.request_body(endpoint, instances, self._rules, parameters)
        return self._invoker.invoke(endpoint, variant, body, request_id=request_id)

    def _look(self, endpoint: str, variant: str | None = None) -> Seen | None:
        """The operations first: one that ends between the two calls is seen as running, and what it
        did is there.
        """
        name = standing.path(self._session, endpoint, variant)
        listed = operations.of_resource(self._session, self._session.endpoints, name)
        described = standing.find(self._session, endpoint, variant)
        return None if described is None else Seen(endpoint=described, operations=listed)

    def _must(self, endpoint: str, variant: str | None = None) -> Seen:
        seen = self._look(endpoint, variant)
        if seen is None:
            raise hosting.not_found(endpoint)
        return seen

    def _parts(self, endpoint: str, seen: Seen) -> Parts:
        """Of a weighted endpoint none."""
        return {
            variant: self._look(endpoint, variant)
            for variant in deployed.intention(seen.endpoint).apart
        }

    def _create(self, spec: EndpointSpec, variant: str | None = None) -> None:
        sticky = spec.routing == "sticky" and variant is None
        description = apart.description(spec, {}) if sticky else deployed.description(spec)
        self._deployer.create(
            spec.name, endpoint_id(self._session.name, spec.name, variant), description
        )

    def _bring(self, spec: EndpointSpec, seen: Seen, parts: Parts, versions: Versions) -> None:
        if spec.routing == "sticky":
            self._bring_apart(spec, seen, parts, versions)
        elif not seen.running:
            self._deployer.bring(spec, seen, versions)

    def _bring_apart(
        self, spec: EndpointSpec, seen: Seen, parts: Parts, versions: Versions
    ) -> None:
        """What is wanted is written first, then each variant's endpoint is made, brought to it, or
        taken away.
        """
        if not apart.is_described(spec, seen.endpoint):
            self._deployer.update(seen.endpoint, description=apart.description(spec, parts))
        for variant in spec.variants:
            self._bring_variant(apart.of_variant(spec, variant), parts.get(variant.name), versions)
        for name in parts.keys() - versions.keys():
            part = parts[name]
            if part is not None and not part.running:
                self._deployer.remove(spec, part)

    def _bring_variant(self, spec: EndpointSpec, part: Seen | None, versions: Versions) -> None:
        """`spec`: of this variant alone."""
        (variant,) = spec.variants
        if part is None:
            self._create(spec, variant.name)
            part = self._must(spec.name, variant.name)
        if not part.running:
            self._deployer.bring(spec, part, versions)


def fixed(target: Target, endpoint: str) -> str:
    """In what an endpoint that stands differs from the profile for good; "": in nothing, or it is
    not there.
    """
    session = session_of(target)
    there = standing.find(session, endpoint)
    return "" if there is None else _of_other_kind(there, shared=_is_shared(session))


def _is_sticky(seen: Seen) -> bool:
    return bool(deployed.intention(seen.endpoint).apart)


def _state(endpoint: str, seen: Seen, parts: Parts) -> EndpointState:
    return (
        apart.state(endpoint, seen.endpoint, parts)
        if _is_sticky(seen)
        else deployed.state(endpoint, seen)
    )


def _of_other_kind(there: Any, *, shared: bool) -> str:
    """Empty: it is as the profile says, or was adopted, which stays as it is."""
    if there.dedicated_endpoint_enabled != shared or is_adopted(there.labels):
        return ""
    stands, wanted = ("dedicated", "shared") if shared else ("shared", "dedicated")
    return (
        f"it is a {stands} endpoint and profiles.yaml wants a {wanted} one, which Vertex AI "
        "cannot make of it"
    )


def _is_shared(session: Session) -> bool:
    return bool(session.profile.options.get("endpoint") == "shared")
