"""Write a training run as a document for an engine that is no target of ours (`isthmus compile`).

A step has the same command as everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from ...errors import Invalid
from ...reports.results import Shown
from ..graphs import argo
from ..graphs import kubeflow as ir
from ..port import PipelineRun
from ..runs import names as run_names
from ..runs.document import local_path
from ..runs.submission import prepare
from .training import configuration, pipeline

if TYPE_CHECKING:
    from ...core.runtime.project import Project

EngineName = Literal["kubeflow", "argo"]


class Compiled(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """A run that is ready to be submitted by somebody else."""

    run: str
    run_uri: str
    document: dict[str, Any]
    submit: str  # the command, where FILE is the document

    def __str__(self) -> str:
        import yaml

        text: str = yaml.safe_dump(self.document, sort_keys=False, width=140, allow_unicode=True)
        return text


def compile_run(
    project: Project,
    config: str,
    *,
    to: EngineName,
    run: str | None = None,
    overrides: Sequence[str] = (),
) -> Compiled:
    """Return a training run as a manifest for Argo or Kubeflow, without starting it.

    Its run.json and the project's files are put into the target's bucket. The manifest has all
    steps: a step whose result is known finds it when it runs. The engine's pods need an identity
    that may read and write the bucket.

    Raises:
        Invalid: pods could not reach the bucket, or no image is known.
        AlreadyExists: the name is another run's.
    """
    blobs = project.target.blobs
    if local_path(blobs.root) is not None:
        words = (
            f"target {project.target.name} keeps its files on this machine, where no pod reads them"
        )
        raise Invalid(words, remedy="name another --target")
    model = configuration(project, config, overrides)
    image = _image(project)
    with project.lock("compile"):
        name = run or run_names.next_name(project)
        prepared = prepare(
            project, pipeline(project, model, tuple(overrides)), run=name, settle=False
        )
    return _compile(project, prepared, to, image, name)


def _compile(
    project: Project, prepared: PipelineRun, to: EngineName, image: str, run: str
) -> Compiled:
    """Return a prepared pipeline run as an Argo or Kubeflow document.

    `image` is the container image of its steps, and `run` its name.
    """
    name = f"{project.spec.name}-{prepared.pipeline}".replace("_", "-")
    settings = ir.Settings(name=name, image=image)
    if to == "argo":
        return Compiled(
            run=run,
            run_uri=prepared.run_uri,
            document=argo.document(prepared, settings),
            submit="argo submit FILE",
        )
    document = ir.document(prepared, settings, default_run=True)
    submit = f"kfp run create --experiment-name {project.spec.name} --package-file FILE"
    return Compiled(run=run, run_uri=prepared.run_uri, document=document, submit=submit)


def _image(project: Project) -> str:
    """Return the container image in which steps run; raise Invalid if none is named."""
    target = project.target
    if image := target.profile.options.get("image"):
        return str(image)
    if target.profile.options.get("endpoint_url") and target.adapter.offline:
        return target.adapter.offline.image
    raise Invalid(
        f"target {target.name} has no image",
        remedy="build deploy/Dockerfile, push it, and set `image:` in profiles.yaml",
    )
