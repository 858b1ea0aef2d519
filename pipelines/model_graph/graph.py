"""Build the graph of one model: events, views, features, transforms, versions, endpoints. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from ...project.specs.description import Feature, Model, ProjectSpec
from ..builtin.column_weights import ColumnWeight
from ..models import lineage
from ..models.lineage import LineageEdge, Node
from ..models.model_columns import ModelColumn
from ..run_pages.changed_columns import model_of
from ..run_pages.records import Run
from ..transforms.transform_text import transform_text


class GraphNode(msgspec.Struct, frozen=True, kw_only=True):
    """A node with what is said of it: `detail` in few words, `about` in whole ones."""

    node: Node
    detail: str = ""
    about: str = ""
    share: float | None = None  # of a column: its weight against the largest one


class RegisteredVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version that a model's configuration became, and the endpoints' variants that serve it."""

    name: str  # ranker@3
    about: str  # its aliases and its run
    variants: tuple[tuple[str, str], ...] = ()  # (endpoint, variant)


class ModelGraph(msgspec.Struct, frozen=True, kw_only=True):
    """The graph of one model; `notes` say what is not in it, or not known."""

    model: str
    nodes: tuple[GraphNode, ...]
    edges: tuple[LineageEdge, ...]
    run: str | None  # whose figures the columns have
    notes: tuple[str, ...] = ()


def model_graph(
    model: Model,
    spec: ProjectSpec,
    *,
    run: Run | None = None,
    versions: Sequence[RegisteredVersion] = (),
    notes: Sequence[str] = (),
    planned: bool = True,
) -> ModelGraph:
    """Return the graph of a model, from events to endpoints.

    Args:
        model: The configuration.
        spec: The project.
        run: The training run whose figures the columns get; None: no run has ended well.
        versions: Those that the configuration became.
        notes: What the caller could not read.
        planned: Whether endpoints that shall serve the model, and serve none of `versions`, are in
            it.
    """
    top = Node("model", model.name)
    own = [*_model_edges(model, spec, top)]
    above = lineage.ancestry([edge.source for edge in own], (*own, *lineage.edges(spec)))
    below = [*_version_edges(top, versions)]
    served = {edge.target for edge in below}
    planned_edges = [
        edge
        for edge in lineage.edges(spec)
        if planned and edge.source == top and edge.target not in served
    ]
    edges = tuple(dict.fromkeys((*own, *above, *below, *planned_edges)))
    columns = known_columns(model, run)
    details = {
        **_column_nodes(model, columns, run),
        top: GraphNode(
            node=top, detail=model.trainer, about=_trainer_text(model.trainer, model.parameters)
        ),
        **{
            node: GraphNode(node=node, detail=version.about, about=version.about)
            for version in versions
            for node in [Node("version", version.name)]
        },
    }
    places = dict.fromkeys(node for edge in edges for node in (edge.source, edge.target))
    return ModelGraph(
        model=model.name,
        nodes=tuple(details.get(node, GraphNode(node=node)) for node in places),
        edges=edges,
        run=run.name if run else None,
        notes=(*notes, *_notes(model, run, columns)),
    )


def feature_node(feature: Feature) -> Node:
    """Return the graph's node of a feature."""
    return Node("feature", str(feature))


def known_columns(model: Model, run: Run | None) -> dict[str, ModelColumn]:
    """Return what a run says of the columns that a model has today, by name.

    Of a run of an earlier release that is how many values of each feature are null.
    """
    if run is None:
        return {}
    columns = run.columns or tuple(
        ModelColumn(
            name=distribution.feature,
            rows=distribution.rows,
            nulls=distribution.nulls,
            known=distribution.rows - distribution.nulls,
        )
        for distribution in (run.data.distributions if run.data else ())
    )
    names = {*map(str, model.features), *(transform.name for transform in model.transforms)}
    return {column.name: column for column in columns if column.name in names}


def _model_edges(model: Model, spec: ProjectSpec, top: Node) -> Iterator[LineageEdge]:
    """Yield the edges from a model's objective and views to it, by features and transforms."""
    objective = spec.objectives.get(model.objective)
    yield LineageEdge(Node("objective", model.objective), top, "label")
    sources = {feature.name: feature_node(feature) for feature in model.features}
    for feature in model.features:
        if feature.view is not None:
            yield LineageEdge(Node("view", feature.view), feature_node(feature))
        elif objective is not None:
            yield LineageEdge(Node("event", objective.exposure), feature_node(feature), "attribute")
    for transform in model.transforms:
        node = Node("transform", transform.name)
        for name in transform.inputs:
            yield LineageEdge(sources[name], node)
        sources[transform.name] = node
    yield from (LineageEdge(sources[name], top) for name in model.columns)


