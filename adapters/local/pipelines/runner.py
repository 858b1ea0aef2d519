"""Runner of one pipeline run: its steps as processes, one for each CPU at once.

`python -m isthmus.adapters.local.pipelines.runner HOME RUN_ID`. States go to SQLite as they change.
SIGTERM cancels the run: steps get SIGTERM, later SIGKILL. So do the steps that run beside one that
failed, as nothing can come of them any more. When this process is killed, its steps notice (see
pipelines/supervision.py) and stop.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue

from ....core.formats import Kind, decode
from ....core.signals import calling
from ....errors import Invalid
from ....pipelines.graphs.conditions import holds, text
from ....pipelines.port import PipelineRun, StepPhase, StepSpec
from ....pipelines.runs.document import StepFailure, StepResult, folder_of, local_path
from ....pipelines.step.supervision import VARIABLE
from ....storage import below
from ....target import Profile, Target
from .. import ADAPTER
from ..home import database, home
from ..processes import kill_session, me
from . import table

_GRACE = 10.0  # seconds between SIGTERM and SIGKILL, and beyond a step's own time limit
# What a step that was told to end exits with: its own word (pipelines/step/job.py), or the
# signals'.
_TOLD = (143, -signal.SIGTERM, -signal.SIGKILL)
_ENDED: tuple[StepPhase, ...] = ("done", "failed", "skipped", "cancelled")


class _Running:
    """A step's process, and the moment by which it has to be gone."""

    def __init__(self, spec: StepSpec, process: subprocess.Popen[bytes]) -> None:
        self.spec = spec
        self.process = process
        self.deadline = (
            time.monotonic()
            + spec.timeout.total_seconds() * spec.attempts
            + 5 * spec.attempts
            + _GRACE
        )
        self.overran = False

    def kill(self, number: int) -> None:
        """Send the signal `number` to the process group of a step."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)

    def sweep(self) -> None:
        """Kill the remaining processes of a step whose first process has ended."""
        kill_session(self.process.pid)
        if self.process.stdin:
            self.process.stdin.close()


class Runner:
    """The state of one run while it runs.

    `ended` carries the names of steps whose process ended, and None when this process is told to
    stop.
    """

    def __init__(self, target: Target, run: PipelineRun) -> None:
        self.db = database(home(target))
        self.run = run
        self.folder = folder_of(run.run_uri)
        self.place = below(home(target).absolute().as_uri(), self.folder)
        self.phases: dict[str, StepPhase] = {step.name: "waiting" for step in run.steps}
        self.running: dict[str, _Running] = {}
        self.ended: SimpleQueue[str | None] = SimpleQueue()
        self.slots = (
            len(os.sched_getaffinity(0))
            if hasattr(os, "sched_getaffinity")
            else os.cpu_count() or 1
        )
        self.cancelling = False
        self.failed: str | None = None  # the step that failed first
        self.kill_at: float | None = None

    def main(self) -> None:
        """Run the steps of the pipeline run to the end; SIGTERM cancels them."""
        with calling((signal.SIGTERM,), lambda _: self.ended.put(None)):
            self._run()

    def _run(self) -> None:
        """Start each step when its dependencies have ended; return when all steps have ended."""
        row = table.row(self.db, self.run.run_id)
        if row and row.phase == "cancelling":  # asked for before there was a process to tell
            self._cancel()
        while True:
            self._start_ready()
            if not self.running and all(phase in _ENDED for phase in self.phases.values()):
                break
            self._wait()
        table.finish(
            self.db,
            self.run.run_id,
            "failed" if self.failed else "cancelled" if self.cancelling else "done",
        )

    def _start_ready(self) -> None:
        """Start, skip or fail every waiting step whose dependencies have ended.

        Skipping one step may decide the next, so look until nothing changes.
        """
        changed = True
        while changed:
            changed = False
            for spec in self.run.steps:
                if self.phases[spec.name] == "waiting" and all(
                    self.phases[name] in _ENDED for name in spec.needs
                ):
                    changed |= self._decide(spec)

    def _decide(self, spec: StepSpec) -> bool:
        """Skip, fail or start a step whose dependencies have all ended.

        It returns False if the step must wait as the most steps that may run at once already do.
        """
        if self.cancelling:
            return self._end(spec, "cancelled")
        if reason := self._why_skipped(spec):
            return self._end(spec, "skipped", reason)
        if spec.when is not None:
            try:
                if not holds(spec.when, self._outputs(spec.when.step)):
                    return self._end(spec, "skipped", f"not {text(spec.when)}")
            except (Invalid, OSError) as error:
                return self._end(spec, "failed", f"its condition cannot be judged: {error}")
        if len(self.running) >= self.slots:
            return False
        self._start(spec)
        return True

    def _why_skipped(self, spec: StepSpec) -> str | None:
        """Return why a step whose dependencies failed is skipped, or None if it may start.

        The conditions that the step itself declares are checked elsewhere.
        """
        unmet = next((name for name in spec.needs if self.phases[name] != "done"), None)
        if unmet is not None:
            return f"it needs {unmet}, which {_was(self.phases[unmet])}"
        return None if self.failed is None else f"{self.failed} failed before it could begin"

    def _start(self, spec: StepSpec) -> None:
        """Start a step's process, with its output in the step's log."""
        table.begin_step(self.db, self.run.run_id, spec.name, f"{self.place}/{spec.name}/log.txt")
        self.phases[spec.name] = "running"
        process = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-m",
                "isthmus.pipelines.step",
                "--run",
                self.run.run_uri,
                "--step",
                spec.name,
            ],
            # never written: it closes when this process ends, however it ends
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,  # what it says is in its log
            env=os.environ | {VARIABLE: "1"},
            start_new_session=True,
        )
        self.running[spec.name] = _Running(spec, process)
        threading.Thread(target=self._reap, args=(spec.name, process), daemon=True).start()

    def _reap(self, name: str, process: subprocess.Popen[bytes]) -> None:
        """Wait, in a thread of its own, until a step's process ends, and queue its name."""
        process.wait()
        self.ended.put(name)

    def _wait(self) -> None:
        """Wait until a step ends, the run is cancelled or a time limit is over, and act on that."""
        now = time.monotonic()
        limits = [running.deadline for running in self.running.values() if not running.overran]
        if self.kill_at is not None:
            limits.append(self.kill_at)
        try:
            name = self.ended.get(timeout=max(0.0, min(limits) - now) if limits else None)
        except Empty:
            self._enforce(time.monotonic())
            return
        if name is None:
            self._cancel()
        else:
            self._finish(self.running.pop(name))

    def _enforce(self, now: float) -> None:
        """Kill the step processes that exceed their time limits at `now` (monotonic seconds)."""
        for running in self.running.values():
            if self.kill_at is not None and now >= self.kill_at:
                running.kill(signal.SIGKILL)
            elif now >= running.deadline and not running.overran:
                running.overran = True
                running.kill(signal.SIGKILL)
        if self.kill_at is not None and now >= self.kill_at:
            self.kill_at = None

    def _cancel(self) -> None:
        """Cancel the run's steps, unless they were cancelled already."""
        if self.cancelling:
            return
        self.cancelling = True
        self._tell_to_end()

    def _tell_to_end(self) -> None:
        """Send SIGTERM to the running steps, and record when SIGKILL must follow."""
        self.kill_at = time.monotonic() + _GRACE
        for running in self.running.values():
            running.kill(signal.SIGTERM)

    def _finish(self, running: _Running) -> None:
        """Record how a step's process ended: done, failed or cancelled, and why.

        `running` is the process with its step.
        """
        running.sweep()
        code, name = running.process.returncode, running.spec.name
        if code == 0:
            self._end(running.spec, "done")
        elif self.cancelling:
            self._end(running.spec, "cancelled", "the run was cancelled")
        elif self.failed is not None and code in _TOLD and not running.overran:
            self._end(running.spec, "cancelled", f"{self.failed} failed")
        elif running.overran:
            self._end(
                running.spec,
                "failed",
                f"it did not end within {running.spec.timeout} and did not react to being told so",
            )
        else:
            self._end(running.spec, "failed", self._reason(name, code))

    def _end(self, spec: StepSpec, phase: StepPhase, reason: str | None = None) -> bool:
        """Record a step's final phase; after the first failure stop all running steps.

        It returns True.
        """
        self.phases[spec.name] = phase
        table.end_step(self.db, self.run.run_id, spec.name, phase, reason)
        if phase == "failed" and self.failed is None:
            self.failed = spec.name
            self._tell_to_end()
        return True

    def _outputs(self, step: str) -> dict[str, float | int | bool | str]:
        """Return the output values that a finished step stored, by name."""
        return self._document(f"{step}/step.json", StepResult).outputs

    def _reason(self, step: str, code: int) -> str:
        """Return why a step failed: the reason that it stored, else its exit code or signal."""
        try:
            return self._document(f"{step}/failed.json", StepFailure).reason
        except (OSError, Invalid):  # it had no time to say why
            return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit {code}"

    def _document(self, name: str, kind: type[Kind]) -> Kind:
        """Return a JSON document of the run's folder, decoded as a `kind` of struct."""
        return decode(
            _path(f"{self.folder}/{name}").read_bytes(), kind, what=f"{self.folder}/{name}"
        )


def _path(uri: str) -> Path:
    """Return the path of a file URI; raise Invalid if it is not on this machine."""
    path = local_path(uri)
    if path is None:
        raise Invalid(f"the local engine runs what is on this machine's files, not {uri}")
    return path


def _was(phase: StepPhase) -> str:
    """Return a step's phase as words for a message, such as "was skipped"."""
    return {"failed": "failed", "skipped": "was skipped", "cancelled": "was cancelled"}.get(
        phase, phase
    )


def main(argv: list[str]) -> int:
    """Run the pipeline run that the arguments name, unless another process already runs it."""
    folder, run_id = argv
    target = Target(
        Profile(name="local", adapter="local", project="", options={"home": folder}), ADAPTER
    )
    db = database(home(target))
    row = table.row(db, run_id)
    if row is None or not table.claim(db, run_id, *me()):
        return 0  # another runner has it
    db.close()
    Runner(target, row.run).main()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
