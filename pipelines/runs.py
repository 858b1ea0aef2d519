"""The runs that a project keeps: listed and found by name or by version."""

from __future__ import annotations

import io
import os
import re
from typing import TYPE_CHECKING, Any

import msgspec

from ..errors import Conflict, NotFound
from ..formats import StoredDocument, decode
from ..storage import BlobStore, located
from . import records
from .document import StepResult, local_path, read, runs_folder
from .records import Run

if TYPE_CHECKING:
    import pyarrow as pa

    from ..runtime import Project

COUNTER = "runs/counter"


class Counter(StoredDocument, frozen=True, kw_only=True):
    """State `runs/counter`: the number of the newest run."""

    last: int

    @classmethod
    def upgraded(cls, old: Any, _schema: int, /) -> Any:
        return {"last": old}  # a bare number


def next_name(project: Project) -> str:
    """r1, r2, ...: each given once, whoever asks at the same time."""
    state = project.target.state
    while True:
        found = state.get(COUNTER)
        number = decode(found.value, Counter, what=f"state {COUNTER}").last + 1 if found else 1
        try:
            state.put(COUNTER, msgspec.json.encode(Counter(last=number)), expect=found.token if found else None)
        except Conflict:
            continue  # somebody else took it
        return f"r{number}"


def names(blobs: BlobStore) -> tuple[str, ...]:
    """Training runs that have ended, oldest first."""
    found = re.compile(re.escape(runs_folder(blobs.root)) + r"/([^/]+)/record\.json")
    hits = (found.fullmatch(info.uri) for info in blobs.list(f"{runs_folder(blobs.root)}/"))
    return tuple(sorted((hit[1] for hit in hits if hit), key=_age))


def _age(name: str) -> tuple[int, str]:
    digits = name[1:]
    return (int(digits) if digits.isdigit() else 0, name)


def begun(project: Project) -> tuple[str, ...]:
    """Names that were given after that of the newest training run that ended."""
    found = project.target.state.get(COUNTER)
    last = decode(found.value, Counter, what=f"state {COUNTER}").last if found else 0
    ended = max((_age(name)[0] for name in names(project.target.blobs)), default=0)
    return tuple(f"r{number}" for number in range(ended + 1, last + 1))


def list_runs(project: Project, *, newest: int | None = None) -> tuple[Run, ...]:
    """The training runs that ended, oldest first; damaged records are left out. `newest`: so many of them at most."""
    return _all(project.target.blobs, newest)


def _all(blobs: BlobStore, newest: int | None = None) -> tuple[Run, ...]:
    every = names(blobs)
    wanted = every if newest is None else every[max(0, len(every) - newest) :]
    return tuple(run for name in wanted if (run := records.peek(blobs, name)))


def get_run(project: Project, name: str) -> Run:
    """NotFound, with the runs that there are."""
    blobs = project.target.blobs
    try:
        return records.fetch(blobs, name)
    except NotFound as error:
        there = names(blobs)
        shown = ", ".join(there[-8:]) or "none yet"
        raise NotFound(f"there is no finished training run {name} (there is: {shown})", remedy="isthmus runs list") from error


def of_version(blobs: BlobStore, version: str) -> Run | None:
    """The newest run that became a version, e.g. ranker@2."""
    return next((run for run in reversed(_all(blobs)) if run.version == version), None)


def predictions_of(blobs: BlobStore, run: str) -> pa.Table:
    """The forward predictions of a run (evaluation.SCHEMA). NotFound."""
    import pyarrow.parquet as pq

    result = read(blobs, f"{runs_folder(blobs.root)}/{run}/evaluate/step.json", StepResult)
    uri = located(blobs.root, result.artifacts["forward"].uri)
    return pq.ParquetFile(io.BytesIO(blobs.get(f"{uri}/predictions.parquet"))).read()  # read_table loads pandas


def log_uri(blobs: BlobStore, run: str) -> str:
    return f"{runs_folder(blobs.root)}/{run}/log.txt"


def shown(project: Project, uri: str) -> str:
    """A URI as a reader opens it: a path relative to the project's folder when it is below that."""
    path = local_path(uri)
    if path is None:
        return uri
    folder = project.folder.resolve()
    return os.path.relpath(path, folder) if path.resolve().is_relative_to(folder) else str(path)


def data_of(blobs: BlobStore, run: str) -> tuple[pa.Table, records.Data]:
    """The training set of a run, and what is known of it. NotFound."""
    import pyarrow.parquet as pq

    result = read(blobs, f"{runs_folder(blobs.root)}/{run}/dataset/step.json", StepResult)
    uri = located(blobs.root, result.artifacts["data"].uri)
    return pq.ParquetFile(io.BytesIO(blobs.get(f"{uri}/data.parquet"))).read(), read(blobs, f"{uri}/data.json", records.Data)
