"""`im.stream`: list, run, start, status, stop and rebuild what reads a project's streams."""

from __future__ import annotations

import builtins
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from ...errors import Busy, Conflict, NotFound, Refused
from ...events.consume.checkpoint import StoredCheckpoint, checkpoint_key, read_checkpoint
from ...events.consume.consumer import Consumer
from ...events.consume.holding import busy, holder_host, is_held
from ...events.consume.worker import WorkerReport
from ...feature_store.datasets.replay import replay_dataset
from ...feature_store.streams.replay import ReplayReport
from ...feature_store.streams.replay import replay as replay_view
from ...pipelines.graphs.graph import Pipeline, Step
from ...pipelines.port import Output
from ...pipelines.runs import names as run_names
from ...pipelines.runs import step_names
from ...pipelines.runs.estimates import one_run, require_budget
from ...pipelines.runs.submission import submit
from ...pipelines.runs.watch import has_ended, observe
from ...reports.results import Shown, StructRows
from ...storage import wait
from . import running
from .consumers import chosen, consumers
from .shown import behind_text, figures_text, report_line

if TYPE_CHECKING:
    from ...core.runtime.project import Project

LONGEST = timedelta(days=5)  # for which a step may work
__all__ = ["list", "rebuild", "replay", "run", "start", "status", "stop"]
__dir__ = __all__.copy  # what completion offers

_STARTUP = timedelta(minutes=10)  # of a step beyond its work: its last checkpoint
_STOPPED = timedelta(minutes=5)  # for which `stop` waits


