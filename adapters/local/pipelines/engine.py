"""PipelineEngine on this machine: each run has a runner process that outlives its command."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import suppress

import msgspec

from ....pipelines.port import PipelineRun, RunState
from ....pipelines.runs.document import folder_of, local_path
from ....storage import located
from ....target import Target
from ..errors import translated
from ..home import home
from ..sqlite import Database
from . import table


class LocalPipelineEngine:
    """The PipelineEngine port over SQLite and subprocesses."""

    def __init__(self, target: Target) -> None:
        self._calls = target.calls
        self._home = home(target)
        self._database = Database(target, table.SCHEMA)
        self._runners: list[subprocess.Popen[bytes]] = []  # kept so that an ended one is reaped

    @property
    def _db(self) -> sqlite3.Connection:
        """The SQLite connection of this thread."""
        return self._database.connection

    def submit(self, run: PipelineRun) -> None:
        """Store a pipeline run, then start its runner in a process of its own.

        Repeating it for the same run_id starts only what an interrupted call did not.
        """
        with (
            self._calls.mutating("pipelines.submit", run.run_id),
            translated(f"submitting {run.pipeline}"),
        ):
            table.insert(self._db, run)
            row = table.row(self._db, run.run_id)
            if (
                row and row.pid is None and row.phase == "running"
            ):  # a submit that was cut before it started the runner is completed
                self._start(run)

    def observe(self, run_id: str) -> RunState | None:
        """Return a pipeline run's state from SQLite, or None if there is no such run.

        If the run's process has died, the run is marked as failed first.
        """
        self._calls.reading("pipelines.observe", run_id)
        for runner in self._runners:
            runner.poll()
        state = self._state(run_id)
        if state is None or state.phase not in ("running", "cancelling"):
            return state
        with translated(f"closing run {run_id}, which ended"):
            table.close_dead_run(self._db, run_id)
        return self._state(run_id)

    def _state(self, run_id: str) -> RunState | None:
        """Return a pipeline run's state, with the URIs of its steps' logs."""
        state = table.state(self._db, run_id)
        if state is None:
            return None
        root = self._home.absolute().as_uri()
        steps = tuple(
            msgspec.structs.replace(step, log=step.log and located(root, step.log))
            for step in state.steps
        )
        return msgspec.structs.replace(state, steps=steps)

    def cancel(self, run_id: str) -> None:
        """Cancel a pipeline run: signal its runner process, or close the run if it has none.

        The run may be finished or absent.
        """
        row = table.row(self._db, run_id)
        if row is None or row.phase not in ("running", "cancelling"):
            return
        with (
            self._calls.mutating("pipelines.cancel", run_id),
            translated(f"cancelling run {run_id}"),
        ):
            table.ask_to_cancel(self._db, run_id)
            row = table.row(self._db, run_id)
            if row and row.pid is not None and row.has_runner():
                with suppress(ProcessLookupError):
                    os.kill(row.pid, signal.SIGTERM)
            else:
                table.close_dead_run(self._db, run_id)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def _start(self, run: PipelineRun) -> None:
        """Start a detached runner process for a pipeline run.

        If two submits both start one, the first to claim the run runs it and the other ends.
        """
        folder = local_path(folder_of(run.run_uri))
        place = folder if folder is not None and folder.is_dir() else self._home
        with (place / "runner.log").open("ab") as log:
            self._runners.append(
                subprocess.Popen(
                    [
                        sys.executable,
                        "-P",
                        "-m",
                        "isthmus.adapters.local.pipelines.runner",
                        str(self._home),
                        run.run_id,
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # a closed terminal and Ctrl-C do not reach it
                )
            )
