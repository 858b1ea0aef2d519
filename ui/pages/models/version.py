"""One version: what it was made of, from events to who serves it, and its promotions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from graphlib import TopologicalSorter

import msgspec

from ....core.runtime.project import Project
from ....pipelines.models.lineage import LineageEdge, Node
from ....pipelines.training.version_lineage import VersionLineage, parsed, version_lineage
from ....reports import flow
from ....reports import page as kit
from ....reports.plots import Style
from ...parts.links import run_link
from ...parts.reads import ReadFailure, Reads
from ...parts.view import PageContent
from .models import promotion_table, variants_by_version


class VersionData(msgspec.Struct, frozen=True, kw_only=True):
    lineage: VersionLineage
    served: list[str]  # `endpoint variant`
    unread: tuple[ReadFailure, ...]


_STYLES: dict[str, Style] = {
    "event": "c",
    "table": "quiet",
    "objective": "e",
    "view": "a",
    "model": "b",
    "endpoint": "d",
}


def page(project: Project, query: Mapping[str, str]) -> PageContent:
    """Draw the page of one model version: its run, its lineage, where it serves, promotions.

    Raises:
        NotFound: There is no such version.
    """
    model, number = parsed(query["version"])
    name, reads = f"{model}@{number}", Reads()
    lineage = version_lineage(project, model, number)
    serving = variants_by_version(project, reads).get(name, [])
    aliases = ", ".join(sorted(lineage.version.aliases)) or "no alias"
    return PageContent(
        title=name,
        below=f"On {project.target.name}: {aliases}, {lineage.version.approval}.",
        parts=(
            *reads.box(),
            *_about(lineage, serving),
            *_made_of(name, lineage.made_of, serving),
            *_promotions(lineage),
        ),
        data=VersionData(lineage=lineage, served=serving, unread=tuple(reads.unread)),
    )


def _about(lineage: VersionLineage, serving: Sequence[str]) -> list[str]:
    """Return an HTML table about a model version: run, endpoints, digest, where it is stored.

    `serving` are the variants that serve it.
    """
    version = lineage.version
    run = run_link(lineage.run) if lineage.run else "none that is known here"
    rows = [
        ("trained by run", run),
        ("serves in", ", ".join(serving) or "no endpoint"),
        ("digest", version.digest),
        ("stored at", version.uri),
        *([("image", version.image)] if version.image else []),
    ]
    return [kit.table(("", ""), rows, wordy=1)]


def _made_of(name: str, edges: Sequence[LineageEdge], serving: Sequence[str]) -> list[str]:
    """Return the lineage of a model version as an SVG graph, from events to endpoints.

    `serving` are the variants that serve it.
    """
    ends = [
        LineageEdge(
            Node("model", name), Node("endpoint", place.partition(" ")[0]), place.partition(" ")[2]
        )
        for place in serving
    ]
    every = (*edges, *ends)
    if not edges:
        return []
    behind = kit.table(
        ("this", "is made of", "of which"),
        [(str(edge.target), str(edge.source), edge.what) for edge in every],
        wordy=2,
    )
    links = [
        flow.Link(source=str(edge.source), target=str(edge.target), title=_edge_text(edge))
        for edge in every
    ]
    drawn = flow.flow("From events to who serves it", _boxes(every), links, behind=behind)
    words = kit.words(
        "Objective and features are the run's; what lies before them is as project.yaml says "
        "it now.",
        "soft",
    )
    return [kit.section("Made of", drawn, words)]


def _edge_text(edge: LineageEdge) -> str:
    """Return an edge of the lineage as text: `source -> target: what`."""
    return f"{edge.source} -> {edge.target}" + (f": {edge.what}" if edge.what else "")


def _boxes(edges: Sequence[LineageEdge]) -> list[list[flow.Box]]:
    """Return the lineage's nodes as columns of boxes, sources on the left."""
    targets: dict[Node, list[Node]] = {}
    for edge in edges:
        targets.setdefault(edge.source, []).append(edge.target)
        targets.setdefault(edge.target, [])
    distance: dict[Node, int] = {}  # in columns, from the last
    for node in TopologicalSorter(targets).static_order():
        distance[node] = max((distance[target] + 1 for target in targets[node]), default=0)
    columns = [
        [node for node in sorted(distance) if distance[node] == number]
        for number in reversed(range(max(distance.values()) + 1))
    ]
    return [
        [flow.Box(name=str(node), style=_STYLES[node.kind], title=str(node)) for node in column]
        for column in columns
    ]


def _promotions(lineage: VersionLineage) -> list[str]:
    """Return the HTML section on the promotions of this model version."""
    return (
        [kit.section("Promotions", promotion_table(lineage.promotions))]
        if lineage.promotions
        else []
    )
