"""Draw the page of one model configuration: what it is made of, from events to endpoints."""

from __future__ import annotations

from collections.abc import Mapping

from ....core.runtime.project import Project
from ....pipelines.model_graph import page as graph_page
from ....pipelines.model_graph.trained import trained_graphs
from ....pipelines.training.training import configuration
from ....reports import page as kit
from ...parts.links import run_link
from ...parts.view import PageContent


def page(project: Project, query: Mapping[str, str]) -> PageContent:
    """Draw the graph of one model configuration, with the figures of its newest run.

    Raises:
        NotFound: There is no such configuration.
    """
    model = configuration(project, query["config"])
    (graph,) = trained_graphs(project, [model])
    run = [kit.line(kit.MarkupCell(f"run {run_link(graph.run)}"))] if graph.run else []
    return PageContent(
        title=f"Model {model.name}",
        below=f"{model.path} on {project.target.name}, for the objective {model.objective}.",
        parts=(*run, kit.section("Made of", *graph_page.parts(graph))),
        data=graph,
    )
