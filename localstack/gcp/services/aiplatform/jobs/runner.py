"""The run of a custom job: replicas as processes, lines in Cloud Logging, an end with a reason."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

from google.cloud.aiplatform_v1.types import CustomJob, JobState
from google.rpc.code_pb2 import DEADLINE_EXCEEDED, FAILED_PRECONDITION, INTERNAL, INVALID_ARGUMENT

from .....core.http.ports import free_port
from .....jobs.process import ProcessEnd, run
from ....core.call import Call
from ....core.errors import GcpError
from ....core.resources.standard_methods import change_if_present
from ....core.resources.store import Resources
from . import containers, gcs_mount
from . import variables as contract
from .containers import Program
from .images import is_training, own_command, unmapped_message
from .logs import Lines
from .packages import python_program
from .records import Jobs, Running
from .variables import Replica

CustomJobPb = CustomJob.pb()
_GRACE = 10.0  # seconds between SIGTERM and SIGKILL
_WEEK = 7 * 86_400  # Scheduling.timeout's default


class JobFailed(Exception):
    """The job ends in JOB_STATE_FAILED with this code (google.rpc) and this message."""

    def __init__(self, message: str, code: int = FAILED_PRECONDITION) -> None:
        super().__init__(message)
        self.code = code


def run_in_background(
    call: Call, job: Any, *, words: tuple[str, ...] = (), folders: tuple[str, ...] = ()
) -> Running:
    """Store a custom job, and run it in the background.

    The result's `done` is set once the job's final state is stored.

    Args:
        call: The call that asks for it.
        job: The job's message.
        words: More text that names objects which are to be under /gcs.
        folders: Paths under /gcs that exist from the start.
    """
    running = call.store(Jobs).running[job.name] = Running()
    call.store(Resources).add(job.name, job)
    call.spawn(_Work(call.without_request(), job.name, running, (words, folders)).run)
    return running


class _Work:
    """The run of one job."""

    def __init__(
        self,
        call: Call,
        name: str,
        running: Running,
        mounted_places: tuple[tuple[str, ...], tuple[str, ...]],
    ) -> None:
        self.call = call
        self.name = name
        self.running = running
        self.words, self.folders = mounted_places
        self.id = name.rpartition("/")[2]
        self.folder = call.home / "jobs" / self.id
        self.mounted = self.folder / "mounted"
        self.spec = call.store(Resources).get("CustomJob", name).job_spec
        self.over = threading.Event()
        self.ends: dict[str, ProcessEnd] = {}
        self.left_out: list[str] = []

    def run(self) -> None:
        """Run a custom job to its end, and store how it ended."""
        try:
            with self.call.store(Jobs).places:
                self._end(self._run())
        except JobFailed as error:
            self._end(JobState.JOB_STATE_FAILED, error.code, str(error))
        except GcpError as error:
            self._end(JobState.JOB_STATE_FAILED, error.code, error.message)
        except Exception as error:
            # the stack's own mistake must show as the service's, not as a job that never ends
            if not self.call.stopping.is_set():
                self._end(JobState.JOB_STATE_FAILED, INTERNAL, f"the local stack failed: {error!r}")
                raise
        finally:
            self.running.done.set()
            shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self, state: JobState, code: int = 0, message: str = "") -> None:
        """Store the custom job's final state, end time and error."""

        def ended(job: Any) -> None:
            job.state = int(state)
            job.end_time.CopyFrom(self.call.now_pb())
            if message:
                job.error.code, job.error.message = code, message

        change_if_present(self.call, self.name, ended)

    def _run(self) -> JobState:
        """Run the job: copy objects in, run replicas, upload changes; return the final state."""
        if self.running.stop.is_set():
            return JobState.JOB_STATE_CANCELLED
        self.mounted.mkdir(parents=True)
        programs = [
            self._program(pool, self.folder / f"pool{index}")
            for index, pool in enumerate(self.spec.worker_pool_specs)
        ]
        words = [*self.words, *(word for program in programs for word in program.words)]
        mount_state, self.left_out = gcs_mount.copy_named_objects(self.call, self.mounted, words)
        for path in self.folders:
            (self.mounted / path).mkdir(parents=True, exist_ok=True)

        def begun(job: Any) -> None:
            if not self.running.stop.is_set():
                job.state = int(JobState.JOB_STATE_RUNNING)
            job.start_time.CopyFrom(self.call.now_pb())

        change_if_present(self.call, self.name, begun)
        try:
            return self._replicas(programs)
        finally:
            if not self.call.stopping.is_set():
                gcs_mount.upload_changes(self.call, self.mounted, mount_state)

    def _program(self, pool: Any, folder: Path) -> Program:
        """Return the program that a worker pool's replicas run, from a container or packages."""
        package = pool.WhichOneof("task") == "python_package_spec"
        image = (
            pool.python_package_spec.executor_image_uri
            if package
            else pool.container_spec.image_uri
        )
        own = own_command(self.call.images, image)
        if own is None:
            raise JobFailed(unmapped_message(image), INVALID_ARGUMENT)
        if package:
            return python_program(self.call, pool.python_package_spec, own, folder)
        spec = pool.container_spec
        env = {variable.name: variable.value for variable in spec.env}
        return Program(
            image=image, own=own, command=tuple(spec.command), args=tuple(spec.args), env=env
        )

    def _replicas(self, programs: list[Program]) -> JobState:
        """Run one replica of each program in parallel, and return the job's final state.

        The job ends when its chief ends or when any replica fails.
        """
        pools = [max(pool.replica_count, 1) for pool in self.spec.worker_pool_specs]
        replicas = [
            Replica(pool=pool, index=index, port=free_port())
            for pool, count in enumerate(pools)
            for index in range(count)
        ]

        def work(replica: Replica) -> None:
            try:
                self.ends[replica.name] = self._replica(programs[replica.pool], replicas, replica)
            except OSError as error:
                self.running.tail.append(f"the container's command cannot be started: {error}")
                self.ends[replica.name] = ProcessEnd(code=127, why="itself")
            if replica.chief or self.ends[replica.name].code:
                self.over.set()

        threads = [self.call.spawn(work, replica) for replica in replicas[1:]]
        work(replicas[0])
        for thread in threads:
            thread.join()
        return self._verdict()

    def _verdict(self) -> JobState:
        """Return the job's final state after its replicas have ended, or raise JobFailed."""
        if self.running.stop.is_set() and any(
            ended.why == "stopped" for ended in self.ends.values()
        ):
            return JobState.JOB_STATE_CANCELLED
        if any(ended.why == "overdue" for ended in self.ends.values()):
            raise JobFailed(
                f"The job {self.name} ran longer than its scheduling.timeout.", DEADLINE_EXCEEDED
            )
        for replica, ended in sorted(self.ends.items()):
            if ended.why == "itself" and ended.code:
                lines = "".join(f"\n{line}" for line in self.running.tail)
                raise JobFailed(
                    f"The replica {replica} exited with a non-zero status of {ended.code}. "
                    f"The end of its log:{lines}"
                )
        return JobState.JOB_STATE_SUCCEEDED

    def _replica(self, program: Program, replicas: list[Replica], replica: Replica) -> ProcessEnd:
        """Run one replica of a job, log its output, and return how its process ended.

        `replicas` are all of the job's, which its environment names.
        """
        call = self.call
        container = containers.make_folders(self.folder / replica.name, self.mounted)
        lines = Lines(call, self.name, replica.name)
        for remark in (
            *containers.differences(container),
            *_image_remarks(program),
            *map(_name_remark, self.left_out),
        ):
            lines.write(remark)
        base = self.spec.base_output_directory.output_uri_prefix
        variables = contract.variables(self.id, base, replicas, replica, self.name.split("/")[1])
        seconds = self.spec.scheduling.timeout.ToTimedelta().total_seconds() or _WEEK
        began = call.clock.now()

        def line(text: str) -> None:
            lines.write(text)
            self.running.tail.append(text)

        try:
            return run(
                containers.command(container, program),
                env=containers.environment(call, container, program, variables),
                folder=container.work,
                line=line,
                tick=lines.flush_if_due,
                stop=_Either(self.running.stop, self.over),
                reset=call.stopping,
                overdue=lambda: (call.clock.now() - began).total_seconds() > seconds,
                grace=_GRACE,
                on_stop=call.on_stop,
            )
        finally:
            lines.flush()


class _Either(threading.Event):
    """An event that is set when one of two others is."""

    def __init__(self, *events: threading.Event) -> None:
        super().__init__()
        self._events = events

    def is_set(self) -> bool:
        """Return whether either of the two events is set."""
        return any(event.is_set() for event in self._events)


def _image_remarks(program: Program) -> list[str]:
    """Return log lines that say which Python runs a program instead of the job's image."""
    if not is_training(program.image):
        return []
    return [
        (
            f"[local stack] {program.image} is the Python beside the stack: what it has "
            "installed is not that image's"
        )
    ]


def _name_remark(uri: str) -> str:
    """Return a log line that says that the object at `uri` has no name that a file can have."""
    return f"[local stack] {uri} is not under {gcs_mount.MOUNT}: no file can have its name here"
