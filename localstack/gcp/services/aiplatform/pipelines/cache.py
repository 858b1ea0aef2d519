"""Results of tasks that need not run again.

A result is reused for the same container, parameters and artifacts in a pipeline of the same name.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from ....core.call import Call
from .records import Inputs, Outcome, Pipelines, Run
from .specification.spec import Component


def fingerprint(run: Run, executor: Any, component: Component, arguments: Inputs) -> str:
    """Return the cache key of a pipeline task: a hash of its container and inputs.

    Artifacts count by their names, not by their contents.
    """
    inputs = (
        arguments.parameters,
        {
            key: [artifact.name for artifact in values]
            for key, values in arguments.artifacts.items()
        },
    )
    parts = (
        run.store,
        run.pipeline.pipeline_info.name,
        executor,
        component.output_definitions,
        inputs,
    )
    return hashlib.sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()


def hit(call: Call, fingerprint: str) -> Outcome | None:
    """Return the cached outcome of a pipeline task with that fingerprint, or None."""
    store = call.store(Pipelines)
    with store.lock:
        return store.results.get(fingerprint)


def keep(call: Call, fingerprint: str, outcome: Outcome) -> None:
    """Store the outcome of a pipeline task under its fingerprint."""
    store = call.store(Pipelines)
    with store.lock:
        store.results[fingerprint] = outcome
