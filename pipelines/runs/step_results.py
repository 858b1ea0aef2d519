"""Pass results between steps.

Results of steps become a step's parameters and inputs, and what a step returned its own result.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from ...storage import BlobStore
from ..graphs.graph import Artifact, Parameter, Step, Value
from .artifacts import digest_uri
from .cache import remember
from .document import RunDocument, StepResult, folder_of, run_uri, write


def resolve(document: RunDocument, step: Step, results: Mapping[str, StepResult]) -> dict[str, Any]:
    """Return a step's parameters as values, by name.

    References to the run's parameters and to outputs in `results` (those of earlier steps) are
    replaced.
    """

    def value_of(source: object) -> object:
        if isinstance(source, Parameter):
            return document.parameters[source.name]
        return results[source.step].outputs[source.output] if isinstance(source, Value) else source

    return {name: value_of(source) for name, source in step.parameters.items()}


def input_digests(
    blobs: BlobStore, step: Step, results: Mapping[str, StepResult]
) -> dict[str, str]:
    """Return the digest of each input of a step by name, for its cache key.

    `results` are those of the steps before it.
    """
    return {
        name: results[source.step].artifacts[source.name].digest
        if isinstance(source, Artifact)
        else digest_uri(blobs, source)
        for name, source in step.inputs.items()
    }


def adopt(
    blobs: BlobStore, document: RunDocument, step: Step, cached: StepResult, now: datetime
) -> StepResult:
    """Store a cached result under this run, too: the same values and artifacts, without copying.

    `cached` is the result of an earlier run.
    """
    result = msgspec.structs.replace(
        cached,
        run=document.run,
        started=now,
        ended=now,
        attempts=0,
        cached_from=cached.cached_from or cached.run,
    )
    publish(blobs, document, step, result)
    return result


def publish(blobs: BlobStore, document: RunDocument, step: Step, result: StepResult) -> None:
    """Write a step's result (step.json), then the cache's index.

    If the process is killed in between, readers see a whole result or none.
    """
    folder = step_folder(blobs, document.run, step.name)
    write(blobs, f"{folder}/step.json", result)
    remember(blobs, document, step, result)


def step_folder(blobs: BlobStore, run: str, step: str) -> str:
    """Return the URI of the folder of a step's results."""
    return f"{folder_of(run_uri(blobs.root, run))}/{step}"
