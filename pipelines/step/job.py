"""Run one step of a run, the same in a cloud's job and in a local process.

The command is `python -m isthmus.pipelines.step --run RUN_URI --step NAME`. It finds everything in
run.json: the profile that opens the target, the command, the inputs. It asks the cache once more,
now that its real inputs are known; tries its command as often as it may; keeps artifacts, values,
log and result. Exit 0 done, 1 failed, 143 cancelled.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from shutil import rmtree
from typing import Any

import msgspec

from ...core.runtime.project import open_blobs, open_target
from ...errors import IsthmusError, Refused
from ...project.modules import importable
from ...storage import BlobStore
from ...times import utc_milliseconds
from ..graphs.graph import PLACEHOLDER, Artifact, Step, dependencies, fits
from ..port import ValueType
from ..runs.artifacts import fetch, fetch_uri, keep
from ..runs.cache import KeyRecord, key_parts, look_up
from ..runs.document import (
    RunDocument,
    Scalar,
    StepFailure,
    StepResult,
    decode_run,
    find,
    folder_of,
    local_path,
    read,
    write,
)
from ..runs.project_code import place_code
from ..runs.step_results import adopt, input_digests, publish, resolve
from .context import StepContext
from .execution import Cancelled, StepFailed, run_command, run_function
from .log import capture, last_line
from .supervision import Supervisor


def main(argv: list[str] | None = None) -> int:
    """Run one step of a submitted pipeline by the arguments `argv`; return the exit code."""
    parser = ArgumentParser(
        prog="python -m isthmus.pipelines.step",
        description="Run one step of a submitted pipeline.",
    )
    parser.add_argument("--run", required=True, metavar="RUN_URI")
    parser.add_argument("--step", required=True, metavar="NAME")
    parser.add_argument(
        "--output-dir",
        type=Path,
        metavar="DIR",
        help="also write outputs.json there (SageMaker's conditions)",
    )
    parser.add_argument(
        "--output",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "FILE"),
        help="also write an output (Vertex)",
    )
    arguments = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, _cancel)
    supervisor = Supervisor.attach()
    try:
        return _Work(arguments, supervisor).run()
    except Cancelled:
        return 143
    except Refused as error:  # an image older than who submitted: the run is left as it is
        print(f"failed: {error}; {error.remedy}", flush=True)
        return 1


def _cancel(_number: int, _frame: object) -> None:
    """Raise Cancelled in the step on SIGTERM, and ignore further signals."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Cancelled


def open_document(uri: str) -> RunDocument:
    """Read a run's document run.json at a URI, under this process's own cloud identity.

    Raises:
        Unsupported: nothing here opens the URI's scheme.
    """
    path = local_path(uri)
    return decode_run(path.read_bytes() if path is not None else open_blobs(uri).get(uri), uri)


