"""One version: what it was made of, from events to who serves it, and its promotions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from ....core.runtime.project import Project
from ....pipelines.model_graph import page as graph_page
from ....pipelines.model_graph.graph import RegisteredVersion, model_graph
from ....pipelines.model_graph.trained import version_text
from ....pipelines.run_pages import records
from ....pipelines.run_pages.changed_columns import model_of
from ....pipelines.run_pages.records import Run
from ....pipelines.training.version_lineage import VersionLineage, parsed, version_lineage
from ....reports import page as kit
from ...parts.links import run_link
from ...parts.reads import Reads, Unread
from ...parts.view import View
from .models import promotion_table, variants_by_version


class VersionData(msgspec.Struct, frozen=True, kw_only=True):
    lineage: VersionLineage
    served: list[str]  # `endpoint variant`
    unread: tuple[Unread, ...]


def page(project: Project, query: Mapping[str, str]) -> View:
    """Draw the page of one model version: its run, its lineage, where it serves, promotions.

    Raises:
        NotFound: There is no such version.
    """
    model, number = parsed(query["version"])
    name, reads = f"{model}@{number}", Reads()
    lineage = version_lineage(project, model, number)
    run = records.peek(project.target.blobs, lineage.run) if lineage.run else None
    serving = variants_by_version(project, reads).get(name, [])
    aliases = ", ".join(sorted(lineage.version.aliases)) or "no alias"
    return View(
        title=name,
        below=f"On {project.target.name}: {aliases}, {lineage.version.approval}.",
        parts=(
            *reads.box(),
            *_about(lineage, serving),
            *_made_of(project, lineage, run, serving),
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


def _made_of(
    project: Project, lineage: VersionLineage, run: Run | None, serving: Sequence[str]
) -> list[str]:
    """Return the graph of a model version as HTML, from events to endpoints.

    `serving` are the variants that serve it.
    """
    model = model_of(run) if run else None
    if model is None:
        return []
    places = [place.partition(" ") for place in serving]
    version = RegisteredVersion(
        name=f"{lineage.version.model}@{lineage.version.version}",
        about=version_text(lineage.version, lineage.run),
        variants=tuple((endpoint, variant) for endpoint, _, variant in places),
    )
    graph = model_graph(model, project.spec, run=run, versions=[version], planned=False)
    words = kit.words(
        "Objective, features and transforms are the run's; what lies before them is as "
        "project.yaml says it now.",
        "soft",
    )
    return [kit.section("Made of", *graph_page.parts(graph), words)]


def _promotions(lineage: VersionLineage) -> list[str]:
    """Return the HTML section on the promotions of this model version."""
    return (
        [kit.section("Promotions", promotion_table(lineage.promotions))]
        if lineage.promotions
        else []
    )
