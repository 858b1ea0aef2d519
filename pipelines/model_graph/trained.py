"""Read what a model's configuration became: its newest run, its versions, who serves them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ...errors import IsthmusError
from ...project.specs.description import Model, ProjectSpec
from ..port import ModelVersion
from ..run_pages import runs
from ..run_pages.records import Run
from .graph import ModelGraph, RegisteredVersion, model_graph

if TYPE_CHECKING:
    from ...core.runtime.project import Project

_RUNS = 200  # that are read to find those of the configuration
_VERSIONS = 5  # that nobody serves and that have no alias, of the newest


def trained_graphs(project: Project, models: Sequence[Model]) -> list[ModelGraph]:
    """Return the graph of each model with the figures of its newest run, and its versions.

    What cannot be read is a note in the graph.
    """
    try:
        newest = runs.list_runs(project, newest=_RUNS)
    except IsthmusError as error:
        notes = [f"runs and versions could not be read: {error}"]
        return [model_graph(model, project.spec, notes=notes) for model in models]
    return [_trained_graph(project, model, newest) for model in models]


def _trained_graph(project: Project, model: Model, newest: Sequence[Run]) -> ModelGraph:
    """Return the graph of a model, with the figures of its newest run and all its versions.

    `newest` are the newest runs of all configurations.
    """
    own = [run for run in newest if run.configuration == model.name and run.status == "done"]
    if not own:
        note = f"no figures: none of the newest {_RUNS} runs trained it: isthmus train {model.path}"
        return model_graph(model, project.spec, notes=[note])
    notes = []
    registered: tuple[ModelVersion, ...] = ()
    try:
        registered = project.target.registry.versions(model.model)
    except IsthmusError as error:
        notes.append(f"versions could not be read: {error}")
    makers = {run.version: run.name for run in own if run.version}
    versions, left_out = registered_versions(registered, makers, project.spec)
    if left_out:
        notes.append(f"{left_out} older versions without an alias are not drawn")
    run = max(own, key=lambda run: run.started)
    return model_graph(model, project.spec, run=run, versions=versions, notes=notes)


def registered_versions(
    registered: tuple[ModelVersion, ...], makers: Mapping[str, str], spec: ProjectSpec
) -> tuple[list[RegisteredVersion], int]:
    """Return the versions that a configuration's runs made, and how many older ones are left out.

    Args:
        registered: Those of the registered model.
        makers: The newest run of the configuration that made each version.
        spec: The project, whose endpoints name what they serve.
    """
    own_versions = [version for version in registered if _name(version) in makers]
    variants = {_name(version): serving(version, spec) for version in own_versions}
    drawn = [
        version
        for number, version in enumerate(own_versions)
        if version.aliases or variants[_name(version)] or number >= len(own_versions) - _VERSIONS
    ]
    return [
        RegisteredVersion(
            name=_name(version),
            about=version_text(version, makers[_name(version)]),
            variants=variants[_name(version)],
        )
        for version in drawn
    ], len(own_versions) - len(drawn)


def serving(version: ModelVersion, spec: ProjectSpec) -> tuple[tuple[str, str], ...]:
    """Return the endpoints' variants that project.yaml says to serve a version."""
    names = {*version.aliases, str(version.version)}
    return tuple(
        (endpoint.name, variant.name)
        for endpoint in spec.endpoints.values()
        for variant in endpoint.variants
        if variant.model == version.model and variant.ref in names
    )


def version_text(version: ModelVersion, run: str | None) -> str:
    """Return a version's aliases and its run as text."""
    aliases = ", ".join(sorted(version.aliases))
    return ", ".join(part for part in (aliases, f"run {run}" if run else "") if part)


def _name(version: ModelVersion) -> str:
    """Return a version as text: `ranker@2`."""
    return f"{version.model}@{version.version}"
