"""The links of ML Metadata: members of contexts, and events between executions and artifacts."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Sequence
from typing import Any


class Lineage:
    """The links of one stack. Names have the project's number."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._members: dict[str, dict[str, None]] = {}  # a context -> its artifacts and executions
        self._events: dict[str, list[Any]] = {}  # an execution -> google.cloud.aiplatform.v1.Event

    def add_members(self, context: str, nodes: Iterable[str]) -> None:
        """Record that artifacts and executions belong to a context."""
        with self.lock:
            self._members.setdefault(context, {}).update(dict.fromkeys(nodes))

    def members(self, context: str) -> list[str]:
        """Return the names of the artifacts and executions in a context."""
        with self.lock:
            return list(self._members.get(context, ()))

    def contexts_of(self, node: str) -> list[str]:
        """Return the names of the contexts that an artifact or execution belongs to."""
        with self.lock:
            return [context for context, nodes in self._members.items() if node in nodes]

    def add_events(self, execution: str, events: Iterable[Any]) -> None:
        """Record events, which link artifacts to an execution as its inputs or outputs."""
        with self.lock:
            self._events.setdefault(execution, []).extend(events)

    def events(
        self, *, executions: Collection[str] | None = None, artifacts: Collection[str] | None = None
    ) -> list[Any]:
        """Return the events that link these executions and artifacts; None stands for all."""
        with self.lock:
            return [
                event
                for execution, events in self._events.items()
                if executions is None or execution in executions
                for event in events
                if artifacts is None or event.artifact in artifacts
            ]

    def forget(self, node: str) -> None:
        """Delete what is recorded of a deleted node: its contexts and its events."""
        with self.lock:
            self._members.pop(node, None)
            self._events.pop(node, None)
            for nodes in self._members.values():
                nodes.pop(node, None)
            for execution, events in self._events.items():
                self._events[execution] = [event for event in events if event.artifact != node]


class Points:
    """The points of one stack's time series, by name; a step has one point, the last written."""

    def __init__(self) -> None:
        self._points: dict[str, dict[int, Any]] = {}
        self._lock = threading.Lock()

    def add(self, series: str, points: Sequence[Any]) -> list[Any]:
        """Add data points to a time series, and return all of its points in the order of steps."""
        with self._lock:
            steps = self._points.setdefault(series, {})
            steps.update({point.step: point for point in points})
            return [steps[step] for step in sorted(steps)]

    def get(self, series: str) -> list[Any]:
        """Return the data points of a time series."""
        return self.add(series, ())

    def forget(self, series: str) -> None:
        """Delete the data points of a time series."""
        with self._lock:
            self._points.pop(series, None)