class _Work:
    """The work of one step of one run."""

    def __init__(self, arguments: Namespace, supervisor: Supervisor) -> None:
        self.arguments = arguments
        self.supervisor = supervisor
        self.document = open_document(arguments.run)
        self.step = self.document.step(arguments.step)
        self.target = open_target(self.document.profile)
        self.blobs: BlobStore = self.target.blobs
        self.uri = f"{folder_of(arguments.run)}/{self.step.name}"
        place = local_path(self.uri)
        self.scratch = place or _scratch()
        self.temporary = place is None
        self.attempts = 0

    def run(self) -> int:
        """Run the step and remove its temporary folder; return the exit code."""
        try:
            return self._run()
        finally:
            if self.temporary:
                rmtree(self.scratch, ignore_errors=True)

    def _run(self) -> int:
        """Run the step unless it has a result, store its result and log; return the exit code."""
        done = find(self.blobs, f"{self.uri}/step.json", StepResult)
        if done is not None:  # a provider may start a job again whose success it did not hear of
            self._deliver(done.outputs)
            return 0
        with capture(self.blobs, f"{self.uri}/log.txt", self.scratch) as log:
            try:
                self.document = place_code(self.blobs, self.document, self.scratch)
                result = self._result(log)
            except (StepFailed, IsthmusError, OSError) as error:
                reason = str(error) or type(error).__name__
                print(f"failed: {reason}", flush=True)
                raised = error.__cause__ if isinstance(error, StepFailed) else error
                kind, message = (
                    (None, None) if raised is None else (type(raised).__name__, str(raised))
                )
                remedy = raised.remedy if isinstance(raised, IsthmusError) else None
                failure = StepFailure(
                    reason=reason,
                    attempts=self.attempts,
                    error=kind,
                    message=message,
                    remedy=remedy,
                )
                write(self.blobs, f"{self.uri}/failed.json", failure)
                return 1
        self._deliver(result.outputs)
        return 0

    def _result(self, log: Path) -> StepResult:
        """Return the step's result, from the cache or by running it."""
        document, step = self.document, self.step
        results = {
            name: read(self.blobs, f"{folder_of(self.uri)}/{name}/step.json", StepResult)
            for name in dependencies(step)
        }
        parameters = resolve(document, step, results)
        parts = key_parts(document, step, parameters, input_digests(self.blobs, step, results))
        lookup = look_up(self.blobs, document, step, parts)
        if isinstance(lookup, StepResult):
            print(
                f"nothing to do: run {lookup.cached_from or lookup.run} has this result", flush=True
            )
            return adopt(self.blobs, document, step, lookup, _now())
        write(self.blobs, f"{self.uri}/key.json", lookup)
        inputs = {name: self._input(name, source, results) for name, source in step.inputs.items()}
        started = _now()
        values = self._attempts(parameters, inputs, log)
        return self._publish(lookup, values, started)

    def _input(self, name: str, source: Artifact | str, results: Mapping[str, StepResult]) -> Path:
        """Return a local path with one of the step's inputs, fetched from the blob store."""
        place = self.scratch / "inputs" / name
        if isinstance(source, Artifact):
            return fetch(self.blobs, results[source.step].artifacts[source.name], place)
        return fetch_uri(self.blobs, source, place)

    def _attempts(
        self, parameters: dict[str, Any], inputs: dict[str, Path], log: Path
    ) -> dict[str, Scalar]:
        """Run the step again until it succeeds or has no attempts left; return its outputs."""
        while True:
            self.attempts += 1
            try:
                return self._attempt(parameters, inputs, log)
            except StepFailed as error:
                if self.attempts >= self.step.attempts:
                    raise
                print(
                    f"attempt {self.attempts} of {self.step.attempts} failed: {error}", flush=True
                )
                time.sleep(
                    min(0.1 * 2**self.attempts, 5)
                )  # a little patience with whatever was unavailable

    def _attempt(
        self, parameters: dict[str, Any], inputs: dict[str, Path], log: Path
    ) -> dict[str, Scalar]:
        """Run the step's function or command once, and return its output values."""
        step = self.step
        outputs = {name: _empty(self.scratch / name) for name in step.artifacts}
        folder = Path(self.document.folder) if Path(self.document.folder).is_dir() else Path.cwd()
        if step.function is not None:
            context = self._context(parameters, inputs, outputs)
            os.chdir(folder)
            importable(str(folder))
            run_function(step.function, context, timeout=step.timeout)
            values: dict[str, Any] = dict(context.values)
        else:
            file = self.scratch / "values.json"
            file.unlink(missing_ok=True)
            argv = _argv(
                step, {"parameters": parameters, "inputs": inputs, "outputs": outputs}, file
            )
            try:
                run_command(argv, folder=folder, timeout=step.timeout, start=self.supervisor.start)
            except StepFailed as error:
                line = last_line(log)
                raise StepFailed(f"{error}: {line}" if line else str(error)) from error
            values = _read_values(file)
        return _checked(step, values)

    def _context(
        self, parameters: dict[str, Any], inputs: dict[str, Path], outputs: dict[str, Path]
    ) -> StepContext:
        """Return the context object that the step's function is called with."""
        return StepContext(
            run=self.document.run,
            step=self.step.name,
            project_file=self.document.project_file,
            target=self.target,
            parameters=parameters,
            inputs=inputs,
            outputs=outputs,
            types={output.name: output.type for output in self.step.outputs},
        )

    def _publish(
        self, record: KeyRecord, values: dict[str, Scalar], started: datetime
    ) -> StepResult:
        """Store the step's artifacts and result in the blob store, and return the result."""
        artifacts = {
            name: keep(self.blobs, self.scratch / name, f"{self.uri}/{name}")
            for name in self.step.artifacts
        }
        result = StepResult(
            run=self.document.run,
            step=self.step.name,
            key=record.key,
            parts=record.parts,
            outputs=values,
            artifacts=artifacts,
            started=started,
            ended=_now(),
            attempts=self.attempts,
        )
        publish(self.blobs, self.document, self.step, result)
        return result

    def _deliver(self, outputs: Mapping[str, Scalar]) -> None:
        """Write the step's output values to the files that the cloud provider reads."""
        if self.arguments.output_dir:
            self.arguments.output_dir.mkdir(parents=True, exist_ok=True)
            (self.arguments.output_dir / "outputs.json").write_bytes(msgspec.json.encode(outputs))
        for name, file in self.arguments.output:
            Path(file).parent.mkdir(parents=True, exist_ok=True)
            value = outputs[name]
            Path(file).write_text(
                value if isinstance(value, str) else msgspec.json.encode(value).decode(),
                encoding="utf-8",
            )


