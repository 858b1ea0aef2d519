"""The pipelines that the stack keeps, their versions and executions."""

from __future__ import annotations

import queue
import threading
from datetime import datetime
from typing import Any

import msgspec

from ....core.home.declarations import leaves_out
from .definition.document import Definition


class Version(msgspec.Struct, kw_only=True):
    """A version of a pipeline."""

    number: int
    text: str
    definition: Definition | None  # None: not valid, taken as it is (--moto-answers)
    created: datetime
    display_name: str | None = None
    description: str | None = None
    last_execution: str | None = None


class Pipeline(msgspec.Struct, kw_only=True):
    """A pipeline with its versions and executions."""

    name: str
    arn: str
    role: str
    display_name: str | None
    description: str | None
    parallelism: dict[str, int] | None
    created: datetime
    modified: datetime
    token: str | None  # of the CreatePipeline call
    versions: list[Version] = []
    aliases: dict[str, int] = {}
    executions: dict[str, Execution] = {}  # by ARN, in the order of their start
    last_run: datetime | None = None

    @property
    def latest(self) -> Version:
        """The newest version."""
        return self.versions[-1]


class StepRun(msgspec.Struct, kw_only=True):
    """One step that has started."""

    name: str
    status: str
    started: datetime
    ended: datetime | None = None
    attempt: int = 1
    failure: str | None = None
    metadata: dict[str, Any] = {}
    properties: dict[str, Any] = {}  # what `Steps.<name>.` refers to
    signature: str | None = None  # of its arguments, for the cache
    cached_from: str | None = None  # the execution that did the work


@leaves_out(jobs=dict)
class Execution:
    """One run of a version. Its engine's thread writes; `events` wakes the engine."""

    def __init__(
        self, pipeline: Pipeline, version: Version, execution_id: str, now: datetime
    ) -> None:
        self.pipeline = pipeline
        self.version = version
        self.id = execution_id
        self.arn = f"{pipeline.arn}/execution/{execution_id}"
        self.created = self.modified = now
        self.status = "Executing"
        self.failure: str | None = None
        self.display_name: str | None = None
        self.description: str | None = None
        self.parallelism: dict[str, int] | None = None
        self.parameters: dict[str, object] = {}
        self.tokens: set[str] = set()  # of the calls that started, stopped and retried it
        self.steps: dict[str, StepRun] = {}
        self.jobs: dict[str, Any] = {}  # the jobs that run now, by step: what a stop stops
        self.events: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.stopping = threading.Event()
        self.done = threading.Event()
        self.lock = threading.RLock()


class Pipelines:
    """The pipelines of one account and region."""

    def __init__(self) -> None:
        self.named: dict[str, Pipeline] = {}
        self.lock = threading.RLock()
