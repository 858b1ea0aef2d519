"""The run of a batch prediction job: a model server, batches one after the other, results."""

from __future__ import annotations

import itertools
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from google.cloud.aiplatform_v1.types import DeployedModel, JobState
from google.protobuf import json_format
from google.rpc.code_pb2 import (
    CANCELLED,
    FAILED_PRECONDITION,
    INTERNAL,
    INVALID_ARGUMENT,
    UNAVAILABLE,
)

from .....serving.connections import Answer, NotReached, TimedOut
from .....serving.model_server import ModelServer
from ....core.call import Call
from ....core.errors import GcpError
from ....core.resources.standard_methods import change_if_present
from ..endpoints import model_servers
from .instances import BatchInstance, items
from .results import PredictionFailure, Results, results

_JSON = (("content-type", "application/json"),)
_SECONDS = 600.0  # in which a batch must be answered
# seconds in which a process whose connection has broken has ended, if that is why: on a busy
# machine it is soon, not at once
_EXIT = 10.0
_BATCH = 64  # ManualBatchTuningParameters.batch_size's default
_encode = msgspec.json.Encoder().encode


class _Predictions(msgspec.Struct):
    predictions: list[Any]


_predictions = msgspec.json.Decoder(_Predictions)


class Work:
    """The run of one job. `model`: the version that predicts."""

    def __init__(self, call: Call, job: Any, model: Any) -> None:
        self._call = call
        self._job = job
        self._model = model
        self._stop = threading.Event()
        self._server: ModelServer | None = None
        self._folder = call.home / "batch" / job.name.rpartition("/")[2]
        self._counts = {"successful_count": 0, "failed_count": 0}
        self._last: PredictionFailure | None = None

    def run(self) -> None:
        """Run a batch prediction job to its end, and store how it ended."""
        try:
            self._begin()
            self._work()
            self._end(*self._verdict())
        except GcpError as error:
            self._end(
                *(
                    _CANCELLED_END
                    if self._stop.is_set()
                    else (JobState.JOB_STATE_FAILED, error.code, error.message)
                )
            )
        except Exception as error:
            # the stack's own mistake must show as the service's, not as a job that never ends
            self._end(JobState.JOB_STATE_FAILED, INTERNAL, f"the local stack failed: {error!r}")
            raise
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def cancel(self) -> None:
        """Stop a batch prediction job soon, whatever its model server is doing."""
        self._stop.set()
        if self._server is not None:
            self._server.kill()

    def _begin(self) -> None:
        """Set the stored batch prediction job's state to running, with its start time."""

        def begun(job: Any) -> None:
            if not self._stop.is_set():
                job.state = int(JobState.JOB_STATE_RUNNING)
            job.start_time.CopyFrom(self._call.now_pb())

        self._change(begun)

    def _work(self) -> None:
        """Start a model server, and have it predict for every instance of the job.

        Raises:
            GcpError: The server does not start, or exits; or an input or output does not exist.
        """
        server = self._server = self._new_server()
        try:
            if not self._stop.is_set():
                self._start(server)
                self._predict(server)
        finally:
            server.kill()

    def _new_server(self) -> ModelServer:
        """Return a model server for this job, not started yet."""
        number = self._job.name.rpartition("/")[2]
        deployed = DeployedModel.pb()(
            id=number, disable_container_logging=self._job.disable_container_logging
        )
        deployed.dedicated_resources.machine_spec.CopyFrom(
            self._job.dedicated_resources.machine_spec
        )
        place = f"{self._job.name.rpartition('/batchPredictionJobs/')[0]}/endpoints/{number}"
        return model_servers.model_server(self._call, place, deployed, self._model)

    def _start(self, server: ModelServer) -> None:
        """Start the model server, and wait until it is healthy."""
        problem = server.start(
            lambda folder: model_servers.copy_model_files(self._call, self._model, folder),
            model_servers.start_timeout(self._model),
        )
        if problem is not None:
            raise GcpError(
                "FAILED_PRECONDITION", f"Model server never became ready. (local stack: {problem})"
            )

    def _predict(self, server: ModelServer) -> None:
        """Send all instances to the model server in batches, and write its predictions."""
        output = results(self._call, self._job, self._model.display_name or "model", self._folder)
        self._change(lambda job: job.output_info.CopyFrom(output.info))
        size = self._job.manual_batch_tuning_parameters.batch_size or _BATCH
        every = iter(items(self._call, self._job))
        while batch := list(itertools.islice(every, size)):
            if self._stop.is_set() or self._call.stopping.is_set():
                return
            self._ask(server, batch, output)
        output.close()

    def _ask(self, server: ModelServer, batch: Sequence[BatchInstance], output: Results) -> None:
        """Send one batch of instances to the model server, and write its predictions or errors."""
        for item in batch:
            if item.wrong:
                self._fail([item], PredictionFailure(INVALID_ARGUMENT, item.wrong), output)
        good = [item for item in batch if not item.wrong]
        if not good:
            return
        answer = self._answer(server, [item.sent for item in good])
        if isinstance(answer, PredictionFailure):
            self._fail(good, answer, output)
        elif len(answer) != len(good):
            text = f"The model server answered {len(answer)} predictions to {len(good)} instances."
            self._fail(good, PredictionFailure(INTERNAL, text), output)
        else:
            output.add(good, answer)
            self._counts["successful_count"] += len(good)

    def _answer(self, server: ModelServer, sent: Sequence[Any]) -> list[Any] | PredictionFailure:
        """Send instances to the model server; return its predictions, or one failure for all.

        Raises:
            GcpError: The server's process has exited, which ends the job.
        """
        body: dict[str, Any] = {"instances": sent}
        if self._job.HasField("model_parameters"):
            body["parameters"] = json_format.MessageToDict(self._job.model_parameters)
        try:
            return _read(server.predict(_encode(body), _JSON, seconds=_SECONDS))
        except (NotReached, TimedOut) as error:
            if (code := _exit_code(server)) is not None:
                raise GcpError(
                    "FAILED_PRECONDITION", f"Model server exited unexpectedly, with code {code}."
                ) from error
            return PredictionFailure(UNAVAILABLE, f"The model server does not answer: {error}")

    def _fail(
        self, batch: Sequence[BatchInstance], failure: PredictionFailure, output: Results
    ) -> None:
        """Write the instances of a batch that has no predictions to the error output."""
        output.fail(batch, failure)
        self._counts["failed_count"] += len(batch)
        self._last = failure

    def _verdict(self) -> tuple[JobState, int, str]:
        """Return how the job ended: its final state, an error code and an error message."""
        if self._stop.is_set():
            return _CANCELLED_END
        if self._last is not None and not self._counts["successful_count"]:
            return (
                JobState.JOB_STATE_FAILED,
                FAILED_PRECONDITION,
                f"No instance was predicted. The last error: {self._last.message}",
            )
        return JobState.JOB_STATE_SUCCEEDED, 0, ""

    def _end(self, state: JobState, code: int = 0, message: str = "") -> None:
        """Store the job's final state, its end time and its error."""

        def ended(job: Any) -> None:
            job.state = int(state)
            job.end_time.CopyFrom(self._call.now_pb())
            for name, count in self._counts.items():
                setattr(job.completion_stats, name, count)
            if code:
                job.error.code, job.error.message = code, message

        if not self._call.stopping.is_set():
            self._change(ended)

    def _change(self, change: Callable[[Any], None]) -> None:
        """Apply `change` to the stored job's message, in place."""
        change_if_present(self._call, self._job.name, change)


_CANCELLED_END = (
    JobState.JOB_STATE_CANCELLED,
    CANCELLED,
    "The batch prediction job was cancelled.",
)


def _exit_code(server: ModelServer) -> int | None:
    """Wait briefly for a model server's exit; return its exit code, or None if it still runs.

    A process that exits closes its connections before it has a code.
    """
    until = time.monotonic() + _EXIT
    while server.ended is None and time.monotonic() < until:
        time.sleep(0.01)
    return server.ended


def _read(answer: Answer) -> list[Any] | PredictionFailure:
    """Return the predictions in a model server's answer, or the reason why there are none."""
    if answer.status != 200:
        return PredictionFailure(
            INVALID_ARGUMENT if answer.status < 500 else INTERNAL,
            answer.body.decode("utf-8", "replace"),
        )
    try:
        return _predictions.decode(answer.body).predictions
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return PredictionFailure(
            INTERNAL, f"The model server's answer is not a JSON object with `predictions`: {error}"
        )