def _argv(step: Step, values_by_kind: Mapping[str, Mapping[str, Any]], values: Path) -> list[str]:
    """Return a step's command as an argument list, with its placeholders filled in.

    `values_by_kind` has their values (parameters, inputs, outputs); `values` is the file for output
    values.
    """

    def text(value: object) -> str:
        return str(value) if isinstance(value, (str, Path)) else msgspec.json.encode(value).decode()

    def fill(argument: str) -> str:
        return PLACEHOLDER.sub(
            lambda match: (
                text(values_by_kind[match[1]][match[2]])
                if match[1]
                else {"values": str(values), "python": sys.executable}[match[3]]
            ),
            argument,
        )

    return [fill(argument) for argument in step.command or ()]


def _read_values(file: Path) -> dict[str, Any]:
    """Return the output values that a step's command wrote to a file as JSON.

    Raises StepFailed unless they are a JSON object.
    """
    if not file.is_file():
        return {}
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise StepFailed(
            f"the values that its command wrote are not one JSON object: {error}"
        ) from error


def _checked(step: Step, values: Mapping[str, Any]) -> dict[str, Scalar]:
    """Convert a step's output values to their declared types.

    Raises StepFailed for missing, undeclared or mistyped ones.
    """
    declared: dict[str, ValueType] = {output.name: output.type for output in step.outputs}
    for name, kind in declared.items():
        if name not in values:
            raise StepFailed(f"it ended without its output {name} ({kind})")
        if not fits(values[name], kind):
            raise StepFailed(f"its output {name} is {values[name]!r}, which is not of type {kind}")
    if unknown := sorted(set(values) - set(declared)):
        raise StepFailed(f"it returned {', '.join(unknown)}, which it does not declare")
    return {
        name: float(values[name]) if kind == "float" else values[name]
        for name, kind in declared.items()
    }


def _empty(folder: Path) -> Path:
    """Create an empty folder, removing an older one, and return it."""
    if folder.exists():
        rmtree(folder)
    folder.mkdir(parents=True)
    return folder


def _scratch() -> Path:
    """Create a temporary folder for the step, and return it."""
    from tempfile import mkdtemp

    return Path(mkdtemp(prefix="isthmus-step-"))


def _now() -> datetime:
    """Return the current time in UTC, cut to milliseconds."""
    return utc_milliseconds(datetime.now(UTC))
