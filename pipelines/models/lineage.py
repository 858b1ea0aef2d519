"""Draw what is made of what, from events to endpoints (`isthmus models graph`).

It is drawn as a text tree, mermaid or dot.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from ...errors import Invalid
from ...events.tables.relations import view_name
from ...project.specs.content import extracted_name
from ...project.specs.description import ParsedProject, ProjectSpec
from ...project.specs.exposures import EXPOSURES, served_objectives

# features, transforms and versions are drawn of one model (pipelines/model_graph)
Kind = Literal[
    "event", "table", "objective", "view", "feature", "transform", "model", "version", "endpoint"
]
_KINDS: tuple[Kind, ...] = ("event", "table", "objective", "view", "model", "endpoint")
_SHAPES = {
    "event": "([{}])",
    "table": "[({})]",
    "objective": "{{{{{}}}}}",
    "view": "[/{}/]",
    "feature": "({})",
    "transform": "{{{{{}}}}}",
    "model": "[{}]",
    "version": "[{}]",
    "endpoint": "[[{}]]",
}
_DOT = {
    "event": "oval",
    "table": "cylinder",
    "objective": "hexagon",
    "view": "parallelogram",
    "feature": "ellipse",
    "transform": "hexagon",
    "model": "box",
    "version": "component",
    "endpoint": "box3d",
}


class Node(msgspec.Struct, frozen=True, order=True):
    kind: Kind
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class LineageEdge(msgspec.Struct, frozen=True, order=True):
    """An edge of the lineage: `target` is made of `source`."""

    source: Node
    target: Node
    what: str = ""  # the features, or the alias


def graph(description: ParsedProject, *, form: str = "text") -> str:
    """Return a project's lineage graph, from events to endpoints, as `text`, `mermaid` or `dot`.

    Raises:
        Invalid: another form is asked for.
    """
    return drawn(form, nodes(description.spec), edges(description.spec))


def drawn(
    form: str,
    every: tuple[Node, ...],
    edges: tuple[LineageEdge, ...],
    details: Mapping[Node, str] | None = None,
) -> str:
    """Draw nodes and edges as `text`, `mermaid` or `dot`.

    `every` are the nodes. The text also has the `details` of nodes.

    Raises:
        Invalid: another form is asked for.
    """
    drawings = {"mermaid": _mermaid, "dot": _dot}
    if form == "text":
        return _tree_text(every, edges, details or {})
    if form not in drawings:
        raise Invalid(
            f"{form!r} is no format of the graph",
            remedy=f"one of {', '.join(('text', *drawings, 'html'))}",
        )
    return drawings[form](every, edges)


def nodes(spec: ProjectSpec) -> tuple[Node, ...]:
    """Return the nodes of a project's lineage graph: events, tables, ..., models, endpoints.

    The gateway's exposures are among the events where an objective counts them.
    """
    served = served_objectives(spec)
    declared: dict[Kind, list[str]] = {
        "event": [*spec.events, *({EXPOSURES} - spec.events.keys() if served else ())],
        "table": list(spec.tables),
        "objective": list(spec.objectives),
        "view": list(spec.feature_views),
        "model": list(spec.models),
        "endpoint": list(spec.endpoints),
    }
    return tuple(Node(kind, name) for kind in _KINDS for name in declared[kind])


def edges(spec: ProjectSpec) -> tuple[LineageEdge, ...]:
    """Return the edges of a project's lineage graph: which node is made of which."""
    return tuple(
        dict.fromkeys(
            (
                *_objective_edges(spec),
                *_view_edges(spec),
                *_model_edges(spec),
                *_endpoint_edges(spec),
            )
        )
    )


def _objective_edges(spec: ProjectSpec) -> Iterator[LineageEdge]:
    """Yield the lineage edges from events to the objectives made of them."""
    for objective in spec.objectives.values():
        for event in dict.fromkeys((objective.exposure, objective.outcome)):
            yield LineageEdge(Node("event", event), Node("objective", objective.name))


def _view_edges(spec: ProjectSpec) -> Iterator[LineageEdge]:
    """Yield the lineage edges to feature views from the nodes that they read."""
    for view in spec.feature_views.values():
        target = Node("view", view.name)
        if view.extract:
            yield LineageEdge(Node("event", view.extract.event), target)
            continue
        yield from (LineageEdge(source, target) for source in _sources(view.sql, spec))


def _model_edges(spec: ProjectSpec) -> Iterator[LineageEdge]:
    """Yield the lineage edges to models: from the label's objective and the features' views.

    A model that reads attributes of the exposure has an edge from the exposure, too.
    """
    for model in spec.models.values():
        target = Node("model", model.name)
        yield LineageEdge(Node("objective", model.objective), target, "label")
        by_view: dict[str | None, list[str]] = {}
        for feature in model.features:
            by_view.setdefault(feature.view, []).append(feature.name)
        own = by_view.pop(None, [])
        yield from (
            LineageEdge(Node("view", view), target, ", ".join(names))
            for view, names in by_view.items()
            if view is not None
        )
        if own:
            yield LineageEdge(
                Node("event", spec.objectives[model.objective].exposure), target, ", ".join(own)
            )


def _endpoint_edges(spec: ProjectSpec) -> Iterator[LineageEdge]:
    """Yield the lineage edges from models to the endpoints that serve them."""
    for endpoint in spec.endpoints.values():
        for variant in endpoint.variants:
            makers = [
                m
                for m in spec.models.values()
                if m.model == variant.model and m.alias in (variant.ref, None)
            ]
            yield from (
                LineageEdge(
                    Node("model", m.name),
                    Node("endpoint", endpoint.name),
                    f"{variant.model}@{variant.ref}",
                )
                for m in makers
            )


