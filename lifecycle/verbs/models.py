"""`im.models`: what `isthmus models` does. list, promote, replay, graph."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import msgspec

from ...core.runtime.project import Project
from ...experiments.replay.version import replay_version
from ...experiments.simulation.clock import by_simulated_clock
from ...pipelines.model_graph import page, text
from ...pipelines.model_graph.graph import ModelGraph, model_graph
from ...pipelines.model_graph.trained import trained_graphs
from ...pipelines.models import lineage
from ...pipelines.run_pages import report_store
from ...pipelines.training.promotion import promote, versions
from ...pipelines.training.training import configuration, named
from ...reports.results import Shown, StructRows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ...experiments.replay.version_replay import VersionReplay
    from ...pipelines.port import ModelVersion
    from ...project.specs.description import ParsedProject

__all__ = ["graph", "list", "promote", "replay"]
__dir__ = __all__.copy  # what completion offers
Form = Literal["text", "mermaid", "dot", "html"]
UNREAD = "no figures: the description alone was read, and no runs"


class Graph(Shown, msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A graph in one form; `page` is the file that it was written to, if it was."""

    form: Form
    graph: str
    page: str | None = None

    def __str__(self) -> str:
        return self.graph if self.page is None else self.page


def list(project: Project) -> StructRows[ModelVersion]:
    """Return all versions of the project's models in the model registry."""
    return StructRows(versions(project))


@by_simulated_clock
def replay(
    project: Project,
    version: str,
    *,
    endpoint: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> VersionReplay:
    """Estimate offline what a model version would have earned in place of the served one.

    The estimate is made from the endpoint's logged answers; errors are those of `version_replay`.

    Args:
        project: The project.
        version: The version, such as `ranker@3`.
        endpoint: The endpoint; None: the only one that serves the model.
        since: The first answers' time, aware; None: 28 days before `until`.
        until: The time before which answers count, aware; None: now.
    """
    return replay_version(project, version, endpoint=endpoint, since=since, until=until)


def graph(
    project: Project | ParsedProject,
    config: str | None = None,
    *,
    form: Form = "text",
    output: Path | None = None,
) -> Graph:
    """Return the lineage graph from events to endpoints, as text or another form.

    Of one model it has each feature and transform, with what its newest run says of them, and the
    versions. The form `html` is a page; without `config` it shows every model.

    Args:
        project: The project; a description alone has no runs and no versions.
        config: A model's file (`models/logistic.yaml`) or name; None: the whole project.
        form: `text`, `mermaid`, `dot` or `html`.
        output: The file to write, too. Without it the page of an open project is kept among its
            reports.

    Raises:
        Invalid: There is no such form.
        NotFound: There is no such model.
    """
    description = project.description if isinstance(project, Project) else project
    if form == "html":
        drawn, name = _page(project, config)
    elif config is None:
        drawn, name = lineage.graph(description, form=form), ""
    else:
        drawn, name = text.drawn(_graphs(project, [config])[0], form), ""
    if output is not None:
        output.write_text(f"{drawn.rstrip()}\n", encoding="utf-8")
        return Graph(form=form, graph=drawn, page=str(output))
    if name and isinstance(project, Project):
        path = report_store.keep(project, name, drawn.encode())
        return Graph(form=form, graph=drawn, page=str(path))
    return Graph(form=form, graph=drawn)


def _graphs(project: Project | ParsedProject, configs: Sequence[str]) -> Sequence[ModelGraph]:
    """Return the graphs of some models, with figures and versions if the project is open."""
    if isinstance(project, Project):
        return trained_graphs(project, [configuration(project, config) for config in configs])
    models = [named(project.spec, config) for config in configs]
    return [model_graph(model, project.spec, notes=[UNREAD]) for model in models]


def _page(project: Project | ParsedProject, config: str | None) -> tuple[str, str]:
    """Return the page of one model's graph or of all, as HTML, and the name to keep it by."""
    spec = project.spec
    names = [config] if config is not None else [*spec.models]
    graphs = _graphs(project, names)
    if isinstance(project, Project):
        when, target = project.wall(), project.target.name
    else:
        when, target = datetime.now(UTC), "none"
    written = page.html(graphs, project=spec.name, when=when, target=target)
    return written, f"graph-{graphs[0].model}.html" if config is not None else "graph.html"
