"""`im.models`: what `isthmus models` does. list, promote, replay, graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from ...core.runtime.project import Project
from ...experiments.replay.version import replay_version
from ...experiments.simulation.clock import by_simulated_clock
from ...pipelines.models import lineage
from ...pipelines.training.promotion import promote, versions
from ...reports.results import Rows, Shown

if TYPE_CHECKING:
    from datetime import datetime

    from ...experiments.replay.version_replay import VersionReplay
    from ...pipelines.port import ModelVersion
    from ...project.specs.description import Description

__all__ = ["graph", "list", "promote", "replay"]
__dir__ = __all__.copy  # what completion offers
Form = Literal["text", "mermaid", "dot"]


class Graph(Shown, msgspec.Struct, frozen=True, kw_only=True):
    form: Form
    graph: str

    def __str__(self) -> str:
        return self.graph


def list(project: Project) -> Rows[ModelVersion]:
    """Return all versions of the project's models in the model registry."""
    return Rows(versions(project))


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


def graph(project: Project | Description, *, form: Form = "text") -> Graph:
    """Return the lineage graph from events to endpoints, as text or another form.

    Raises:
        Invalid: There is no such form.
    """
    description = project.description if isinstance(project, Project) else project
    return Graph(form=form, graph=lineage.graph(description, form=form))
