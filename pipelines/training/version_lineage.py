"""Tell what a registered version was made of, and when it got which alias.

It comes from the version's run, project.yaml and the promotions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ...errors import NotFound
from ...project.specs.description import ProjectSpec
from ..models import lineage
from ..models.lineage import Edge, Node
from ..port import ModelVersion
from ..run_pages import runs
from .promotion import Promotion, promotions

if TYPE_CHECKING:
    from ...core.runtime.project import Project
    from ..run_pages.records import Run


class VersionLineage(msgspec.Struct, frozen=True, kw_only=True):
    """The things that a version is made of, and the moves of its aliases.

    `made_of` ends at the node `model MODEL@VERSION`; what lies above its run's features is as
    project.yaml says it now.
    """

    version: ModelVersion
    run: str | None  # None: nobody trained it here, or its record is gone
    made_of: tuple[Edge, ...]
    promotions: tuple[Promotion, ...]  # of it, and of what took an alias from it


def version_lineage(project: Project, model: str, number: int) -> VersionLineage:
    """Return a model version's lineage: its run, its sources, and every move of its aliases.

    Raises:
        NotFound: there is no such version.
    """
    registered = project.target.registry.get(model, number)
    run = runs.of_version(project.target.blobs, f"{model}@{number}")
    moves = [
        promotion
        for promotion in promotions(project, model)
        if number in (promotion.version, promotion.before)
    ]
    return VersionLineage(
        version=registered,
        run=run.name if run else None,
        made_of=edges_of(run, project.spec) if run else (),
        promotions=tuple(moves),
    )


def edges_of(run: Run, spec: ProjectSpec) -> tuple[Edge, ...]:
    """Return the lineage edges that lead to the model version which a run made.

    That is its own objective and features, then what those are made of.
    """
    version = Node("model", run.version or run.name)
    by_view: dict[str, list[str]] = {}
    for feature in run.features:
        view, _, name = feature.rpartition(".")
        by_view.setdefault(view, []).append(name)
    own = by_view.pop("", [])
    edges = [Edge(Node("objective", run.objective), version, "label")]
    edges += [
        Edge(Node("view", view), version, ", ".join(names)) for view, names in by_view.items()
    ]
    edges += (
        [Edge(Node("event", run.data.exposure), version, ", ".join(own))]
        if own and run.data
        else []
    )
    above = lineage.ancestry([edge.source for edge in edges], lineage.edges(spec))
    return (*edges, *above)


def parsed(text: str) -> tuple[str, int]:
    """Return the model's name and the number in a version's text such as `ranker@2`.

    Raises:
        NotFound: the text names no version.
    """
    model, separator, number = text.rpartition("@")
    if not separator or not number.isascii() or not number.isdigit():
        raise NotFound(
            f"{text} is no version",
            remedy="a version is MODEL@NUMBER, such as ranker@2: isthmus models list",
        )
    return model, int(number)
