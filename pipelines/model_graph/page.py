"""Draw the graph of one model as HTML: a picture, and the same as a list to read and to follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape

from ...reports import flow, page
from ...reports.columns import plural
from ...reports.plots import Style
from ..models.lineage import LineageEdge, Node
from .graph import GraphNode, ModelGraph

_STYLES: dict[str, Style] = {
    "event": "c",
    "table": "quiet",
    "objective": "e",
    "view": "a",
    "feature": "f",
    "transform": "d",
    "model": "b",
    "version": "b",
    "endpoint": "d",
}
# kinds that share a column of the picture have one head
_HEADS = {
    "event": "events and tables",
    "table": "events and tables",
    "objective": "objectives",
    "view": "views",
    "feature": "features",
    "transform": "transforms",
    "model": "model",
    "version": "versions",
    "endpoint": "endpoints",
}
_STAGES = tuple(dict.fromkeys(_HEADS.values()))


def html(graphs: Sequence[ModelGraph], *, project: str, when: datetime, target: str) -> str:
    """Return the whole page of one model's graph, or of several below each other."""
    title = f"Model {graphs[0].model}" if len(graphs) == 1 else f"Models of {project}"
    body = [page.heading(title, f"From events to endpoints, project {project}.")]
    for number, graph in enumerate(graphs):
        drawn = parts(graph, key=f"m{number}")
        body.append(page.section("Made of" if len(graphs) == 1 else f"Model {graph.model}", *drawn))
    if not graphs:
        body.append(page.words("This project has no model yet: write a file into models/."))
    return page.page(title, body, page.footer(when, target))


def parts(graph: ModelGraph, *, key: str = "graph") -> list[str]:
    """Return the graph of a model as HTML parts: a picture, and a list of what it shows.

    `key` is the beginning of the ids on the page: letters, digits, underscores.
    """
    columns = _columns(graph)
    ids = {
        node: f"{key}_{number}"
        for number, node in enumerate(node for column in columns for node in column)
    }
    entries = {entry.node: entry for entry in graph.nodes}
    boxes = [[_box(entries[node], ids[node]) for node in column] for column in columns]
    links = [
        flow.Link(source=str(edge.source), target=str(edge.target), title=_edge_text(edge))
        for edge in graph.edges
    ]
    behind = page.table(
        ("this", "is made of", "by"),
        [(str(edge.target), str(edge.source), edge.what) for edge in graph.edges],
        wordy=2,
    )
    picture = flow.flow(
        f"From events to endpoints: {graph.model}",
        boxes,
        links,
        behind=behind,
        heads=[_HEADS[column[0].kind] for column in columns],
        about=_about(graph),
        key=key,
    )
    figures = f"Figures are those of run {graph.run}. " if graph.run else ""
    words = page.words(
        f"{figures}A box leads to its entry in the list below; there, each name leads on.", "soft"
    )
    notes = [page.words(f"{note[:1].upper()}{note[1:]}.", "soft") for note in graph.notes]
    listed = []
    for stage, nodes in _by_stage(columns, entries).items():
        items = "".join(_item(entries[node], ids, graph.edges) for node in nodes)
        listed.append(f'<h3>{escape(stage.capitalize())}</h3><ul class="nodes">{items}</ul>')
    return [words, *notes, f'<div class="broad">{picture}</div>', *listed]


def _about(graph: ModelGraph) -> str:
    """Return the picture's text for screen readers: how many nodes of each kind it shows."""
    kinds = [entry.node.kind for entry in graph.nodes]
    counted = [plural(kinds.count(kind), kind) for kind in _HEADS if kind in kinds]
    return f"{', '.join(counted)}. Each box is a link to its entry in the list below."


def _box(entry: GraphNode, anchor: str) -> flow.Box:
    """Return a node as a box of the picture, linked to its entry in the list below.

    `anchor` is the id of that entry.
    """
    node = entry.node
    label = node.name.rpartition(".")[2] if node.kind == "feature" else node.name
    return flow.Box(
        name=str(node),
        style=_STYLES[node.kind],
        title=f"{node}: {entry.about}" if entry.about else str(node),
        label=label,
        detail=entry.detail or ("" if node.kind not in ("event", "table") else node.kind),
        bar=entry.share,
        id=f"{anchor}_box",
        to=f"#{anchor}",
    )


def _edge_text(edge: LineageEdge) -> str:
    """Return an edge of the graph as text: `source -> target: what`."""
    return f"{edge.source} -> {edge.target}" + (f": {edge.what}" if edge.what else "")


def _item(entry: GraphNode, ids: Mapping[Node, str], edges: Sequence[LineageEdge]) -> str:
    """Return a node's entry in the list: its figures, what it is made of, what is made of it.

    `ids` are the anchors of all nodes' entries.
    """
    node = entry.node
    sources = [edge.source for edge in edges if edge.target == node]
    targets = [edge.target for edge in edges if edge.source == node]
    about = f' <span class="soft">{escape(entry.about)}</span>' if entry.about else ""
    around = [
        *([f"made of {_links(sources, ids)}"] if sources else []),
        *([f"goes into {_links(targets, ids)}"] if targets else []),
    ]
    return (
        f'<li id="{ids[node]}" tabindex="-1"><a href="#{ids[node]}_box">'
        f"<strong>{escape(node.name)}</strong></a>{about}<div>{'; '.join(around)}</div></li>"
    )


def _links(nodes: Sequence[Node], ids: Mapping[Node, str]) -> str:
    """Return links to the entries of nodes, as HTML."""
    return ", ".join(page.link(str(node), f"#{ids[node]}") for node in dict.fromkeys(nodes))


def _by_stage(
    columns: Sequence[Sequence[Node]], entries: Mapping[Node, GraphNode]
) -> dict[str, list[Node]]:
    """Group the nodes by stage, such as features or endpoints; those that count most come first.

    `columns` are the nodes as drawn, `entries` have their figures.
    """
    stages: dict[str, list[Node]] = {}
    for column in columns:
        for node in column:
            stages.setdefault(_HEADS[node.kind], []).append(node)
    return {
        stage: sorted(nodes, key=lambda node: -(entries[node].share or 0.0))
        for stage, nodes in stages.items()
    }


def _columns(graph: ModelGraph) -> list[list[Node]]:
    """Arrange the graph's nodes in columns of the picture, one or more for each stage.

    A stage, such as features, has more than one column where one of its nodes is made of another.
    Features stand in the order of their views, so that lines cross little.
    """
    depths: dict[Node, int] = {}
    sources: dict[Node, list[Node]] = {entry.node: [] for entry in graph.nodes}
    for edge in graph.edges:
        sources[edge.target].append(edge.source)

    def depth(node: Node) -> int:
        """Return how many of its own stage lie before a node."""
        if node not in depths:
            depths[node] = 0  # a circle ends here
            alike = [other for other in sources[node] if _HEADS[other.kind] == _HEADS[node.kind]]
            depths[node] = max((depth(other) + 1 for other in alike), default=0)
        return depths[node]

    columns: dict[tuple[int, int], list[Node]] = {}
    shares = {entry.node: entry.share or 0.0 for entry in graph.nodes}
    for node in sources:
        place = (_STAGES.index(_HEADS[node.kind]), depth(node))
        columns.setdefault(place, []).append(node)
    order: dict[Node, int] = {}
    drawn = []
    for place in sorted(columns):
        column = sorted(
            columns[place],
            key=lambda node: (
                min((order[source] for source in sources[node] if source in order), default=-1),
                -shares[node],
            ),
        )
        order |= {node: len(order) + number for number, node in enumerate(column)}
        drawn.append(column)
    return drawn
