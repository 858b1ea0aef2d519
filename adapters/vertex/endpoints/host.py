"""EndpointHost on Vertex AI.

`apply` deploys and undeploys models; `shift` writes the split under a look's etag and nothing else.
A sticky endpoint is an endpoint of Vertex AI for each variant, as a request names no deployed model
(sticky.py).
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
from ..session import VertexSession, session_of
from . import adopted_versions, deployed_models, lookup, sticky
from .deployed_models import ObservedEndpoint
from .deployment import Deployer, VersionsByVariant
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
    """The EndpointHost port over Vertex AI."""

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
            self._session, partial(lookup.answering, self._session, rules=self._rules)
        )

    def apply(self, spec: EndpointSpec) -> EndpointState:
        """Take one step of an endpoint towards its spec; return its state before the step.

        While an operation runs on the endpoint nothing is sent: the next call goes on from there.

        Raises:
            Conflict: A variant that has traffic would change.
            Invalid: The spec cannot be served here.
            Unsupported: The spec needs something that Vertex AI lacks.
        """
        hosting.check_spec(spec, self._rules)
        versions = {
            variant.name: self._target.registry.get(variant.model, variant.version)
            for variant in spec.variants
        }
        look = self._look(spec.name)
        if look is None:
            adoption.guard_absent(spec.name, self._session.adopted, "Vertex AI")
            self._create(spec)
            self._deploy(spec, self._require_endpoint(spec.name), {}, versions)
            return EndpointState(
                name=spec.name, phase="creating", revision="", token="", variants=()
            )
        if differs := _kind_difference(look.endpoint, shared=self._shared):
            raise Invalid(f"{spec.name}: {differs}", remedy=_KIND_REMEDY)
        parts = self._parts(spec.name, look)
        saw = _state(spec.name, look, parts)
        adopted_versions.guard(spec, look.endpoint)
        hosting.guard_traffic(
            spec,
            deployed_models.running(look.endpoint),
            deployed_models.traffic(saw),
            routing=saw.routing,
        )
        self._deploy(spec, look, parts, versions)
        return saw

    def shift(self, endpoint: str, split: Mapping[str, Decimal], *, expect: str) -> None:
        """Set the traffic split, unless the endpoint changed since the token `expect` was read.

        If only its etag changed, as by a monitoring job, the endpoint is read and written again.
        """
        look, shares = self._checked_shift(endpoint, split, expect=expect)
        try:
            self._write_split(endpoint, look, shares)
        except Conflict:
            look, shares = self._checked_shift(endpoint, split, expect=expect)
            self._write_split(endpoint, look, shares)

    def _checked_shift(
        self, endpoint: str, split: Mapping[str, Decimal], *, expect: str
    ) -> tuple[ObservedEndpoint, dict[str, int]]:
        """Check a traffic split; return the endpoint as read, and the split by DeployedModel's id.

        It raises what `shift` raises.
        """
        look = self._require_endpoint(endpoint)
        if _is_sticky(look):
            raise hosting.sticky(endpoint)
        saw = deployed_models.state(endpoint, look)
        requested_split = hosting.checked_split(
            endpoint, split, [variant.name for variant in saw.variants], self._rules
        )
        hosting.check_token(endpoint, saw.token, expect=expect)
        absent = [
            variant.name
            for variant in saw.variants
            if variant.phase != "ready" and requested_split[variant.name] > 0
        ]
        if look.running or absent:
            what = f"{', '.join(absent)} is not deployed" if absent else "an operation runs on it"
            raise Busy(
                f"{endpoint}: {what} at Vertex AI", remedy="try again when the change has ended"
            )
        return look, deployed_models.split_of(look.endpoint, requested_split)

    def _write_split(
        self, endpoint: str, look: ObservedEndpoint, shares: Mapping[str, int]
    ) -> None:
        """Write an endpoint's traffic split, and a label that makes earlier tokens stale.

        `look` is the endpoint as it was read, and `shares` are percents by DeployedModel's id.

        Raises:
            Conflict: The endpoint was changed since it was looked at.
        """
        labels = {**look.endpoint.labels, TOUCH: secrets.token_hex(4)}
        done = self._deployer.update(look.endpoint, traffic_split=shares, labels=labels)
        if {key: percent for key, percent in done.traffic_split.items() if percent} != shares:
            raise Conflict(
                f"{endpoint} was changed by somebody else at the same time",
                remedy="look at it again, and decide again",
            )

    def observe(self, endpoint: str) -> EndpointState | None:
        """Return an endpoint's state, read from Vertex AI with its operations, or None.

        A sticky endpoint has an endpoint at Vertex AI for each variant.
        """
        look = self._look(endpoint)
        return None if look is None else _state(endpoint, look, self._parts(endpoint, look))

    def invoke(
        self,
        endpoint: str,
        instances: Sequence[Row],
        *,
        variant: str | None,
        request_id: str,
        parameters: Mapping[str, object] = NO_PARAMETERS,
    ) -> Reply:
        """Send the instances in one prediction request, which is not repeated; return the reply.

        Raises:
            Unsupported: The request is for one variant of a weighted endpoint.
            Invalid: A parameter that JSON does not carry; nothing was sent.
            NotFound: There is no such endpoint or variant.
            ModelError: The model failed. Busy, Unavailable and OutcomeUnknown as they say.
        """
        body = hosting.request_body(endpoint, instances, self._rules, parameters)
        return self._invoker.invoke(endpoint, variant, body, request_id=request_id)

    def _look(self, endpoint: str, variant: str | None = None) -> ObservedEndpoint | None:
        """Read an endpoint and its long-running operations from Vertex AI, or return None.

        With `variant` it is the endpoint that this variant of a sticky endpoint has for itself.
        Operations are read first: one that ends between the two calls is seen as running, with its
        effect.
        """
        name = lookup.path(self._session, endpoint, variant)
        listed = operations.list_operations(self._session, self._session.endpoints, name)
        described = lookup.find(self._session, endpoint, variant)
        return (
            None if described is None else ObservedEndpoint(endpoint=described, operations=listed)
        )

    def _require_endpoint(self, endpoint: str, variant: str | None = None) -> ObservedEndpoint:
        """Read an endpoint, or a variant's own one, with its operations; raise NotFound."""
        look = self._look(endpoint, variant)
        if look is None:
            raise hosting.not_found(endpoint)
        return look

    def _parts(self, endpoint: str, look: ObservedEndpoint) -> Parts:
        """Read the Vertex AI endpoint of each variant of a sticky endpoint.

        `look` is the main endpoint. Endpoints with weighted routing have no such parts.
        """
        return {
            variant: self._look(endpoint, variant)
            for variant in deployed_models.intention(look.endpoint).apart
        }

    def _create(self, spec: EndpointSpec, variant: str | None = None) -> None:
        """Create an endpoint; with `variant` the one that a sticky endpoint's variant has alone."""
        if spec.routing == "sticky" and variant is None:
            description = sticky.description(spec, {})
        else:
            description = deployed_models.description(spec)
        self._deployer.create(
            spec.name, endpoint_id(self._session.name, spec.name, variant), description
        )

    def _deploy(
        self, spec: EndpointSpec, look: ObservedEndpoint, parts: Parts, versions: VersionsByVariant
    ) -> None:
        """Start the changes that bring an endpoint nearer to a spec, in weighted or sticky routing.

        `look` is the endpoint as read, `parts` its variants' own endpoints, `versions` the
        registered versions.
        """
        if spec.routing == "sticky":
            self._deploy_sticky(spec, look, parts, versions)
        elif not look.running:
            self._deployer.deploy_variants(spec, look, versions)

    def _deploy_sticky(
        self, spec: EndpointSpec, look: ObservedEndpoint, parts: Parts, versions: VersionsByVariant
    ) -> None:
        """Start the changes that bring a sticky endpoint's own endpoints nearer to a spec.

        Each variant has an endpoint of its own. The request is written first, then each variant's
        endpoint is created, changed or removed.
        """
        if not sticky.is_described(spec, look.endpoint):
            self._deployer.update(look.endpoint, description=sticky.description(spec, parts))
        for variant in spec.variants:
            self._deploy_variant(
                sticky.of_variant(spec, variant), parts.get(variant.name), versions
            )
        for name in parts.keys() - versions.keys():
            part = parts[name]
            if part is not None and not part.running:
                self._deployer.remove(spec, part)

    def _deploy_variant(
        self, spec: EndpointSpec, part: ObservedEndpoint | None, versions: VersionsByVariant
    ) -> None:
        """Create or change the Vertex AI endpoint that a sticky endpoint's variant has alone.

        `part` is that endpoint as read, None if there is none; `spec` has that variant alone.
        """
        (variant,) = spec.variants
        if part is None:
            self._create(spec, variant.name)
            part = self._require_endpoint(spec.name, variant.name)
        if not part.running:
            self._deployer.deploy_variants(spec, part, versions)


