"""List and find the runs of a project, by name or by version."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

from ...errors import NotFound
from ...storage import BlobStore, located
from ..runs import names as run_names
from ..runs.document import StepResult, local_path, read, runs_folder
from . import records
from .records import Run

if TYPE_CHECKING:
    import pyarrow as pa

    from ...core.runtime.project import Project


def list_runs(project: Project, *, newest: int | None = None) -> tuple[Run, ...]:
    """Return the training runs that ended, oldest first; damaged records are left out.

    With `newest` only so many of the newest are returned.
    """
    return _all(project.target.blobs, newest)


def _all(blobs: BlobStore, newest: int | None = None) -> tuple[Run, ...]:
    """Return the records of all training runs, or of the newest, oldest first."""
    every = run_names.names(blobs)
    names = every if newest is None else every[max(0, len(every) - newest) :]
    return tuple(run for name in names if (run := records.peek(blobs, name)))


def get_run(project: Project, name: str) -> Run:
    """Return the record of a finished training run by its name.

    Raises:
        NotFound: there is none. The error names the runs that there are.
    """
    blobs = project.target.blobs
    try:
        return records.fetch(blobs, name)
    except NotFound as error:
        names = run_names.names(blobs)
        shown = ", ".join(names[-8:]) or "none yet"
        raise NotFound(
            f"there is no finished training run {name} (there is: {shown})",
            remedy="isthmus runs list",
        ) from error


def of_version(blobs: BlobStore, version: str) -> Run | None:
    """Return the newest training run that made a version such as ranker@2, or None."""
    return next((run for run in reversed(_all(blobs)) if run.version == version), None)


def predictions_of(blobs: BlobStore, run: str) -> pa.Table:
    """Return a run's forward predictions as an Arrow table, one row for each tested row.

    The columns are those of forward_evaluation.SCHEMA.

    Raises:
        NotFound: they are not there.
    """
    import pyarrow.parquet as pq

    result = read(blobs, f"{runs_folder(blobs.root)}/{run}/evaluate/step.json", StepResult)
    uri = located(blobs.root, result.artifacts["forward"].uri)
    return pq.ParquetFile(
        io.BytesIO(blobs.get(f"{uri}/predictions.parquet"))
    ).read()  # read_table loads pandas


def log_uri(blobs: BlobStore, run: str) -> str:
    """Return the URI of a training run's log."""
    return f"{runs_folder(blobs.root)}/{run}/log.txt"


def display_path(project: Project, uri: str) -> str:
    """Return a URI as text for people: relative to the project's folder if it is a file there."""
    path = local_path(uri)
    if path is None:
        return uri
    folder = project.folder.resolve()
    return os.path.relpath(path, folder) if path.resolve().is_relative_to(folder) else str(path)


def data_of(blobs: BlobStore, run: str) -> tuple[pa.Table, records.TrainingSetData]:
    """Return a run's training set as an Arrow table, with its record.

    Raises:
        NotFound: it is not there.
    """
    import pyarrow.parquet as pq

    result = read(blobs, f"{runs_folder(blobs.root)}/{run}/dataset/step.json", StepResult)
    uri = located(blobs.root, result.artifacts["data"].uri)
    return pq.ParquetFile(io.BytesIO(blobs.get(f"{uri}/data.parquet"))).read(), read(
        blobs, f"{uri}/data.json", records.TrainingSetData
    )
