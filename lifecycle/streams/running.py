"""Run workers of several consumers in one process, a thread each, until they are told to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ...errors import Busy, Refused, Unsupported
from ...events.consume.checkpoint import read_checkpoint
from ...events.consume.consumer import Consumer
from ...events.consume.holding import busy, is_held
from ...events.consume.worker import Worker, WorkerReport
from ..resources.applied_digests import changed_datasets, changed_views

if TYPE_CHECKING:
    from ...core.runtime.project import Project


def run_workers(
    project: Project,
    consumers: Iterable[Consumer[Any]],
    *,
    stop: threading.Event,
    duration: timedelta | None = None,
    max_behind: timedelta | None = None,
    tell: Callable[[WorkerReport], None],
) -> tuple[WorkerReport, ...]:
    """Run a worker of each consumer, and return the last report of each.

    Where one fails, the others finish what they are at, checkpoint and stop, too.

    Args:
        project: The project.
        consumers: The consumers.
        stop: Set by the caller to end the workers.
        duration: How long they work; None: until they are stopped.
        max_behind: How far each may stay behind its streams.
        tell: Called with a worker's report every few seconds, from its thread.

    Raises:
        Refused: A view's definition is not the one that was applied. None was begun.
        Busy: Somebody else reads for one of them. None was begun.
    """
    target, workers = project.target, tuple(consumers)
    _require_applied(project, workers)
    for consumer in workers:
        document = read_checkpoint(target.state, consumer.name).document
        if is_held(document, target.clock()):
            raise busy(consumer.name, document)
    _build_ports(project)
    reports: dict[str, WorkerReport] = {}
    failures: list[BaseException] = []

    def work(consumer: Consumer[Any]) -> None:
        worker = Worker(target, consumer, now=project.now, tell=tell, max_behind=max_behind)
        try:
            reports[consumer.name] = worker.run(stop, duration=duration)
        except BaseException as error:  # noqa: BLE001  raised again by the thread that waits
            failures.append(error)
            stop.set()

    threads = [
        threading.Thread(target=work, args=(consumer,), name=f"stream {consumer.name}")
        for consumer in workers
    ]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            while thread.is_alive():
                thread.join(0.2)  # in pieces, so that the main thread hears signals
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    if failures:
        raise next((error for error in failures if not isinstance(error, Busy)), failures[0])
    return tuple(reports[consumer.name] for consumer in workers)


def _require_applied(project: Project, workers: Iterable[Consumer[Any]]) -> None:
    """Raise Refused for a consumer whose definition is not the one that was applied."""
    changed = changed_views(project) | changed_datasets(project)
    for consumer in workers:
        if consumer.name in changed:
            raise Refused(
                f"{consumer.name}: its definition changed since it was applied; its rows would "
                "not mean what its history says",
                remedy=f"undo it, or declare {consumer.name}_v2 beside it; all of it: isthmus plan",
            )


def _build_ports(project: Project) -> None:
    """Build the target's ports that workers share before their threads begin."""
    target = project.target
    for port in ("blobs", "events", "event_source", "warehouse", "online"):
        with suppress(Unsupported):  # a kind that needs it says so
            getattr(target, port)