def fixed(target: Target, endpoint: str) -> str:
    """Return how a running endpoint differs from the profile in settings that are fixed for good.

    It is text for a message, "" if nothing differs or the endpoint does not exist.
    """
    session = session_of(target)
    standing = lookup.find(session, endpoint)
    return "" if standing is None else _kind_difference(standing, shared=_is_shared(session))


def _is_sticky(look: ObservedEndpoint) -> bool:
    """Return whether an endpoint has sticky routing, as its stored description says."""
    return bool(deployed_models.intention(look.endpoint).apart)


def _state(endpoint: str, look: ObservedEndpoint, parts: Parts) -> EndpointState:
    """Convert what was read of an endpoint to its state.

    `look` is the endpoint; with sticky routing `parts` are the endpoints of its variants.
    """
    return (
        sticky.state(endpoint, look.endpoint, parts)
        if _is_sticky(look)
        else deployed_models.state(endpoint, look)
    )


def _kind_difference(standing: Any, *, shared: bool) -> str:
    """Return a text on how an endpoint's kind, shared or dedicated, differs from the profile's.

    It is "" if it does not differ, or if the endpoint was adopted.

    `standing` is the endpoint as it runs, `shared` what the profile asks for.
    """
    if standing.dedicated_endpoint_enabled != shared or is_adopted(standing.labels):
        return ""
    stands, requested = ("dedicated", "shared") if shared else ("shared", "dedicated")
    return (
        f"it is a {stands} endpoint and profiles.yaml wants a {requested} one, which Vertex AI "
        "cannot make of it"
    )


def _is_shared(session: VertexSession) -> bool:
    """Return whether the profile asks for shared endpoints instead of dedicated ones."""
    return bool(session.profile.options.get("endpoint") == "shared")
