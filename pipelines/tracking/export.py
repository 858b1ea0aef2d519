"""Copy runs to an MLflow server.

Each is copied as it ends, and the rest by `isthmus runs export --to mlflow`.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from ...errors import IsthmusError, IsthmusWarning, NotFound
from ...project.profiles.profiles import FILE
from ...reports.results import Shown, StructRows
from ..run_pages import notes, runs
from . import fields, pyfunc, server
from . import mlflow_run as copying

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRun

    from ...core.runtime.project import Project
    from ..run_pages.records import Run


class Exported(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """A run and its state in MLflow.

    It was written now, is there already as it is, or was deleted in MLflow, which stays so.
    """

    run: str
    state: Literal["written", "unchanged", "deleted"]
    url: str  # its page


def export(project: Project, *names: str, to: Literal["mlflow"] = "mlflow") -> StructRows[Exported]:
    """Copy training runs (default: all, oldest first) to the MLflow server of profiles.yaml.

    Runs that are there unchanged are left alone.

    Raises:
        NotFound: profiles.yaml names no server, or there is no such run.
        Unavailable: the server does not answer; the same command goes on from there.
        MissingDependency: MLflow is not installed.
        Refused: the target stands for a cloud (`--offline`), and the server is elsewhere.
    """
    uri = server.uri(project)
    if uri is None:
        raise NotFound(
            f"{FILE} names no server to export to",
            remedy=f"tracking: {{{to}: http://127.0.0.1:5000}}",
        )
    chosen = [runs.get_run(project, name) for name in names] or runs.list_runs(project)
    with project.lock("runs"):
        return _export(project, uri, chosen)


def mirror(project: Project, run: Run) -> None:
    """Copy a training run that has just ended to MLflow, where profiles.yaml names a server.

    A failure becomes a warning, as the run itself is complete.
    """
    try:
        if (uri := server.uri(project)) is None:
            return
        _export(project, uri, (run,))
    except IsthmusError as error:
        _warn(run, f"{error}; {error.remedy}" if error.remedy else str(error))
    except Exception as error:  # noqa: BLE001  MLflow's own, or of the place where its server keeps artifacts
        _warn(run, f"{type(error).__name__}: {error}; isthmus runs export --to mlflow")


def _warn(run: Run, why: str) -> None:
    """Warn the user that a run could not be exported to MLflow."""
    warnings.warn(f"run {run.name} is not in MLflow: {why}", IsthmusWarning, stacklevel=3)


def _export(project: Project, uri: str, chosen: Sequence[Run]) -> StructRows[Exported]:
    """Copy training runs to an MLflow server, and return what was done with each."""
    if not chosen:
        return StructRows()
    with server.client(project, uri) as client:
        experiment = copying.experiment(project, client)
        exported = StructRows(
            [_export_run(project, client, uri, experiment, run) for run in chosen]
        )
        for model in sorted({run.model for run in chosen if run.version}):
            pyfunc.move_aliases(project, client, model)
        return exported


def _export_run(
    project: Project, client: MlflowClient, uri: str, experiment: str, run: Run
) -> Exported:
    """Copy one training run to MLflow, if it is new or changed, and return what was done."""
    noted = notes.read(project.target.blobs, run.name)
    existing = copying.find(client, experiment, copying.identity(project, run.name))
    digest = copying.digest(run, noted)
    if existing is not None and (state := _state(existing, digest)):
        return Exported(run=run.name, state=state, url=_page(uri, experiment, existing.info.run_id))
    with project.target.calls.mutating("mlflow.copy", f"{uri} {run.name}"):
        mlflow_id = copying.copy(project, client, experiment, run, noted, existing=existing)
        pyfunc.register(project, client, run, mlflow_id)
        client.set_tag(mlflow_id, fields.DIGEST, digest)
    return Exported(run=run.name, state="written", url=_page(uri, experiment, mlflow_id))


def _state(existing: MlflowRun, digest: str) -> Literal["unchanged", "deleted"] | None:
    """Return whether a run's copy in MLflow is unchanged or deleted; None if it must be written.

    `digest` is that of the run now.
    """
    if existing.info.lifecycle_stage == "deleted":
        return "deleted"
    return "unchanged" if existing.data.tags.get(fields.DIGEST) == digest else None


def _page(uri: str, experiment: str, run: str) -> str:
    """Return the URL of a run's page in MLflow."""
    return f"{uri}/#/experiments/{experiment}/runs/{run}"
