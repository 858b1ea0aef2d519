"""Rows of pipeline runs in SQLite, shared by the engine, its runner processes and observers."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

from ....pipelines.port import PipelineRun, RunPhase, RunState, StepPhase, StepState
from ....times import utc_milliseconds
from ..home import transaction
from ..processes import alive

SCHEMA = """
CREATE TABLE IF NOT EXISTS pipeline_runs (
    run_id TEXT PRIMARY KEY, run BLOB NOT NULL, phase TEXT NOT NULL, submitted TEXT NOT NULL,
    pid INTEGER, process_started TEXT
) STRICT;
CREATE TABLE IF NOT EXISTS pipeline_steps (
    run_id TEXT NOT NULL, position INTEGER NOT NULL, name TEXT NOT NULL, phase TEXT NOT NULL,
    started TEXT, ended TEXT, reason TEXT, log TEXT,
    PRIMARY KEY (run_id, name)
) STRICT;
"""
_OPEN = ("running", "cancelling")
_START = 60  # seconds that a runner may take to begin


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A run's row."""

    run: PipelineRun
    phase: RunPhase
    submitted: datetime
    pid: int | None
    process_started: str | None

    def has_runner(self) -> bool:
        """Return whether the process that runs the pipeline run is alive."""
        return self.pid is not None and alive(self.pid, self.process_started or "")


def insert(db: sqlite3.Connection, run: PipelineRun) -> None:
    """Insert a pipeline run and its steps into SQLite; an existing run_id changes nothing."""
    with transaction(db):
        added = db.execute(
            "INSERT OR IGNORE INTO pipeline_runs (run_id, run, phase, submitted) VALUES (?, "
            "?, 'running', ?)",
            (run.run_id, msgspec.json.encode(run), now().isoformat()),
        ).rowcount
        if added:
            db.executemany(
                "INSERT INTO pipeline_steps (run_id, position, name, phase) VALUES (?, ?, ?, "
                "'waiting')",
                [(run.run_id, position, step.name) for position, step in enumerate(run.steps)],
            )


def row(db: sqlite3.Connection, run_id: str) -> Row | None:
    """Return a pipeline run's row, or None if there is none."""
    columns = db.execute(
        "SELECT run, phase, submitted, pid, process_started FROM pipeline_runs WHERE run_id = ?",
        (run_id,),
    ).fetchone()
    if columns is None:
        return None
    run, phase, submitted, pid, started = columns
    return Row(
        run=msgspec.json.decode(run, type=PipelineRun),
        phase=phase,
        submitted=datetime.fromisoformat(submitted),
        pid=pid,
        process_started=started,
    )


def claim(db: sqlite3.Connection, run_id: str, pid: int, started: str) -> bool:
    """Record a process as the runner of a pipeline run; return whether it could.

    It cannot if the run has a runner already or has ended. A process is identified by pid and start
    time.
    """
    with transaction(db):
        taken = db.execute(
            "UPDATE pipeline_runs SET pid = ?, process_started = ? WHERE run_id = ? AND pid "
            "IS NULL AND phase IN ('running', 'cancelling')",
            (pid, started, run_id),
        ).rowcount
    return bool(taken)


def states(db: sqlite3.Connection, run_id: str) -> tuple[StepState, ...]:
    """Return the states of a pipeline run's steps."""
    rows = db.execute(
        "SELECT name, phase, started, ended, reason, log FROM pipeline_steps WHERE run_id = "
        "? ORDER BY position",
        (run_id,),
    ).fetchall()
    return tuple(
        StepState(
            name=name,
            phase=phase,
            started=_moment(started),
            ended=_moment(ended),
            reason=reason,
            log=log,
        )
        for name, phase, started, ended, reason, log in rows
    )


def state(db: sqlite3.Connection, run_id: str) -> RunState | None:
    """Return a pipeline run's state, read in one snapshot, or None if there is no such run."""
    db.execute("BEGIN")
    try:
        phase = db.execute("SELECT phase FROM pipeline_runs WHERE run_id = ?", (run_id,)).fetchone()
        return (
            None
            if phase is None
            else RunState(run_id=run_id, phase=phase[0], steps=states(db, run_id))
        )
    finally:
        db.execute("COMMIT")


def begin_step(db: sqlite3.Connection, run_id: str, name: str, log: str | None) -> None:
    """Record that a pipeline step runs, and the path of its log."""
    db.execute(
        "UPDATE pipeline_steps SET phase = 'running', started = ?, log = ? WHERE run_id = ? "
        "AND name = ?",
        (now().isoformat(), log, run_id, name),
    )


def end_step(
    db: sqlite3.Connection, run_id: str, name: str, phase: StepPhase, reason: str | None = None
) -> None:
    """Record the final phase of a pipeline step, and why."""
    db.execute(
        "UPDATE pipeline_steps SET phase = ?, ended = ?, reason = ? WHERE run_id = ? AND name = ?",
        (phase, now().isoformat(), reason, run_id, name),
    )


def ask_to_cancel(db: sqlite3.Connection, run_id: str) -> None:
    """Record that a running pipeline run is to be cancelled, for its runner to see."""
    db.execute(
        "UPDATE pipeline_runs SET phase = 'cancelling' WHERE run_id = ? AND phase = 'running'",
        (run_id,),
    )


def finish(db: sqlite3.Connection, run_id: str, phase: RunPhase) -> None:
    """Record the final phase of a pipeline run, unless it has one already."""
    db.execute(
        "UPDATE pipeline_runs SET phase = ? WHERE run_id = ? AND phase IN ('running', "
        "'cancelling')",
        (phase, run_id),
    )


def close_dead_run(db: sqlite3.Connection, run_id: str) -> None:
    """Mark a pipeline run whose runner process died as cancelled or failed.

    Callers would otherwise wait for it forever. It is cancelled if that was requested.
    """
    with transaction(db):
        current = row(db, run_id)
        if current is None or current.phase not in _OPEN or current.has_runner():
            return
        if (
            current.pid is None
            and (now() - current.submitted).total_seconds() < _START
            and current.phase == "running"
        ):
            return
        who = (
            "its runner never began"
            if current.pid is None
            else f"its runner (process {current.pid}) died"
        )
        cancelled = current.phase == "cancelling"
        _close(db, run_id, ("running",), "cancelled" if cancelled else "failed", who)
        _close(db, run_id, ("waiting",), "cancelled", who)
        finish(db, run_id, "cancelled" if cancelled else "failed")


def _close(
    db: sqlite3.Connection, run_id: str, phases: Iterable[StepPhase], phase: StepPhase, reason: str
) -> None:
    """Set the final phase and the reason of all steps of a run whose phase is one of `phases`."""
    for open_phase in phases:
        db.execute(
            "UPDATE pipeline_steps SET phase = ?, ended = ?, reason = ? WHERE run_id = ? AND "
            "phase = ?",
            (phase, now().isoformat(), reason, run_id, open_phase),
        )


def now() -> datetime:
    """Return the current time in UTC, truncated to the millisecond."""
    return utc_milliseconds(datetime.now(UTC))


def _moment(text: str | None) -> datetime | None:
    """Parse a stored timestamp; None stays None."""
    return datetime.fromisoformat(text) if text else None
