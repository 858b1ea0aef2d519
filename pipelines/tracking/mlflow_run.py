"""Write one training run to MLflow, so that a kill leaves what the next copy completes.

It is found again by a tag.
"""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ...errors import NotFound
from ...times import epoch_milliseconds
from ..run_pages import runs
from ..run_pages.notes import Notes
from ..run_pages.records import Run, record_uri
from ..run_pages.report_store import run_uri
from ..runs import watch
from ..runs.artifacts import digest_text
from . import fields

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRun

    from ...core.runtime.project import Project

_BATCH = 100  # of parameters and of tags that MLflow takes at once
_METRICS = 1000


def identity(project: Project, run: str) -> str:
    """Return the tag value by which the copy of a training run is found in MLflow.

    It is the same from every checkout of the project.
    """
    return digest_text(f"{project.target.blobs.root}\n{project.spec.name}\n{run}")[:32]


def digest(run: Run, notes: Notes) -> str:
    """Return a digest of all that is copied of a run to MLflow, to detect later changes."""
    return digest_text(msgspec.json.encode([1, run, notes], order="sorted"))


def experiment(project: Project, client: MlflowClient) -> str:
    """Return the id of the project's MLflow experiment, creating it if needed."""
    from mlflow.exceptions import MlflowException

    name = project.spec.name
    if (existing := client.get_experiment_by_name(name)) is None:
        with project.target.calls.mutating("mlflow.create_experiment", name):
            try:
                return client.create_experiment(name)
            except MlflowException:  # somebody else made it
                existing = client.get_experiment_by_name(name)
                if existing is None:
                    raise
    return existing.experiment_id


def find(client: MlflowClient, experiment_id: str, run_id: str) -> MlflowRun | None:
    """Return the MLflow run that is the copy of a training run, or None.

    A deleted one is returned if there is no other.
    """
    from mlflow.entities import ViewType

    copies = client.search_runs(
        [experiment_id],
        f"tags.`{fields.RUN_ID}` = '{run_id}'",
        run_view_type=ViewType.ALL,
        max_results=10,
    )
    return min(
        copies,
        key=lambda run: (run.info.lifecycle_stage == "deleted", run.info.run_id),
        default=None,
    )


def copy(
    project: Project,
    client: MlflowClient,
    experiment_id: str,
    run: Run,
    notes: Notes,
    *,
    existing: MlflowRun | None,
) -> str:
    """Write a training run to MLflow, over an earlier copy of it, and return its MLflow id.

    The caller writes the digest afterwards, so that an interrupted copy counts as changed.
    """
    run_id = identity(project, run.name)
    tags = fields.tags(run, notes, project=project.spec.name, run_id=run_id)
    if existing is None:
        existing = client.create_run(
            experiment_id,
            epoch_milliseconds(run.started),
            {fields.RUN_ID: run_id},
            run_name=run.name,
        )
    mlflow_id: str = existing.info.run_id
    _log(client, mlflow_id, run, tags)
    _log_data(project, client, mlflow_id, run)
    _log_files(project, client, mlflow_id, run)
    client.set_terminated(
        mlflow_id, "FINISHED" if run.status == "done" else "FAILED", epoch_milliseconds(run.ended)
    )
    return mlflow_id


def _log(client: MlflowClient, mlflow_id: str, run: Run, tags: dict[str, str]) -> None:
    """Log a training run's metrics, parameters and tags to MLflow, in batches."""
    from mlflow.entities import Metric, Param, RunTag

    metrics = [
        Metric(metric.key, metric.value, metric.at, metric.step) for metric in fields.metrics(run)
    ]
    params = [Param(name, text) for name, text in fields.parameters(run).items()]
    run_tags = [RunTag(name, text) for name, text in tags.items()]
    for start in range(0, len(metrics), _METRICS):
        client.log_batch(mlflow_id, metrics=metrics[start : start + _METRICS])
    for start in range(0, max(len(params), len(run_tags)), _BATCH):
        client.log_batch(
            mlflow_id, params=params[start : start + _BATCH], tags=run_tags[start : start + _BATCH]
        )


def _log_data(project: Project, client: MlflowClient, mlflow_id: str, run: Run) -> None:
    """Log a run's training set to MLflow as a dataset."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    if run.data is None:
        return
    with suppress(NotFound):  # its rows are not kept
        read = fields.data_set(
            run.data,
            objective=run.objective,
            uri=watch.artifact_uri(project, run.name, "dataset", "data"),
        )
        dataset = Dataset(read.name, read.digest, "isthmus", read.source, read.schema, read.profile)
        client.log_inputs(
            mlflow_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])]
        )


def _log_files(project: Project, client: MlflowClient, mlflow_id: str, run: Run) -> None:
    """Log a run's record, page, log and configuration to MLflow, as far as they exist."""
    blobs = project.target.blobs
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for uri in (
            record_uri(blobs, run.name),
            run_uri(blobs, run.name),
            runs.log_uri(blobs, run.name),
        ):
            with suppress(NotFound):
                (folder / uri.rpartition("/")[2]).write_bytes(blobs.get(uri))
        if run.config:
            (folder / Path(run.path).name).write_text(run.config, encoding="utf-8")
        client.log_artifacts(mlflow_id, str(folder))
