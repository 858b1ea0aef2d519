"""Judge whether the cloud has arrived where we want it. Pure: an adapter observes, these decide."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from ..port import EndpointSpec, EndpointState
from ..revision import revision_of


def variants_ready(spec: EndpointSpec, state: EndpointState | None) -> bool:
    """Return whether exactly the declared variants run and are ready, whatever their traffic."""
    if state is None or state.phase != "ready" or state.revision != revision_of(spec):
        return False  # a silent rollback ends ready with an old revision
    running = {v.name: (v.model, v.version) for v in state.variants if v.phase == "ready"}
    return len(running) == len(state.variants) and running == {
        v.name: (v.model, v.version) for v in spec.variants
    }


def has_converged(
    spec: EndpointSpec,
    split: Mapping[str, Decimal],
    state: EndpointState | None,
    *,
    resolution: Decimal = Decimal("0.01"),
) -> bool:
    """Return whether an endpoint's variants and traffic are as its spec and split declare.

    Its phase is ready, its revision the spec's, every variant ready, and percent == target_percent
    == split in steps of `resolution`.
    """
    if state is None or not variants_ready(spec, state):
        return False
    intended = {name: _steps(percent, resolution) for name, percent in split.items()}
    now = {v.name: _steps(v.percent, resolution) for v in state.variants}
    target = {v.name: _steps(v.target_percent, resolution) for v in state.variants}
    return now == target == intended


def _steps(percent: Decimal, resolution: Decimal) -> int:
    """Return a percentage as a whole number of the smallest steps that a target can set."""
    return int((percent / resolution).to_integral_value())