class StreamStatus(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """A consumer of streams, and how far it has read."""

    target: str
    consumer: str
    kind: str
    events: tuple[str, ...]  # the streams that it reads, by the events' names
    summary: str
    phase: str  # running, starting, stopped, or new: it has never run
    holder: str | None  # the host that reads; None: nobody does
    until: datetime | None  # of its lease
    run: str | None  # the run of `stream start`, if that has not ended
    checkpoint: int
    checkpointed: datetime | None
    age: timedelta | None  # of the checkpoint
    events_read: int
    behind: timedelta | None  # at the checkpoint; None: not known
    figures: Mapping[str, int]  # the kind's own counts
    replaced: bool  # whether the state is of another definition: the next run begins anew

    def __str__(self) -> str:
        where = f" on {self.holder}" if self.holder else f" as {self.run}" if self.run else ""
        first = f"{self.target:<7} {self.consumer}   {self.phase}{where}"
        if self.age is None:
            return first
        again = (
            "\n        its definition has changed: the next run counts from the warehouse"
            if self.replaced
            else ""
        )
        return (
            f"{first}   checkpoint {self.checkpoint}, {_age(self.age)} ago   "
            f"{self.events_read:,} events   {behind_text(self.behind)}"
            f"{figures_text(self.figures)}{again}"
        )


class StreamChange(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """The result of `start`, `stop` or `rebuild` of a consumer of streams."""

    target: str
    consumer: str
    did: str  # for people
    run: str | None = None  # that `start` submitted
    checkpoint: int = 0

    def __str__(self) -> str:
        return f"{self.target:<7} {self.consumer}   {self.did}"


def list(project: Project) -> StructRows[StreamStatus]:
    """Return every consumer of streams that the project declares, and whether it is read for."""
    return StructRows(_status(project, consumer) for consumer in consumers(project).values())


def status(project: Project, names: Sequence[str] = ()) -> StructRows[StreamStatus]:
    """Return how far consumers of streams have read; all of them if no name is given.

    Raises:
        NotFound: There is none of a name.
    """
    return StructRows(_status(project, consumer) for consumer in chosen(project, names).values())


def run(
    project: Project,
    names: Sequence[str] = (),
    *,
    duration: timedelta | None = None,
    max_behind: timedelta | None = None,
    stop_event: threading.Event | None = None,
    tell: Callable[[WorkerReport], None] | None = None,
) -> StructRows[WorkerReport]:
    """Read streams for consumers in this process, and return the last report of each.

    Args:
        project: The project.
        names: The consumers; all of the project if none is given.
        duration: How long; None: until it is stopped.
        max_behind: Stop with an error where one stays further behind than this.
        stop_event: Set it to end: the batches under way are finished and checkpointed.
        tell: Called with the report of a worker every few seconds; by default it is printed.

    Raises:
        NotFound: There is no consumer of a name.
        Busy: Another worker reads for one of them; nothing was begun.
        Conflict: Another worker took over.
        Refused: A stream does not keep what is needed, or a worker does not catch up.
    """

    def print_line(report: WorkerReport) -> None:
        print(report_line(project.target.name, report), flush=True)

    return StructRows(
        running.run_workers(
            project,
            chosen(project, names).values(),
            stop=stop_event or threading.Event(),
            duration=duration,
            max_behind=max_behind,
            tell=tell or print_line,
        )
    )


def start(project: Project, name: str, *, duration: timedelta) -> StreamChange:
    """Start a consumer's worker as a pipeline step of the target, for some time.

    Where it has been started and its run has not ended, nothing is done.

    Raises:
        NotFound: There is no such consumer.
        Busy: A worker reads for it already.
        Refused: It may run too long, or cost more than the target's budget of runs.
    """
    if not timedelta() < duration <= LONGEST:
        raise Refused(
            f"a step works for {LONGEST.days} days at most",
            remedy="start it again when it ends, or use: isthmus stream run",
        )
    (consumer,) = chosen(project, [name]).values()
    planned = worker_pipeline(name, duration)
    require_budget(project, one_run(planned))
    stored = read_checkpoint(project.target.state, name)
    earlier = stored.document.run
    if is_held(stored.document, project.target.clock()):
        if _goes_on(project, earlier):
            return _change(project, consumer, f"runs already as {earlier}", stored, run=earlier)
        raise busy(name, stored.document)
    if _goes_on(project, earlier):
        return _change(project, consumer, f"starts already as {earlier}", stored, run=earlier)
    run_name = run_names.next_name(project)
    document = msgspec.structs.replace(stored.document, run=run_name, stop=False)
    _put_alone(project, name, document, stored)
    submit(project, planned, run=run_name)
    return _change(project, consumer, f"started as {run_name}", stored, run=run_name)


def stop(project: Project, name: str, *, patience: timedelta = _STOPPED) -> StreamChange:
    """Ask a consumer's worker to stop, wherever it runs, and wait until it has.

    It finishes its batch and checkpoints. One that died holds its lease for a minute at most.

    Raises:
        NotFound: There is no such consumer.
        Unavailable: It has not stopped in time; it still may.
    """
    (consumer,) = chosen(project, [name]).values()
    target = project.target
    stored = read_checkpoint(target.state, name)
    waiting_run = stored.document.run if _goes_on(project, stored.document.run) else ""
    if not is_held(stored.document, target.clock()):
        if waiting_run:
            target.pipelines.cancel(_run_id(project, waiting_run))
            return _change(project, consumer, f"{waiting_run} cancelled", stored)
        return _change(project, consumer, "does not run", stored)
    epoch = stored.document.lease.epoch

    def look() -> StoredCheckpoint:
        stored = read_checkpoint(target.state, name)
        if stored.document.lease.epoch == epoch and not stored.document.stop:
            with suppress(Conflict):  # its checkpoint came in between: asked at the next look
                _put(project, name, msgspec.structs.replace(stored.document, stop=True), stored)
        return stored

    def has_stopped(stored: StoredCheckpoint) -> bool:
        document = stored.document
        return document.lease.epoch != epoch or not is_held(document, target.clock())

    last = wait(look, has_stopped, deadline=patience, what=f"the worker of {name}")
    return _change(project, consumer, f"stopped at checkpoint {last.document.number}", last)


def replay(project: Project, name: str, *, since: datetime | None = None) -> ReplayReport:
    """Run the warehouse's events through a stream view or a data set, and compare its rows.

    A view's rows are compared with its history, a data set's examples with the rows of its
    objective. Floats that agree to nine digits agree. Nothing is written.

    Args:
        project: The project.
        name: The stream view's or the data set's name.
        since: What is of this moment or later is compared; None: all.

    Raises:
        NotFound: There is no such view or data set.
        Invalid: It is not a stream view, or has no history of `since` or later.
    """
    if name in project.spec.datasets:
        return replay_dataset(project, name, since=since)
    return replay_view(project, name, since=since)


def rebuild(project: Project, name: str) -> StreamChange:
    """Throw a consumer's state away, so that its next run counts from the warehouse.

    Raises:
        NotFound: There is no such consumer.
        Busy: A worker reads for it.
    """
    (consumer,) = chosen(project, [name]).values()
    target = project.target
    stored = read_checkpoint(target.state, name)
    if is_held(stored.document, target.clock()):
        raise busy(name, stored.document)
    if stored.token is not None and stored.document.state:
        emptied = msgspec.structs.replace(
            stored.document,
            state="",
            digest="",
            definition="",
            checkpointed=None,
            events=0,
            behind=None,
            figures={},
        )
        _put_alone(project, name, emptied, stored)
    for source in consumer.inputs:
        with suppress(NotFound):  # the stream itself is gone
            target.event_source.remove(source.stream, name)
    return _change(project, consumer, "state thrown away: the next run begins anew", stored)


def worker_pipeline(name: str, duration: timedelta) -> Pipeline:
    """Return the pipeline of a consumer's worker: one step, which works for some time."""
    step = Step(
        name="work",
        function=f"{step_names.STREAM}:work",
        parameters={"consumer": name, "seconds": duration.total_seconds()},
        outputs=(Output(name="events", type="int"),),
        timeout=duration + _STARTUP,
        cache=False,
    )
    return Pipeline(name=f"stream_{name}"[:28].rstrip("_"), steps=(step,))


def _status(project: Project, consumer: Consumer[Any]) -> StreamStatus:
    """Return a consumer with what its document says of it."""
    document = read_checkpoint(project.target.state, consumer.name).document
    now = project.target.clock()
    is_running = is_held(document, now)
    run_name = document.run if _goes_on(project, document.run) else None
    stands = "stopped" if document.checkpointed else "new"
    return StreamStatus(
        target=project.target.name,
        consumer=consumer.name,
        kind=consumer.kind,
        events=tuple(source.event for source in consumer.inputs),
        summary=consumer.summary,
        phase="running" if is_running else "starting" if run_name else stands,
        holder=holder_host(document.lease.holder) if is_running else None,
        until=document.lease.until if is_running else None,
        run=run_name,
        checkpoint=document.number,
        checkpointed=document.checkpointed,
        age=now - document.checkpointed if document.checkpointed else None,
        events_read=document.events,
        behind=None if document.behind is None else timedelta(seconds=document.behind),
        figures=document.figures,
        replaced=bool(document.state) and document.definition != consumer.digest,
    )


def _change(
    project: Project,
    consumer: Consumer[Any],
    did: str,
    stored: StoredCheckpoint,
    *,
    run: str | None = None,
) -> StreamChange:
    """Return what was done with a consumer."""
    return StreamChange(
        target=project.target.name,
        consumer=consumer.name,
        did=did,
        run=run,
        checkpoint=stored.document.number,
    )


def _put(project: Project, name: str, document: Any, stored: StoredCheckpoint) -> None:
    """Write a consumer's document over the one that was read."""
    project.target.state.put(
        checkpoint_key(name), msgspec.json.encode(document), expect=stored.token
    )


def _put_alone(project: Project, name: str, document: Any, stored: StoredCheckpoint) -> None:
    """Write a consumer's document; raise Busy if somebody else has written it meanwhile."""
    try:
        _put(project, name, document, stored)
    except Conflict:
        raise Busy(
            f"somebody else reads or changes {name} at this moment",
            remedy=f"isthmus stream status {name}",
        ) from None


def _goes_on(project: Project, run_name: str) -> bool:
    """Return whether a run was submitted and has not ended."""
    if not run_name:
        return False
    with suppress(NotFound):
        return not has_ended(observe(project, run_name))
    return False


def _run_id(project: Project, run_name: str) -> str:
    """Return the id by which the engine knows a run."""
    return observe(project, run_name).run_id


def _age(age: timedelta) -> str:
    """Return how old something is as text."""
    seconds = max(age.total_seconds(), 0)
    units: builtins.list[tuple[float, str]] = [(86_400, "d"), (3_600, "h"), (60, "min")]
    for length, unit in units:
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
