"""Write the graph of one model as text, mermaid or dot."""

from __future__ import annotations

import math

from ..models import lineage
from .graph import ModelGraph

_KINDS = (
    "event",
    "table",
    "objective",
    "view",
    "feature",
    "transform",
    "model",
    "version",
    "endpoint",
)
_COLUMNS = ("feature", "transform")  # those that count most come first


def drawn(graph: ModelGraph, form: str) -> str:
    """Return the graph of a model as `text` (a tree with figures, and notes), `mermaid` or `dot`.

    Raises:
        Invalid: another form is asked for.
    """
    nodes = tuple(
        sorted((entry.node for entry in graph.nodes), key=lambda node: _KINDS.index(node.kind))
    )
    details = {entry.node: entry.about for entry in graph.nodes if entry.about}
    shares = {
        entry.node: entry.share or 0.0 for entry in graph.nodes if entry.node.kind in _COLUMNS
    }
    edges = sorted(graph.edges, key=lambda edge: -shares.get(edge.source, math.inf))
    text = lineage.drawn(form, nodes, tuple(edges), details)
    if form != "text":
        return text
    figures = [f"figures of run {graph.run}"] if graph.run else []
    return "\n".join([text, *figures, *graph.notes])
