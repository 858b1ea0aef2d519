"""Endpoints with the split of their traffic, whoever makes it.

A host splits, or under `routing: sticky` the gateways do, by the document `split/<endpoint>`.
Either way the split is read by `observe` and moved by `shift`, so that deploy, traffic, rollouts
and experiments know one endpoint host.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import final

import msgspec

from ...core.formats import decode
from ...errors import Busy, Unsupported
from ...events.port import Row
from ...storage import StateStore
from ...target import Target
from .. import hosting
from ..gateway.decide import sticky_split as sticky
from ..gateway.decide.sticky_split import Split
from ..port import (
    NO_PARAMETERS,
    EndpointHost,
    EndpointSpec,
    EndpointState,
    Reply,
    VariantSpec,
    VariantState,
)
from ..split import check


class _Stored(msgspec.Struct, frozen=True):
    split: Split
    token: str


def routed_endpoints(target: Target) -> EndpointHost:
    """Return the target's endpoint host, which also handles the splits of sticky endpoints."""
    return RoutedEndpoints(target.endpoints, target.state, target.clock)


def resolution(target: Target, routing: str) -> Decimal:
    """Return the smallest step in which an endpoint's traffic can be split, in percent."""
    return sticky.STEP if routing == "sticky" else hosting.resolution(target)


def is_fenced(target: Target, routing: str) -> bool:
    """Return whether setting a split invalidates all tokens that were read before it.

    | A token is what a change of the split must name.

    With sticky `routing` it always does: the split is a document written by compare-and-swap.
    """
    return routing == "sticky" or target.capabilities["traffic.touch"].level == "native"


@final
class RoutedEndpoints:
    """An EndpointHost around a target's.

    Of a sticky endpoint a token is the host's and the document's, and what is written serves after
    15 s (sticky_split.KEPT).
    """

    def __init__(
        self, host: EndpointHost, state: StateStore, clock: Callable[[], datetime]
    ) -> None:
        self._host, self._state, self._clock = host, state, clock

    def apply(self, spec: EndpointSpec) -> EndpointState:
        """Take one step towards an endpoint's spec; return the state that was seen before it.

        Raises Conflict if the spec changes model or version of a variant with traffic, also on a
        sticky endpoint, whose traffic the host does not know.
        """
        if spec.routing == "sticky" and (saw := self.observe(spec.name)) is not None:
            _guard(spec, saw)
        return self._with_split(self._host.apply(spec))

    def shift(self, endpoint: str, split: Mapping[str, Decimal], *, expect: str) -> None:
        """Set the traffic split, at the host or in the stored document of a sticky endpoint."""
        try:
            self._host.shift(endpoint, split, expect=expect)
        except Unsupported as refusal:
            if refusal.capability != hosting.STICKY:
                raise
            self._write(endpoint, split, expect)

    def observe(self, endpoint: str) -> EndpointState | None:
        """Return the endpoint's state; a sticky one has the traffic shares of its stored split."""
        state = self._host.observe(endpoint)
        return None if state is None else self._with_split(state)

    def invoke(
        self,
        endpoint: str,
        instances: Sequence[Row],
        *,
        variant: str | None,
        request_id: str,
        parameters: Mapping[str, object] = NO_PARAMETERS,
    ) -> Reply:
        """Send a prediction request to the host; a sticky endpoint's caller names the variant."""
        return self._host.invoke(
            endpoint, instances, variant=variant, request_id=request_id, parameters=parameters
        )

    def _with_split(self, state: EndpointState) -> EndpointState:
        """Return an endpoint's state; a sticky one has the percents of its stored split."""
        return (
            state
            if state.routing == "weighted"
            else self._with_document(state, self._read(state.name))
        )

    def _read(self, endpoint: str) -> _Stored | None:
        """Return the stored split of a sticky endpoint with its token, or None if there is none."""
        key = sticky.key(endpoint)
        document = self._state.get(key)
        if document is None:
            return None
        return _Stored(
            sticky.sound(decode(document.value, Split, what=f"state {key}"), f"state {key}"),
            document.token,
        )

    def _with_document(self, state: EndpointState, stored: _Stored | None) -> EndpointState:
        """Return an endpoint's state with the traffic shares of the stored split.

        Without one the first variant has everything, as the host says.
        """
        if stored is None:
            return msgspec.structs.replace(state, token=_token(state, None))
        now, target = (
            sticky.served_shares(stored.split, self._clock()),
            sticky.shares(stored.split.ranges),
        )
        variants = tuple(_with_shares(variant, now, target) for variant in state.variants)
        return msgspec.structs.replace(state, token=_token(state, stored), variants=variants)

    def _write(self, endpoint: str, split: Mapping[str, Decimal], expect: str) -> None:
        """Write the split of a sticky endpoint, unless it changed since `expect` was read."""
        host = self._host.observe(endpoint)
        if host is None:
            raise hosting.not_found(endpoint)
        stored = self._read(endpoint)
        state = self._with_document(host, stored)
        checked = check(
            split,
            variants=[v.name for v in state.variants],
            resolution=sticky.STEP,
            where=f"endpoint {endpoint}",
        )
        hosting.check_token(endpoint, state.token, expect=expect)
        _check_ready(state, checked)
        ranges = (
            stored.split.ranges
            if stored
            else sticky.whole(max(state.variants, key=lambda v: v.target_percent).name)
        )
        document = Split(
            version=stored.split.version + 1 if stored else 1,
            written=self._clock(),
            ranges=sticky.moved_ranges(ranges, checked),
            before={variant.name: variant.percent for variant in state.variants},
        )
        self._state.put(
            sticky.key(endpoint),
            msgspec.json.encode(document),
            expect=stored.token if stored else None,
        )


def _token(state: EndpointState, stored: _Stored | None) -> str:
    """Return the token for an endpoint's state and its stored split together.

    It changes when either does; a change of the split must name it.
    """
    return f"{state.token}/{stored.token if stored else ''}"


def _with_shares(
    variant: VariantState, now: Mapping[str, Decimal], target: Mapping[str, Decimal]
) -> VariantState:
    """Return a variant with its percents of the traffic now and as intended.

    `now` and `target` are percents by variant.
    """
    nothing = Decimal(0)
    return msgspec.structs.replace(
        variant,
        percent=now.get(variant.name, nothing),
        target_percent=target.get(variant.name, nothing),
    )


def _check_ready(state: EndpointState, split: Mapping[str, Decimal]) -> None:
    """Raise Busy if a split gives more traffic to a variant that is not ready."""
    waiting = [
        v.name
        for v in state.variants
        if split.get(v.name, Decimal(0)) > v.target_percent and v.phase != "ready"
    ]
    if waiting:
        raise Busy(
            f"{state.name}: {', '.join(waiting)} is not ready, so it gets no traffic",
            remedy=f"isthmus endpoints logs {state.name} --variant {waiting[0]}",
        )


def _guard(spec: EndpointSpec, state: EndpointState) -> None:
    """Raise Conflict if a spec changes the model or version of a variant that has traffic.

    Its machine and its attempt may change under traffic, as `state` does not have them.
    """
    declared = {variant.name: variant for variant in spec.variants}
    running = {
        v.name: msgspec.structs.replace(
            declared.get(v.name, VariantSpec(name=v.name, model="", version=0)),
            model=v.model,
            version=v.version,
        )
        for v in state.variants
    }
    hosting.guard_variants(
        spec, running, {v.name: max(v.percent, v.target_percent) for v in state.variants}
    )