def ancestry(nodes: Iterable[Node], edges: Sequence[LineageEdge]) -> list[LineageEdge]:
    """Return all lineage edges that lead to these nodes, directly or not."""
    pending, above = list(nodes), dict[LineageEdge, None]()
    while pending:
        node = pending.pop()
        leading = [edge for edge in edges if edge.target == node and edge not in above]
        above |= dict.fromkeys(leading)
        pending += [edge.source for edge in leading]
    return list(above)


def histories(spec: ProjectSpec, objective: str) -> frozenset[str]:
    """Return the names of the feature views that read an objective or its outcome event."""
    sources = {Node("objective", objective), Node("event", spec.objectives[objective].outcome)}
    return frozenset(
        edge.target.name
        for edge in edges(spec)
        if edge.source in sources and edge.target.kind == "view"
    )


def _sources(sql: str, spec: ProjectSpec) -> Iterator[Node]:
    """Yield the lineage nodes that a view's SQL reads: events, objectives, tables, views."""
    import sqlglot
    from sqlglot import expressions

    tree = sqlglot.parse_one(sql, read="duckdb")
    inside = {cte.alias for cte in tree.find_all(expressions.CTE)}
    relations = {
        **{
            extracted_name(view.name): Node("view", view.name)
            for view in spec.feature_views.values()
            if view.extract
        },
        **{name: Node("view", name) for name in spec.feature_views},
        **{name: Node("table", name) for name in spec.tables},
        **{name: Node("objective", name) for name in spec.objectives},
        **{view_name(name): Node("event", name) for name in spec.events},
    }
    for name in dict.fromkeys(
        table.name for table in tree.find_all(expressions.Table) if table.name not in inside
    ):
        if name in relations:
            yield relations[name]


def _tree_text(
    every: tuple[Node, ...], edges: tuple[LineageEdge, ...], details: Mapping[Node, str]
) -> str:
    """Return the lineage graph as a text tree, from endpoints down to events.

    Roots are the endpoints, then other nodes of which nothing is made. What was drawn above already
    is not drawn again: a note on its line says so.
    """
    used = {edge.source for edge in edges}
    tops = [node for node in reversed(every) if node not in used]
    lines: list[str] = []
    opened: set[Node] = set()

    def branch(node: Node, ahead: str) -> None:
        below = [edge for edge in edges if edge.target == node]
        for number, edge in enumerate(below):
            last = number == len(below) - 1
            again = edge.source in opened and any(other.target == edge.source for other in edges)
            notes = [edge.what, "(above)" if again else details.get(edge.source, "")]
            if not again and edge.source.kind == "feature":
                opened_before = _opened_before(edge.source)
                notes.append(opened_before)
                if opened_before:
                    opened.add(edge.source)
                    again = True
            note = "".join(f"   {text}" for text in notes if text)
            lines.append(f"{ahead}{'└── ' if last else '├── '}{edge.source}{note}")
            if not again:
                opened.add(edge.source)
                branch(edge.source, ahead + ("    " if last else "│   "))

    def _opened_before(node: Node) -> str:
        """Return `of view item_history (above)` if all that a node is made of stands above."""
        sources = [edge.source for edge in edges if edge.target == node]
        if not sources or not opened.issuperset(sources):
            return ""
        return f"of {', '.join(map(str, sources))} (above)"

    for top in tops:
        detail = details.get(top, "")
        lines.append(f"{top}   {detail}" if detail else str(top))
        branch(top, "")
    return "\n".join(lines)


def _mermaid(every: tuple[Node, ...], edges: tuple[LineageEdge, ...]) -> str:
    """Return the lineage graph as a Mermaid flowchart; nodes are numbered, texts quoted."""
    ids = {node: f"n{number}" for number, node in enumerate(every)}
    lines = ["flowchart LR"]
    lines += [
        f"  {ids[node]}{_SHAPES[node.kind].format(_mermaid_text(node.name))}" for node in every
    ]
    lines += [
        f"  {ids[e.source]} -->{f'|{_mermaid_text(e.what)}|' if e.what else ''} {ids[e.target]}"
        for e in edges
    ]
    return "\n".join(lines)


def _dot(every: tuple[Node, ...], edges: tuple[LineageEdge, ...]) -> str:
    """Return the lineage graph in Graphviz's dot language."""
    lines = ["digraph lineage {", "  rankdir=LR;", '  node [fontname="sans-serif"];']
    lines += [
        f"  {_dot_id(node)} [label={_dot_text(node.name)}, shape={_DOT[node.kind]}];"
        for node in every
    ]
    lines += [
        f"  {_dot_id(e.source)} -> {_dot_id(e.target)}"
        + (f" [label={_dot_text(e.what)}]" if e.what else "")
        + ";"
        for e in edges
    ]
    return "\n".join([*lines, "}"])


def _mermaid_text(text: str) -> str:
    """Return a text in Mermaid's quotes."""
    return '"' + text.replace('"', "#quot;") + '"'


def _dot_text(text: str) -> str:
    """Return a text in dot's quotes."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _dot_id(node: Node) -> str:
    """Return a lineage node's identifier in dot."""
    return _dot_text(f"{node.kind}_{node.name}")
