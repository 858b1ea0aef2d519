"""The traffic split of a simulated endpoint, drawn from the simulation's seed.

A provider, and the laptop's router, draw at random which variant answers; two simulations on one
seed would differ by that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from random import Random
from time import monotonic
from typing import final

from ...endpoints.port import NO_PARAMETERS, EndpointHost, EndpointSpec, EndpointState, Reply
from ...events.port import Row

_REFRESH = 1.0  # seconds for which the weights are not read again


@final
class SeededSplit:
    """An EndpointHost around a target's: by the seed and a request's id it names the variant.

    The variants' shares are those of the endpoint's traffic.
    """

    def __init__(self, host: EndpointHost, seed: str) -> None:
        self._host, self._seed = host, seed
        self._shares: dict[str, tuple[float, dict[str, float]]] = {}  # with when they were read

    def apply(self, spec: EndpointSpec) -> EndpointState:
        """Take one step towards an endpoint's spec; return the state that was seen before it."""
        return self._host.apply(spec)

    def shift(self, endpoint: str, split: Mapping[str, Decimal], *, expect: str) -> None:
        """Set the endpoint's traffic split, unless it changed since `expect` was read."""
        self._host.shift(endpoint, split, expect=expect)

    def observe(self, endpoint: str) -> EndpointState | None:
        """Return the endpoint's state, or None if there is no such endpoint."""
        return self._host.observe(endpoint)

    def invoke(
        self,
        endpoint: str,
        instances: Sequence[Row],
        *,
        variant: str | None,
        request_id: str,
        parameters: Mapping[str, object] = NO_PARAMETERS,
    ) -> Reply:
        """Send a prediction request to the named variant, or to one that the seed draws."""
        return self._host.invoke(
            endpoint,
            instances,
            variant=variant or self._variant(endpoint, request_id),
            request_id=request_id,
            parameters=parameters,
        )

    def close(self) -> None:
        """Close the target's own host, if it has connections to close."""
        close = getattr(self._host, "close", None)
        if callable(close):
            close()

    def _variant(self, endpoint: str, request_id: str) -> str | None:
        """Draw the variant of a request by the traffic weights; None if the endpoint is gone."""
        shares = self._weights(endpoint)
        if not shares:
            return None
        random = Random(f"{self._seed}:{request_id}")  # noqa: S311  a simulation's
        return random.choices(list(shares), weights=list(shares.values()))[0]

    def _weights(self, endpoint: str) -> dict[str, float]:
        """Return the endpoint's traffic in percent by variant, read once a second at most."""
        now = monotonic()
        read, shares = self._shares.get(endpoint, (-_REFRESH, {}))
        if now - read >= _REFRESH:
            state = self._host.observe(endpoint)
            variants = () if state is None else state.variants
            shares = {v.name: float(v.percent) for v in variants if v.percent > 0}
            self._shares[endpoint] = (now, shares)
        return shares
