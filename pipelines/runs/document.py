"""Read and write the documents of a run in blobs.

They are `runs/<run>/run.json`, written at submit, and in `runs/<run>/<step>/`: log.txt, key.json,
<artifact>/..., <artifact>.manifest.json, step.json of a finished step, failed.json of one that
failed. step.json goes last: a step is finished if and only if it is there, and its artifacts are
then complete.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

import msgspec

from ...core.formats import Kind, StoredDocument, decode
from ...errors import Invalid, NotFound
from ...storage import BlobStore
from ...target import Profile
from ..graphs.graph import Parameter, Step, Value

Scalar = float | int | bool | str
Settled = Literal["cached", "skipped"]


class _Given(msgspec.Struct, frozen=True, tag="given"):
    """A literal parameter in run.json, so that no literal can be taken for a reference."""

    value: Any


class StoredFolder(msgspec.Struct, frozen=True):
    """An artifact: where it is below the store's root (storage.located), and its tree's digest."""

    uri: str
    digest: str


class RunDocument(StoredDocument, frozen=True, kw_only=True, tag=2):
    """The document run.json. It holds no secrets: the profile has none."""

    run: str
    run_id: str
    pipeline: str
    project_file: str | None
    folder: str
    profile: Profile
    version: str  # of Isthmus
    retry_of: str | None
    submitted: datetime
    parameters: dict[str, Any]
    steps: tuple[Step, ...]  # in order
    settled: dict[str, Settled]  # what submit found that need not run
    code: StoredFolder | None = (
        None  # the project's files, when `folder` is not where the steps run
    )

    def step(self, name: str) -> Step:
        """Return the step of this name; raise NotFound if the run has none."""
        for step in self.steps:
            if step.name == name:
                return step
        raise NotFound(
            f"run {self.run} has no step {name} (it has "
            f"{', '.join(step.name for step in self.steps)})"
        )


class StepResult(StoredDocument, frozen=True, kw_only=True):
    """The document step.json.

    A cached step's names the run that computed it, and that run's artifacts.
    """

    run: str
    step: str
    key: str
    parts: dict[str, str]
    outputs: dict[str, Scalar]
    artifacts: dict[str, StoredFolder]
    started: datetime
    ended: datetime
    attempts: int
    cached_from: str | None = None


class StepFailure(StoredDocument, frozen=True, kw_only=True, tag=2):
    """The document failed.json.

    `error` and `message` are the class and the text of what a step's function raised; None: it
    raised nothing, or format 1. `remedy` is that of an error of ours.
    """

    reason: str
    attempts: int
    error: str | None = None
    message: str | None = None
    remedy: str | None = None


def runs_folder(root: str) -> str:
    """Return the URI of the folder of all runs below a blob store's root."""
    return f"{root.rstrip('/')}/runs"


def run_uri(root: str, run: str) -> str:
    """Return the URI of a run's document, run.json, below a blob store's root."""
    return f"{runs_folder(root)}/{run}/run.json"


def folder_of(uri: str) -> str:
    """Return the URI of the folder that holds a document."""
    return uri.rpartition("/")[0]


def local_path(uri: str) -> Path | None:
    """Return the path of a file URI; None for another scheme.

    Artifacts under a file URI are read and written in place.
    """
    return Path(unquote(uri.removeprefix("file://"))) if uri.startswith("file://") else None


def encode_run(document: RunDocument) -> bytes:
    """Return a run's document as JSON bytes; literal parameters are wrapped to keep their types."""
    steps = tuple(
        msgspec.structs.replace(
            step,
            parameters={
                name: v if isinstance(v, (Value, Parameter)) else _Given(v)
                for name, v in step.parameters.items()
            },
        )
        for step in document.steps
    )
    return msgspec.json.format(msgspec.json.encode(msgspec.structs.replace(document, steps=steps)))


def decode_run(data: bytes, uri: str) -> RunDocument:
    """Return a run's document from the bytes of run.json, with its parameters unwrapped.

    Raises:
        Refused: it is of a newer format.
        Invalid: it is damaged.
    """
    document = decode(data, RunDocument, what=uri, remedy="submit under a new name")
    return msgspec.structs.replace(document, steps=tuple(_unwrap(step) for step in document.steps))


def _unwrap(step: Step) -> Step:
    """Return a stored step with its parameter values unwrapped."""
    values = {
        name: msgspec.convert(wrapped, _Given | Value | Parameter)
        for name, wrapped in step.parameters.items()
    }
    return msgspec.structs.replace(
        step,
        parameters={name: v.value if isinstance(v, _Given) else v for name, v in values.items()},
    )


def read(blobs: BlobStore, uri: str, kind: type[Kind]) -> Kind:
    """Read a JSON document of a run from the blob store, as this type.

    Raises:
        NotFound: it is not there.
        Refused: it is of a newer format.
        Invalid: its bytes are not what we wrote.
    """
    return decode(
        blobs.get(uri),
        kind,
        what=uri,
        remedy="submit the pipeline again: what is whole is not run again",
    )


def find(blobs: BlobStore, uri: str, kind: type[Kind]) -> Kind | None:
    """Read a JSON document of a run, or return None if it is absent or damaged.

    Raises:
        Refused: it is of a newer format.
    """
    try:
        return read(blobs, uri, kind)
    except (NotFound, Invalid):
        return None


def write(blobs: BlobStore, uri: str, document: StoredDocument) -> None:
    """Store a document of a run as JSON in the blob store."""
    blobs.put(uri, msgspec.json.encode(document))


def open_run(blobs: BlobStore, run: str) -> RunDocument:
    """Read a run's document run.json, by the run's name.

    Raises:
        NotFound: there is no such run.
        Refused: it is of a newer format.
        Invalid: it is damaged.
    """
    try:
        uri = run_uri(blobs.root, run)
        return decode_run(blobs.get(uri), uri)
    except NotFound as error:
        raise NotFound(f"there is no run {run}", remedy="isthmus runs list") from error
