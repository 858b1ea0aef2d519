"""Draw the page of registered versions.

It shows aliases, the run that made each version, who serves it, and every promotion with its
reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from ....core.runtime.project import Project
from ....endpoints.operations.listing import Listing, listing
from ....pipelines.port import ModelVersion
from ....pipelines.run_pages import runs
from ....pipelines.run_pages.records import Run
from ....pipelines.training import promotion
from ....pipelines.training.promotion import Promotion
from ....reports import page as kit
from ...parts.forms import Form
from ...parts.links import graph_link, run_link, version_link
from ...parts.reads import ReadFailure, Reads
from ...parts.view import PageContent

_RUNS = 200  # that are read to find which made a version


class ModelsData(msgspec.Struct, frozen=True, kw_only=True):
    versions: list[ModelVersion] | ReadFailure  # as `isthmus models list --json`
    runs: dict[str, str]  # version -> the newest run that became it, of the newest 200
    served: dict[str, list[str]]  # version -> `endpoint variant`
    promotions: list[Promotion] | ReadFailure
    unread: tuple[ReadFailure, ...]


def page(project: Project, _query: Mapping[str, str]) -> PageContent:
    """Draw the page of all registered model versions, with their promotions."""
    reads = Reads()
    versions = reads.attempt("versions", lambda: promotion.versions(project))
    trained = reads.attempt("runs", lambda: runs.list_runs(project, newest=_RUNS))
    promotions = reads.attempt(
        "promotions",
        lambda: _promotions(project, () if isinstance(versions, ReadFailure) else versions),
    )
    data = ModelsData(
        versions=versions,
        runs={} if isinstance(trained, ReadFailure) else makers(trained),
        served=variants_by_version(project, reads),
        promotions=promotions,
        unread=(),
    )
    return PageContent(
        title="Models",
        below=f"Versions that are registered on {project.target.name}, newest first.",
        parts=(
            *reads.box(),
            *_versions(data),
            *_configurations(project),
            *_promotion_section(promotions),
        ),
        data=msgspec.structs.replace(data, unread=tuple(reads.unread)),
    )


def makers(trained: Sequence[Run]) -> dict[str, str]:
    """Return the training run that made each model version: its name, by version."""
    return {run.version: run.name for run in trained if run.version}


def variants_by_version(project: Project, reads: Reads) -> dict[str, list[str]]:
    """Return, by model version, the endpoints' variants that serve it, as `endpoint variant`.

    `reads` collects what cannot be read.
    """
    listed = reads.attempt("endpoints", lambda: listing(project))
    where: dict[str, list[str]] = {}
    if isinstance(listed, Listing):
        for name, state in listed.endpoints.items():
            for variant in state.variants if state else ():
                where.setdefault(f"{variant.model}@{variant.version}", []).append(
                    f"{name} {variant.name}"
                )
    return where


def _promotions(project: Project, versions: Sequence[ModelVersion]) -> list[Promotion]:
    """Return the promotions (moves of an alias) of all models, newest first."""
    names = dict.fromkeys(version.model for version in versions)
    return sorted(
        (entry for name in names for entry in promotion.promotions(project, name)),
        key=lambda entry: entry.at,
        reverse=True,
    )


def _versions(data: ModelsData) -> list[str | Form]:
    """Return an HTML table of the registered model versions, with the forms that act on them."""
    if isinstance(data.versions, ReadFailure):
        return []
    if not data.versions:
        return [
            kit.words("None yet.", "soft"),
            Form(action="", button="", command="isthmus train models/*.yaml"),
        ]
    newest = sorted(data.versions, key=lambda version: (version.model, -version.version))
    return [
        kit.table(
            ("version", "aliases", "approval", "run", "serves in", "digest"),
            [_row(version, data) for version in newest],
            wordy=4,
        )
    ]


def _row(registered: ModelVersion, data: ModelsData) -> tuple[str, ...]:
    """Return a model version's cells in the table: aliases, approval, run, where it serves."""
    version = f"{registered.model}@{registered.version}"
    run = data.runs.get(version)
    maker = run_link(run) if run else ""
    return (
        version_link(version),
        ", ".join(sorted(registered.aliases)),
        registered.approval,
        maker,
        ", ".join(data.served.get(version, ())),
        registered.digest[:12],
    )


def _configurations(project: Project) -> list[str]:
    """Return the HTML section on the project's model configurations; empty without any."""
    rows = [
        (graph_link(model.name), model.path, model.model, model.objective, model.trainer)
        for model in project.spec.models.values()
    ]
    head = ("made of what", "file", "becomes", "objective", "trainer")
    return [kit.section("Configurations", kit.table(head, rows))] if rows else []


def _promotion_section(promotions: list[Promotion] | ReadFailure) -> list[str]:
    """Return the HTML section on promotions of model versions; empty without any."""
    if isinstance(promotions, ReadFailure) or not promotions:
        return []
    return [kit.section("Promotions", promotion_table(promotions))]


def promotion_table(promotions: Sequence[Promotion]) -> str:
    """Return an HTML table of promotions: when an alias was moved to which version, and why."""
    head = ("at (UTC)", "alias", "became", "before", "gate", "because")
    return kit.table(head, map(_promotion, promotions), wordy=5)


def _promotion(entry: Promotion) -> tuple[str, ...]:
    """Return a promotion's cells in the table: time, alias, version, checks passed, reason."""
    previous = "" if entry.before is None else f"{entry.model}@{entry.before}"
    return (
        entry.at[:16].replace("T", " "),
        entry.alias,
        version_link(f"{entry.model}@{entry.version}"),
        previous,
        entry.gate or "none",
        entry.because or "",
    )
