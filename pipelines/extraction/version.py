"""Keep a view's extractor as version 1 of a registered model that has the view's name."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import msgspec

from ...core.runtime.project import Project
from ...errors import Refused
from ...project.specs.content import Extract
from ...project.specs.description import FeatureView, Model
from ..models.predictor import Predictor, load, save, whole_manifest
from ..training.registration import publish
from . import extractors
from .contents import Content
from .extractors import ContentRow, Extractor

MOST_FITTED = 50_000  # contents: those with the smallest digests, as good as at random


class ExtractorVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A view's registered extractor, loaded."""

    extractor: Extractor
    digest: str
    version: int

    def __str__(self) -> str:
        own = type(self.extractor).__str__ is not object.__str__
        return str(self.extractor) if own else type(self.extractor).__name__


def find_version(project: Project, view: FeatureView, extract: Extract) -> ExtractorVersion | None:
    """Return a view's extractor as it was fitted; None if that has not been done yet.

    Raises:
        Refused: project.yaml says something else than what it was fitted by.
    """
    versions = project.target.registry.versions(view.name)
    if not versions:
        return None
    first = versions[0]
    with tempfile.TemporaryDirectory(prefix="isthmus-extractor-") as scratch:
        folder = Path(scratch) / "model"
        project.target.blobs.download(first.uri, folder)
        loaded = load(folder, digest=first.digest)
    manifest = loaded.manifest
    fitted_by = _text(manifest.trainer, manifest.parameters)
    written = _text(extract.extractor, _settings(extract))
    if fitted_by != written:
        raise Refused(
            f"{view.name}@{first.version} was fitted by {fitted_by}; project.yaml says {written}: "
            "dimensions of two fits mean different things",
            remedy=f"undo it, or declare {view.name}_v2 beside it, and train on that",
        )
    return ExtractorVersion(
        extractor=cast("Extractor", loaded.predictor), digest=first.digest, version=first.version
    )


def fit_version(
    project: Project, view: FeatureView, extract: Extract, contents: Iterable[Content]
) -> ExtractorVersion:
    """Fit a view's extractor on its contents, register it, and return the registered one."""
    extractor = extractors.fit(
        view.name, extract, fitted_rows(contents), Path(project.description.folder)
    )
    model = Model(
        name=view.name,
        path="project.yaml",
        model=view.name,
        objective="",
        features=(),
        trainer=extract.extractor,
        parameters=_settings(extract),
    )
    with tempfile.TemporaryDirectory(prefix="isthmus-extractor-") as scratch:
        folder = Path(scratch) / "model"
        save(cast("Predictor", extractor), folder, model=model)
        manifest = whole_manifest(folder)
        uri = publish(project.target.blobs, folder, manifest)
    options, adapter = project.target.profile.options, project.target.adapter
    image = str(options.get("image") or ("" if adapter.remote else adapter.name))
    project.target.registry.register(view.name, uri=uri, digest=manifest.digest, image=image)
    registered = find_version(project, view, extract)
    assert registered is not None  # noqa: S101  it has just been registered
    return registered


def fitted_rows(contents: Iterable[Content]) -> list[ContentRow]:
    """Return the distinct contents that an extractor is fitted on, in their digests' order."""
    distinct = {content.digest: content.values for content in contents}
    return [distinct[digest] for digest in sorted(distinct)[:MOST_FITTED]]


def _settings(extract: Extract) -> dict[str, Any]:
    """Return what an extractor is fitted by, as its manifest keeps it."""
    return {
        "from": extract.event,
        "reads": list(extract.reads),
        "parameters": {"dimensions": extract.dimensions} | extract.parameters,
    }


def _text(extractor: str, settings: dict[str, Any]) -> str:
    """Return an extractor with its settings as text."""
    parameters = ", ".join(f"{k}: {v}" for k, v in sorted(settings["parameters"].items()))
    reads = ", ".join(settings["reads"])
    return f"{extractor} ({parameters}) on {settings['from']} ({reads})"
