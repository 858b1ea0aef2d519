"""PipelineEngine and ModelRegistry."""

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
    """Only over outputs of a `task`. Steps that need a skipped step are skipped too."""

    step: str
    output: str
    op: Literal["==", ">", ">=", "<", "<="]
    value: float | int | bool | str


class StepSpec(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    kind: Literal["task", "training"] = "task"
    needs: tuple[str, ...] = ()
    when: Condition | None = None
    outputs: tuple[Output, ...] = ()
    machine: str = ""
    timeout: timedelta = timedelta(hours=1)
    attempts: int = 1


class PipelineRun(msgspec.Struct, frozen=True, kw_only=True):
    run_id: str  # ours, 32 hex digits
    pipeline: str
    run_uri: str  # holds run.json: parameters, commands, inputs, the profile without secrets
    steps: tuple[StepSpec, ...]


class StepState(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    phase: StepPhase
    started: datetime | None = None
    ended: datetime | None = None
    reason: str | None = None
    log: str | None = None
    url: str | None = None


class RunState(msgspec.Struct, frozen=True, kw_only=True):
    run_id: str
    phase: RunPhase
    steps: tuple[StepState, ...]
    url: str | None = None


class ModelVersion(msgspec.Struct, frozen=True, kw_only=True):
    model: str
    version: int
    digest: str
    uri: str  # an uncompressed model folder
    image: str
    approval: Approval
    aliases: frozenset[str]


class PipelineEngine(Protocol):
    """Runs commands in an order.

    Progress is the provider's; values, artifacts and records are ours, in the BlobStore.
    """

    def submit(self, run: PipelineRun) -> None:
        """Return at once; the same run_id again changes nothing."""
        ...

    def observe(self, run_id: str) -> RunState | None:
        """The run and each of its steps as the provider says; None: nobody has submitted it here,
        or it has been deleted.
        """
        ...

    def cancel(self, run_id: str) -> None:
        """Ask, do not wait; finished or absent is success."""
        ...


class ModelRegistry(Protocol):
    """Versions are immutable; approval and aliases move.

    Last writer wins: hold the model's lease where order matters.
    """

    def register(self, model: str, *, uri: str, digest: str, image: str) -> ModelVersion:
        """Blocking; the same digest gives the same version."""
        ...

    def get(self, model: str, number_or_alias: int | str) -> ModelVersion:
        """By number or alias. NotFound."""
        ...

    def versions(self, model: str) -> tuple[ModelVersion, ...]:
        """Oldest first; none of a model that is not there."""
        ...

    def set_alias(self, model: str, alias: str, version: int | None) -> None:
        """None takes the alias away, and absent is success.

        NotFound: no such version. Invalid: no name for an alias.
        """
        ...

    def set_approval(self, model: str, version: int, approval: Approval, note: str) -> None:
        """With a note for who looks there. NotFound: no such version. Invalid: no Approval."""
        ...
