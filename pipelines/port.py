"""The ports PipelineEngine and ModelRegistry."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal, Protocol

import msgspec

Approval = Literal["pending", "approved", "rejected"]
StepPhase = Literal["waiting", "running", "done", "failed", "skipped", "cancelled"]
RunPhase = Literal["running", "done", "failed", "cancelling", "cancelled"]
ValueType = Literal["float", "int", "bool", "string"]


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """A small typed value that a step returns; artifacts are folders and not listed here."""

    name: str
    type: ValueType


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """A condition over an output of a `task`: the step runs only if it holds.

    Steps that need a skipped step are skipped, too.
    """

    step: str
    output: str
    op: Literal["==", ">", ">=", "<", "<="]
    value: float | int | bool | str


class StepSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A step as an engine knows it."""

    name: str
    kind: Literal["task", "training"] = "task"
    needs: tuple[str, ...] = ()
    when: Condition | None = None
    outputs: tuple[Output, ...] = ()
    machine: str = ""
    timeout: timedelta = timedelta(hours=1)
    attempts: int = 1


class PipelineRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run as an engine is given it: its steps, and where its run.json is."""

    run_id: str  # ours, 32 hex digits
    pipeline: str
    run_uri: str  # holds run.json: parameters, commands, inputs, the profile without secrets
    steps: tuple[StepSpec, ...]


class StepState(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a step, as the provider says."""

    name: str
    phase: StepPhase
    started: datetime | None = None
    ended: datetime | None = None
    reason: str | None = None
    log: str | None = None
    url: str | None = None


class RunState(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a run and of each of its steps."""

    run_id: str
    phase: RunPhase
    steps: tuple[StepState, ...]
    url: str | None = None


class ModelVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A registered version of a model."""

    model: str
    version: int
    digest: str
    uri: str  # an uncompressed model folder
    image: str
    approval: Approval
    aliases: frozenset[str]


class PipelineEngine(Protocol):
    """An engine that runs commands in an order.

    Progress is the provider's; values, artifacts and records are ours, in the BlobStore.
    """

    def submit(self, run: PipelineRun) -> None:
        """Start a pipeline run and return at once; a repeated run_id changes nothing."""
        ...

    def observe(self, run_id: str) -> RunState | None:
        """Return the provider's state of a pipeline run and of each of its steps.

        None: the run was never submitted here, or it has been deleted.
        """
        ...

    def cancel(self, run_id: str) -> None:
        """Ask the provider to stop a run, without waiting for it.

        A finished or absent run is success.
        """
        ...


class ModelRegistry(Protocol):
    """Versions of models: they are immutable; their approval and aliases move.

    The last writer wins: hold the model's lease where order matters.
    """

    def register(self, model: str, *, uri: str, digest: str, image: str) -> ModelVersion:
        """Register a model version and wait until it exists.

        If a version has the digest already, that one is returned.
        """
        ...

    def get(self, model: str, number_or_alias: int | str) -> ModelVersion:
        """Return a model's version by its number or by an alias.

        Raises:
            NotFound: there is none.
        """
        ...

    def versions(self, model: str) -> tuple[ModelVersion, ...]:
        """Return a model's registered versions, oldest first; none for an unknown model."""
        ...

    def set_alias(self, model: str, alias: str, version: int | None) -> None:
        """Move a model's alias to a version; None removes the alias if there is one.

        Raises:
            NotFound: there is no such version.
            Invalid: the name cannot be an alias.
        """
        ...

    def set_approval(self, model: str, version: int, approval: Approval, note: str) -> None:
        """Set the approval status of a model version, with a note.

        Raises:
            NotFound: there is no such version.
            Invalid: the word is no Approval.
        """
        ...
