"""The gateway's own event streams: what they are called, and which of them a project fills."""

from __future__ import annotations

from typing import Literal, get_args

from .description import Endpoint, Event, ProjectSpec
from .exposures import served_objectives
from .reach import has_exposure

Stream = Literal["exposures", "rankings", "assignments", "shadows"]


def streams_of(spec: ProjectSpec, endpoint: Endpoint) -> tuple[Stream, ...]:
    """Return the names of the event streams that an endpoint's gateways log to."""
    if not endpoint.objective:
        return ()
    shadows: tuple[Stream, ...] = ("shadows",) if endpoint.shadow else ()
    if _assigns(spec, endpoint):
        return ("exposures", "rankings", "assignments", *shadows)
    return (
        ("exposures", "rankings", *shadows)
        if endpoint.explore or watched(spec, endpoint)
        else ("exposures", *shadows)
    )


def logged(spec: ProjectSpec) -> tuple[Stream, ...]:
    """Return the names of the event streams that any endpoint's gateways log to."""
    filled = {
        stream for endpoint in spec.endpoints.values() for stream in streams_of(spec, endpoint)
    }
    return tuple(stream for stream in get_args(Stream) if stream in filled)


def created_by_apply(spec: ProjectSpec) -> bool:
    """Return whether the gateway streams' tables are created by `apply`, before a `deploy`.

    It is so if units are assigned to arms, which products that rank elsewhere may ask for without a
    deployed endpoint, or if a view or an objective reads exposures.
    """
    return bool(exposed_events(spec) or served_objectives(spec)) or any(
        _assigns(spec, endpoint) for endpoint in spec.endpoints.values()
    )


def _assigns(spec: ProjectSpec, endpoint: Endpoint) -> bool:
    """Return whether an endpoint's units are assigned to arms, by an experiment or a holdout.

    An endpoint's own layer always exists, and may be empty.
    """
    tried = {experiment.layer for experiment in spec.experiments.values()}
    return any(
        layer.endpoint == endpoint.name and (layer.holdout or layer.name in tried)
        for layer in spec.layers.values()
    )


def watched(spec: ProjectSpec, endpoint: Endpoint) -> tuple[str, ...]:
    """Return the request attributes by which bias monitors of an endpoint group units."""
    return tuple(
        sorted(
            {
                monitor.units
                for monitor in spec.monitors.values()
                if monitor.endpoint == endpoint.name and monitor.units
            }
        )
    )


def exposed_events(spec: ProjectSpec) -> tuple[Event, ...]:
    """Return the events joined to their gateway exposures in a view `<event>_exposed`."""
    return tuple(event for event in spec.events.values() if spec.endpoints and has_exposure(event))
