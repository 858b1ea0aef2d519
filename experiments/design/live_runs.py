"""The runs of the live document, which gateways read. Pure."""

from __future__ import annotations

from msgspec.structs import replace

from ...endpoints.gateway.decide.live_document import (
    BucketRanges,
    LiveExperiments,
    LiveLayer,
    LiveRun,
)
from ...errors import Refused
from ...project.specs.experiments import Layer
from . import buckets
from .runs import FrozenRun


def with_replaced_run(live: LiveExperiments, run: LiveRun) -> LiveExperiments:
    """Return the document of all live runs, with the run of this name replaced by `run`."""
    return replace(live, runs=tuple(run if other.run == run.run else other for other in live.runs))


def without_run(live: LiveExperiments, run: str) -> LiveExperiments:
    """Return the document of all live runs without the run of this name.

    Its layer is removed, too, if no other run is in it.
    """
    rest = tuple(other for other in live.runs if other.run != run)
    used = {other.layer for other in rest}
    return replace(
        live, runs=rest, layers={name: layer for name, layer in live.layers.items() if name in used}
    )


def live_run(run: FrozenRun, ranges: BucketRanges) -> LiveRun:
    """Convert a frozen run to the form in which gateways read it to assign units."""
    experiment = run.definition.experiment
    return LiveRun(
        run=run.run,
        experiment=experiment.name,
        layer=experiment.layer,
        ranges=ranges,
        arms=run.arms,
        interleave=experiment.interleave,
        holdout=buckets.count(experiment.holdout),
        targeting=experiment.targeting,
        salt=run.salt,
        segments=experiment.segments,
        started=run.at,
    )


def layers_with(live: LiveExperiments, layer: Layer) -> dict[str, LiveLayer]:
    """Return the layers of the live runs, with a further layer added.

    Raises:
        Refused: The layer runs with another salt or holdout, which would assign its units anew.
    """
    used = {run.layer for run in live.runs}
    layers = {name: live_layer for name, live_layer in live.layers.items() if name in used}
    new = LiveLayer(
        endpoint=layer.endpoint, salt=layer.salted, holdout=buckets.count(layer.holdout)
    )
    if layers.get(layer.name, new) != new:
        names = ", ".join(run.run for run in live.runs if run.layer == layer.name)
        raise Refused(
            f"layers.{layer.name} has another endpoint, salt or holdout than when {names} "
            "started: units would move between its runs",
            remedy=f"put it back, or stop {names} first",
        )
    return {**layers, layer.name: new}


def ranges_for(
    live: LiveExperiments, layer: str, count: int, *, run: LiveRun | None = None
) -> BucketRanges:
    """Return the hash buckets of a layer for a run that is to have `count` of them.

    Args:
        live: The document of all live runs, from which the taken buckets follow.
        layer: The layer's name.
        count: How many buckets.
        run: The run; None: a new one.

    Raises:
        Refused: The layer has too few that are free.
    """
    others = {
        other.run: other.ranges
        for other in live.runs
        if other.layer == layer and (run is None or other.run != run.run)
    }
    try:
        return buckets.resized(run.ranges if run else (), others.values(), count)
    except ValueError:
        holders = ", ".join(
            f"{name} holds {_percent_text(buckets.size(ranges))}"
            for name, ranges in sorted(others.items())
            if ranges
        )
        free = f"{buckets.percent(buckets.free(others.values())):.2f} %"
        raise Refused(
            f"layer {layer} has {free} of its units free; {_percent_text(count)} are asked for"
            f"     {holders}",
            remedy="a smaller share, or stop or ramp down another run; a run of another layer is "
            "independent of these",
        ) from None


def _percent_text(count: int) -> str:
    """Format a number of hash buckets as a percentage."""
    return f"{buckets.percent(count).normalize():f} %"
