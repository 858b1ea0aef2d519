"""Write a registered version as an MLflow model that MLflow alone can load.

It is the version's folder, one file that reads it, and a signature.
"""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import NotFound
from ..models.code_slice import libraries
from ..models.predictor import ModelManifest, whole_manifest
from ..runs.artifacts import digest_text
from . import isthmus_pyfunc
from .column_types import MLFLOW

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.models import ModelSignature

    from ...core.runtime.project import Project
    from ..port import ModelVersion
    from ..run_pages.records import Run

VERSION_ID = "isthmus.version_id"  # the tag that a version is found again by
_FOLDER = "model"  # among the artifacts of its run
_PARAMETERS = {"bool": "boolean", "int": "long", "float": "double", "string": "string"}


def registered_name(project: Project, model: str) -> str:
    """Return a model's name in MLflow's registry: `production.shop.ranker`.

    It has the target's name, as each target numbers its own versions.
    """
    return f"{project.target.name}.{project.spec.name}.{model}"


def register(project: Project, client: MlflowClient, run: Run, mlflow_id: str) -> None:
    """Register in MLflow the model version that a training run made, unless it is there.

    It is there already if an earlier run registered the same content.
    """
    model, _, number = (run.version or "").partition("@")
    if not number:
        return
    try:
        version = project.target.registry.get(model, int(number))
    except NotFound:  # destroyed since
        return
    name = registered_name(project, model)
    if not client.search_model_versions(
        f"name = '{name}' and tags.`{VERSION_ID}` = '{_identity(project, version)}'"
    ):
        _put(project, client, version, run, name=name, mlflow_id=mlflow_id)


def _identity(project: Project, version: ModelVersion) -> str:
    """Return a digest that identifies a model version in MLflow, so that it is exported once."""
    return digest_text(
        f"{project.target.blobs.root}\n{project.spec.name}\n{version.model}@{version.version}"
    )[:32]


def _put(
    project: Project,
    client: MlflowClient,
    version: ModelVersion,
    run: Run,
    *,
    name: str,
    mlflow_id: str,
) -> None:
    """Register a model version in MLflow under a name, with its files as a pyfunc.

    `mlflow_id` is the copy of the run that made it.
    """
    from mlflow.exceptions import MlflowException

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / f"{version.model}-{version.version}"
        project.target.blobs.download(version.uri, folder)
        save(folder, Path(scratch) / _FOLDER, nulls=_nulls(run))
        client.log_artifacts(mlflow_id, str(Path(scratch) / _FOLDER), _FOLDER)
    try:
        client.create_registered_model(
            name, {"isthmus.project": project.spec.name, "isthmus.target": project.target.name}
        )
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    tags = {
        VERSION_ID: _identity(project, version),
        "isthmus.version": f"{version.model}@{version.version}",
        "isthmus.digest": version.digest,
    }
    client.create_model_version(name, f"runs:/{mlflow_id}/{_FOLDER}", mlflow_id, tags=tags)


def save(folder: Path, to: Path, *, nulls: frozenset[str] = frozenset()) -> None:
    """Write a model folder as an MLflow pyfunc model in the new folder `to`.

    `nulls` are the features that had empty values when it was trained.
    """
    import mlflow.pyfunc

    manifest = whole_manifest(folder)
    with warnings.catch_warnings(
        action="ignore", category=UserWarning
    ):  # that there is no example of an input
        mlflow.pyfunc.save_model(
            str(to),
            loader_module=isthmus_pyfunc.__name__.rpartition(".")[2],
            data_path=str(folder),
            code_paths=[isthmus_pyfunc.__file__],
            signature=signature(manifest, nulls),
            pip_requirements=_requirements(folder, manifest),
        )


def _nulls(run: Run) -> frozenset[str]:
    """Return the features with nulls in a run's training set, as view.feature or attribute."""
    return (
        frozenset(
            distribution.feature for distribution in run.data.distributions if distribution.nulls
        )
        if run.data
        else frozenset()
    )


def signature(manifest: ModelManifest, nulls: frozenset[str]) -> ModelSignature:
    """Return a model's MLflow signature, a column for each feature.

    A whole number that may be missing is double, as pandas has it; MLflow would refuse it as long.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

    columns: list[Any] = []
    for feature in manifest.features:
        empty = (f"{feature.view}.{feature.name}" if feature.view else feature.name) in nulls
        kind = MLFLOW[feature.type or "string"]
        columns.append(
            ColSpec(
                "double" if empty and kind == "long" else kind, feature.name, required=not empty
            )
        )
    accepted = [
        ParamSpec(name, _PARAMETERS[taken.type], taken.default)
        for name, taken in manifest.accepted.items()
    ]
    settable = {"params": ParamSchema(accepted)} if accepted else {}
    return ModelSignature(inputs=Schema(columns), outputs=Schema([ColSpec("double")]), **settable)


def _requirements(folder: Path, manifest: ModelManifest) -> list[str]:
    """Return the pip requirements that the predictor needs, with installed versions."""
    from importlib.metadata import version

    code = {str(path): path.read_text(encoding="utf-8") for path in (folder / "code").rglob("*.py")}
    imported = libraries(code or {"": f"import {manifest.module}"})
    needed = {name: number for name, number in imported.items() if name != "python"} | {
        n: version(n) for n in ("mlflow", "pandas")
    }
    return [f"{name}=={number}" for name, number in sorted(needed.items())]


def move_aliases(project: Project, client: MlflowClient, model: str) -> None:
    """Set the aliases of a model in MLflow's registry as they are in the target's."""
    name = registered_name(project, model)
    mlflow_versions = {
        version.tags.get(VERSION_ID): version
        for version in client.search_model_versions(f"name = '{name}'")
    }
    if not mlflow_versions:
        return
    ours = {
        alias: _identity(project, version)
        for version in project.target.registry.versions(model)
        for alias in version.aliases
    }
    our_aliases = {
        alias: str(mlflow_versions[identity].version)
        for alias, identity in ours.items()
        if identity in mlflow_versions
    }
    theirs = {
        alias: str(number) for alias, number in client.get_registered_model(name).aliases.items()
    }
    if our_aliases == theirs:
        return
    with project.target.calls.mutating("mlflow.set_aliases", name):
        for alias in theirs.keys() - our_aliases.keys():
            client.delete_registered_model_alias(name, alias)
        for alias in sorted(
            alias for alias in our_aliases if theirs.get(alias) != our_aliases[alias]
        ):
            client.set_registered_model_alias(name, alias, our_aliases[alias])
