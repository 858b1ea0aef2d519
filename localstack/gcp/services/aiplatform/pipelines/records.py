"""The state of a pipeline job during and after its run: its tasks, their inputs and outcomes."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from .specification.spec import ArtifactType, Pipeline

SUCCEEDED = ("SUCCEEDED", "SKIPPED")


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    name: str  # projects/.../metadataStores/default/artifacts/ID
    key: str  # of the output that it is
    type: ArtifactType
    uri: str = ""
    metadata: Mapping[str, Any] = {}

    def runtime(self) -> dict[str, Any]:
        """Return the artifact as an ExecutorInput holds it, as JSON-compatible Python."""
        kind = {
            name: value
            for name, value in (
                ("schemaTitle", self.type.schema_title),
                ("schemaVersion", self.type.schema_version),
            )
            if value
        } or {"instanceSchema": self.type.instance_schema}
        return {"name": self.name, "type": kind, "uri": self.uri, "metadata": dict(self.metadata)}


class Inputs(msgspec.Struct, frozen=True, kw_only=True):
    """The inputs of a task or a DAG."""

    parameters: dict[str, Any] = {}
    artifacts: dict[str, list[Artifact]] = {}


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a task: its state and its outputs."""

    state: str  # a name of PipelineTaskDetail.State
    parameters: dict[str, Any] = {}
    artifacts: dict[str, list[Artifact]] = {}
    code: int = 0  # of google.rpc
    message: str = ""

    @property
    def succeeded(self) -> bool:
        """Whether the task succeeded."""
        return self.state in SUCCEEDED


class TaskRun(msgspec.Struct, kw_only=True, eq=False):
    """One run of a task: a row of task_details. `run.lock` guards it."""

    id: int
    parent: int
    name: str
    unique_name: str
    created: datetime
    kind: str = "system.ContainerExecution"
    state: str = "PENDING"
    started: datetime | None = None
    ended: datetime | None = None
    inputs: Inputs = Inputs()
    outcome: Outcome | None = None
    execution: str = ""  # its name in the metadata store
    statuses: list[tuple[datetime, str]] = []
    jobs: list[str] = []  # CustomJobs, the last is the main one

    @property
    def folder(self) -> str:
        """The name of the task's folder below the run's folder."""
        return f"{self.name}_{self.id}"


class Run:
    """One pipeline job.

    `message` is its PipelineJob without job_detail; `lock` guards that and the tasks.
    """

    def __init__(
        self, message: Any, pipeline: Pipeline, arguments: Inputs, *, fail_fast: bool
    ) -> None:
        self.message = message
        self.name: str = message.name
        self.id = self.name.rpartition("/")[2]
        self.uuid = str(secrets.randbits(62))
        self.pipeline = pipeline
        self.arguments = arguments
        self.fail_fast = fail_fast
        self.root: str = message.runtime_config.gcs_output_directory.rstrip("/")
        self.lock = threading.RLock()
        self.tasks: list[TaskRun] = []
        self.stop = threading.Event()
        self.failed = threading.Event()
        self.done = threading.Event()

    @property
    def location(self) -> str:
        """The job's location: projects/NUMBER/locations/LOCATION."""
        return self.name.rpartition("/pipelineJobs/")[0]

    @property
    def store(self) -> str:
        """The full name of the location's default metadata store."""
        return f"{self.location}/metadataStores/default"

    def task_root(self, task: TaskRun) -> str:
        """Return the gs:// folder for a task's outputs: root/NUMBER/JOB/TASK_ID/.

        NUMBER is the project's number.
        """
        return f"{self.root}/{self.name.split('/')[1]}/{self.id}/{task.folder}"


class Pipelines:
    """The pipeline jobs of one stack by name, and cached results by fingerprint."""

    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}
        self.results: dict[str, Outcome] = {}
        self.imported: dict[str, Artifact] = {}
        self.lock = threading.RLock()


def new_task_id() -> int:
    """Return a new task id: a random signed 64-bit number, as Vertex AI's are."""
    return secrets.randbits(63) - (1 << 62)
