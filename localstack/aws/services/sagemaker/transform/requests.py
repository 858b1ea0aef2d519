"""The requests of a transform job to its model server, and their answers."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from .....serving.connections import Answer, NotReached, TimedOut
from .....serving.model_server import ModelServer
from ..jobs.logs import LogStream
from ..jobs.records import Job
from ..jobs.runner import JobFailed
from . import batches as records
from .batches import BadRecord, Filters

# as a container says them: as a request does
STRATEGIES = {
    "MULTI_RECORD": "MultiRecord",
    "SINGLE_RECORD": "SingleRecord",
}
_TIMEOUT, _RETRIES = 600, 0  # of an invocation, where ModelClientConfig says nothing
_MB = 1 << 20


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of a job, with its container's own where the job says nothing."""

    headers: tuple[tuple[str, str], ...]
    most: int | None  # bytes of a request
    several: bool  # records in one
    at_once: int
    by_line: bool
    assembled: bool
    unpacked: bool
    timeout: float
    retries: int
    filters: Filters


def settings_of(params: dict[str, Any], server: ModelServer) -> Settings:
    """Return a transform job's settings (payload, strategy ...).

    What the request leaves out is taken from the container's /execution-parameters, else
    SageMaker's default.
    """
    source, output, client = (
        params["TransformInput"],
        params["TransformOutput"],
        params.get("ModelClientConfig") or {},
    )
    own = _execution_parameters(server)
    megabytes = params.get("MaxPayloadInMB", own.get("MaxPayloadInMB", 6))
    strategy = params.get("BatchStrategy") or STRATEGIES.get(
        str(own.get("BatchStrategy")), "MultiRecord"
    )
    headers = {"content-type": source.get("ContentType"), "accept": output.get("Accept")}
    return Settings(
        headers=tuple((name, value) for name, value in headers.items() if value),
        most=int(megabytes * _MB) or None,
        several=strategy == "MultiRecord",
        at_once=params.get("MaxConcurrentTransforms")
        or int(own.get("MaxConcurrentTransforms") or 1),
        by_line=source.get("SplitType") == "Line",
        assembled=output.get("AssembleWith") == "Line",
        unpacked=source.get("CompressionType") == "Gzip",
        timeout=client.get("InvocationsTimeoutInSeconds", _TIMEOUT),
        retries=client.get("InvocationsMaxRetries", _RETRIES),
        filters=records.filters(params.get("DataProcessing") or {}, source.get("ContentType")),
    )


def _execution_parameters(server: ModelServer) -> Mapping[str, Any]:
    """Return the answer of a container's /execution-parameters; empty if it has none."""
    try:
        answer = server.connections.ask("GET", "/execution-parameters")
        parameters = json.loads(answer.body) if answer.status == 200 else {}
    except (NotReached, TimedOut, ValueError):
        return {}
    return parameters if isinstance(parameters, dict) else {}


class Asker:
    """A client that sends objects to the server, one after the other.

    The mini-batches of one object are sent at once.
    """

    def __init__(self, job: Job, server: ModelServer, settings: Settings, log: LogStream) -> None:
        self._job, self._settings, self._log = job, settings, log
        self._server = server

    def transform_object(self, path: Path, inputs: Path, outputs: Path) -> str | None:
        """Transform an input object into `<name>.out`; return why the job fails, or None.

        `path` is the object's file below the folder `inputs`; `outputs` is the folder of the
        result. Nothing is written for a bad object; the others go on.
        """
        name = path.relative_to(inputs).as_posix()
        try:
            stored = self._transform(path.read_bytes())
        except JobFailed as error:
            self._log.write(f"{name}: {error}")
            return str(error)
        except (BadRecord, OSError, EOFError, zlib.error) as error:
            self._log.write(f"{name}: {error}")
            return f"ClientError: {name}: {error}"
        if stored is not None:
            target = outputs / f"{name}.out"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(stored)
        return None

    def _transform(self, data: bytes) -> bytes | None:
        """Return the model's answers to an input object's mini-batches, as one content.

        None: the job was stopped.
        """
        settings = self._settings
        data = gzip.decompress(data) if settings.unpacked else data
        whole = records.lines(data) if settings.by_line else [data]
        if settings.most is not None and not settings.by_line and len(data) > settings.most:
            raise BadRecord(
                f"the object has {len(data):,} bytes, and MaxPayloadInMB allows {settings.most:,}: "
                "SplitType: Line would divide it"
            )
        batches = list(
            records.batches(whole, settings.most, several=settings.several and settings.by_line)
        )
        with ThreadPoolExecutor(settings.at_once, thread_name_prefix="transform") as pool:
            parts = list(pool.map(self._part, batches))
        return (
            None if self._job.stop.is_set() else records.assemble(parts, by_line=settings.assembled)
        )

    def _part(self, batch: Sequence[bytes]) -> bytes:
        """Send a mini-batch to the model, and return what is stored for it."""
        settings = self._settings
        if self._job.stop.is_set():
            return b""
        requests = [settings.filters.model_input(record) for record in batch]
        answer = self._answer(b"\n".join(requests))
        if not settings.filters.outputs:
            return answer
        answers = records.lines(answer) if settings.by_line else [answer]
        if len(answers) != len(batch):
            raise BadRecord(
                f"the model gave {len(answers)} lines for {len(batch)} records: they cannot "
                "be told apart"
            )
        return b"\n".join(map(settings.filters.answered, batch, answers))

    def _answer(self, body: bytes) -> bytes:
        """Send one request to the model, with retries, and return its answer.

        Raises:
            JobFailed: The model refuses it, or has failed as often as it may.
        """
        for last in (*[False] * self._settings.retries, True):
            try:
                answer = self._server.connections.ask(
                    "POST",
                    "/invocations",
                    body,
                    self._settings.headers,
                    within=self._settings.timeout,
                )
            except (NotReached, TimedOut) as error:
                if last:
                    raise JobFailed(
                        f"AlgorithmError: {error}. See job logs for more information"
                    ) from error
                continue
            if 200 <= answer.status < 300:
                return answer.body
            if last or answer.status < 500:
                raise JobFailed(_failure_reason(answer))
        raise AssertionError("the last try returns or raises")


def _failure_reason(answer: Answer) -> str:
    """Return the job's FailureReason for an answer of the model that is an error."""
    side = "ClientError" if answer.status < 500 else "AlgorithmError"
    words = answer.body.decode("utf-8", "replace")[:200]
    return (
        f"{side}: Bad HTTP status received from algorithm: {answer.status}: {words}. See job "
        "logs for more information"
    )
