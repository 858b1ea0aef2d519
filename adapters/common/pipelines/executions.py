"""Documents that tie a run of ours to the provider's execution, stored in the project's blobs."""

from __future__ import annotations

import msgspec

from ....core.formats import StoredDocument, decode
from ....errors import NotFound
from ....pipelines.port import PipelineRun
from ....storage import BlobStore


class Execution(StoredDocument, frozen=True, kw_only=True):
    """A run, and what the provider calls it: `executions/<run_id>.json` in the blobs.

    It is written before anything starts, so that a repeat asks for exactly the same.
    """

    run: PipelineRun
    pipeline: str  # the provider's name
    version: int | None = None  # where the provider numbers a pipeline's: known before the start
    arn: str | None = None  # where the provider names an execution itself: known after it


def read(blobs: BlobStore, run_id: str) -> Execution | None:
    """Return the record of a run's execution at the provider; None if it was never submitted."""
    uri = _uri(blobs, run_id)
    try:
        return decode(blobs.get(uri), Execution, what=uri)
    except NotFound:
        return None


def write(blobs: BlobStore, execution: Execution) -> Execution:
    """Store which execution of the provider a pipeline run has, and return that record."""
    blobs.put(_uri(blobs, execution.run.run_id), msgspec.json.encode(execution))
    return execution


def _uri(blobs: BlobStore, run_id: str) -> str:
    """Return the URI of the document that records a run's execution at the provider."""
    return f"{blobs.root.rstrip('/')}/executions/{run_id}.json"