def _version_edges(top: Node, versions: Sequence[RegisteredVersion]) -> Iterator[LineageEdge]:
    """Yield the edges from a model to its versions, and on to the endpoints that serve them."""
    for version in versions:
        node = Node("version", version.name)
        yield LineageEdge(top, node)
        for endpoint, variant in version.variants:
            yield LineageEdge(node, Node("endpoint", endpoint), variant)


def _column_nodes(
    model: Model, columns: dict[str, ModelColumn], run: Run | None
) -> dict[Node, GraphNode]:
    """Return the graph's nodes of a model's features and transforms, with their figures.

    `columns` is what the run says of each column. Shares are of all columns of the run, also of
    those that the model no longer has.
    """
    texts = {feature_node(feature): "" for feature in model.features} | {
        Node("transform", transform.name): transform_text(transform)
        for transform in model.transforms
    }
    names = {feature_node(feature): feature.name for feature in model.features}
    weights = [column.weight for column in (run.columns if run else ()) if column.weight]
    gains = sum(weight.value for weight in weights if weight.measure == "gain")
    most = max((abs(weight.value) for weight in weights), default=0)
    nodes = {}
    for node, text in texts.items():
        column = columns.get(node.name)
        is_read = names.get(node, node.name) in model.columns
        weight = column.weight if column else None
        counts = weight_text(weight, gains) if is_read and run else ""
        figures = [
            *([counts] if counts else []),
            *([f"{percent(column.null_share)} null"] if column else []),
            *([f"known in {percent(column.coverage)} of {column.rows:,} rows"] if column else []),
        ]
        brief = [counts] if counts else []
        brief += [f"{percent(column.coverage)} known"] if column else []
        brief = brief or [text.partition(" ")[0]]
        nodes[node] = GraphNode(
            node=node,
            detail=", ".join(brief),
            about="; ".join(part for part in (text, ", ".join(figures)) if part),
            share=abs(weight.value) / most if weight and is_read and most else None,
        )
    return nodes


def weight_text(weight: ColumnWeight | None, gains: float) -> str:
    """Return a column's weight as text; the gain of a tree's column is a share of all gains.

    `gains` is their sum.
    """
    if weight is None:
        return "weight unknown"
    if weight.measure == "gain":
        return f"gain {percent(weight.value / gains if gains else 0.0)}"
    sign = "+" if weight.measure == "weight" else ""
    return f"{weight.measure} {weight.value:{sign}.3g}"


def percent(share: float) -> str:
    """Return a share as a percentage that is 0 or 100 % only if it is exactly that."""
    if 0 < share < 0.001:
        return "<0.1 %"
    if 0.999 < share < 1:
        return ">99.9 %"
    return f"{100 * share:.1f} %" if 0 < share < 1 else f"{100 * share:.0f} %"


def _trainer_text(trainer: str, parameters: dict[str, Any]) -> str:
    """Return a model's trainer and its parameters as text."""
    values = ", ".join(f"{name}={value}" for name, value in parameters.items())
    return f"trainer {trainer}" + (f", {values}" if values else "")


def _notes(model: Model, run: Run | None, columns: dict[str, ModelColumn]) -> Iterator[str]:
    """Yield sentences on what the graph's figures leave out, such as columns without weights.

    `columns` is what the run says of each column.
    """
    if run is None:
        return
    if not run.columns:
        yield (f"{run.name} was trained before weights were kept: isthmus train {model.path}")
    elif not any(column.weight for column in columns.values()):
        yield (
            f"weights are unknown: the predictor of {run.trainer} has no method column_weights, or "
            "it failed"
        )
    trained = model_of(run)
    if trained is not None and (changed := changes(trained, model)):
        yield f"{model.path} has other {', '.join(changed)} than {run.name} was trained with"


def changes(earlier: Model, later: Model) -> list[str]:
    """Return which parts of a configuration differ: features, transforms, trainer, parameters."""
    differs = {
        "features": (set(earlier.features), earlier.columns)
        != (set(later.features), later.columns),
        "transforms": earlier.transforms != later.transforms,
        "trainer": earlier.trainer != later.trainer,
        "parameters": earlier.parameters != later.parameters,
    }
    return [name for name, is_so in differs.items() if is_so]
