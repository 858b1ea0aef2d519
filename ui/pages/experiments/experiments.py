"""The experiments of a project: how each stands, and who has which part of each layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote

import msgspec

from ....core.runtime.project import Project
from ....endpoints.gateway.decide.live_document import LiveExperiments, LiveRun
from ....experiments.design import buckets, runs
from ....experiments.running.status import Listed, listing
from ....project.specs.description import BUCKETS
from ....reports import page as kit
from ....reports import plots
from ...parts.view import PageContent


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """A run that has a part of its layer."""

    run: str
    buckets: list[tuple[int, int]]  # both ends included
    share: float  # percent


class LayerNow(msgspec.Struct, frozen=True, kw_only=True):
    layer: str
    endpoint: str
    holdout: float  # percent of its units that are in no experiment
    free: float  # percent
    holders: list[Holder]


class Experiments(msgspec.Struct, frozen=True, kw_only=True):
    experiments: tuple[Listed, ...]
    layers: list[LayerNow]


def page(project: Project, _query: Mapping[str, str]) -> PageContent:
    """Draw the page that lists all experiments, and which runs hold which part of each layer."""
    lines = listing(project, counted=False)
    layers = layers_now(project)
    return PageContent(
        title="Experiments",
        below="Units and verdicts are those of the newest look at each run: this page asks the log "
        "nothing.",
        parts=(_table(project, lines), *_layer_section(layers)),
        data=Experiments(experiments=lines, layers=layers),
    )


def path(name: str) -> str:
    """Return the URL path of the page of an experiment, or of one of its runs."""
    return f"/experiments/{quote(name, safe='')}"


def _table(project: Project, lines: Iterable[Listed]) -> str:
    """Return an HTML table of the experiments, each with the verdict of its newest results."""
    rows = [_row(project, line) for line in lines]
    if not rows:
        return kit.words("project.yaml has no experiments yet.")
    return kit.table(
        ["run", "verdict", "state", "metric", "units", "share", "since", "layer", "owner"],
        rows,
        wordy=1,
    )


def _row(project: Project, line: Listed) -> list[str]:
    """Return an experiment's cells in the table: verdict, state, metric, units, share, owner."""
    age = (
        ""
        if line.since is None
        else f"{line.since:%Y-%m-%d} ({(project.log_time() - line.since).days} days)"
    )
    return [
        kit.link(line.run, path(line.run)),
        line.verdict or ("nobody has looked" if line.state == "running" else ""),
        line.state,
        line.metric,
        "" if line.units is None else f"{line.units:,}",
        "" if line.share is None else f"{line.share.normalize():f} %",
        age,
        line.layer,
        line.owner,
    ]


def layers_now(project: Project) -> list[LayerNow]:
    """Return for each layer the runs that hold its buckets now, and its free share."""
    live = runs.current(project.target.state).live
    declared = {name: layer.endpoint for name, layer in project.spec.layers.items()}
    endpoints = declared | {name: layer.endpoint for name, layer in live.layers.items()}
    return [_layer(project, live, name, endpoint) for name, endpoint in endpoints.items()]


def _layer(project: Project, live: LiveExperiments, name: str, endpoint: str) -> LayerNow:
    """Return which runs hold which buckets of a layer, its holdout, and its free share."""
    members = [run for run in live.runs if run.layer == name and run.ranges]
    declared = project.spec.layers.get(name)
    holdout = (
        buckets.percent(live.layers[name].holdout)
        if name in live.layers
        else declared.holdout
        if declared
        else 0
    )
    return LayerNow(
        layer=name,
        endpoint=endpoint,
        holdout=float(holdout),
        free=float(buckets.percent(buckets.free(run.ranges for run in members))),
        holders=[_holder(run) for run in members],
    )


def _holder(run: LiveRun) -> Holder:
    """Return the buckets of a layer that a run holds, and their share in percent."""
    return Holder(run=run.run, buckets=list(run.ranges), share=float(buckets.share(run.ranges)))


def _layer_section(layers: Sequence[LayerNow]) -> list[str]:
    """Return the HTML section with a table and a bar of which runs hold each layer's buckets."""
    if not layers:
        return []
    rows = [
        [
            layer.layer,
            layer.endpoint,
            f"{layer.free:g} %",
            f"{layer.holdout:g} %",
            _holders_text(layer),
        ]
        for layer in layers
    ]
    table = kit.table(["layer", "endpoint", "free", "in no experiment", "held by"], rows, wordy=4)
    ruler = plots.axis("bucket", 0, BUCKETS, digits=0)
    strips = plots.strips(
        "Who has which of a layer's 10,000 buckets",
        ruler,
        [_strip(layer) for layer in layers],
        behind=table,
        wide=True,
    )
    below = (
        "Runs of one layer never share a unit; what is free can be had by a start, or by a "
        "larger share."
    )
    return [kit.section("Layers", strips, kit.words(below, "soft"))]


def _holders_text(layer: LayerNow) -> str:
    """Return the runs that hold a layer's buckets, with shares and bucket ranges, as text."""
    return (
        "; ".join(
            f"{holder.run} {holder.share:g} %: {buckets.text(tuple(holder.buckets))}"
            for holder in layer.holders
        )
        or "nobody"
    )


def _strip(layer: LayerNow) -> plots.Strip:
    """Return the bar of a layer's hash buckets for a chart, coloured by the run that holds them."""
    styles = dict(
        zip(
            (holder.run for holder in layer.holders),
            plots.STYLES * len(layer.holders),
            strict=False,
        )
    )
    ranges = [(low, high, holder.run) for holder in layer.holders for low, high in holder.buckets]
    return plots.Strip(
        name=layer.layer,
        stretches=[_stretch(low, high, run, styles[run]) for low, high, run in sorted(ranges)],
    )


def _stretch(low: int, high: int, run: str, style: plots.Style) -> plots.Stretch:
    """Return the buckets from `low` to `high`, which a run holds, as a segment of a layer's bar."""
    return plots.Stretch(
        name=run, style=style, low=low, high=high + 1, title=f"{run}: buckets {low} to {high}"
    )
