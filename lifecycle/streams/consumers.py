"""Find a project's consumers of streams by name, of whatever kind they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import Invalid, NotFound
from ...events.consume.consumer import Consumer
from ...project.reading.names import did_you_mean

if TYPE_CHECKING:
    from ...core.runtime.project import Project

Kind = Callable[["Project"], Iterable[Consumer[Any]]]


def _stream_views(project: Project) -> Iterable[Consumer[Any]]:
    """Return the consumers of a project's stream views."""
    if not any(view.stream is not None for view in project.spec.feature_views.values()):
        return ()
    from ...feature_store.streams.consumer import stream_view_consumers

    return stream_view_consumers(project)


def _datasets(project: Project) -> Iterable[Consumer[Any]]:
    """Return the consumers of a project's data sets."""
    if not project.spec.datasets:
        return ()
    from ...feature_store.datasets.consumer import dataset_consumers

    return dataset_consumers(project)


# each gives the consumers of its kind that a project declares; modules are imported when called
KINDS: list[Kind] = [_stream_views, _datasets]


def consumers(project: Project) -> dict[str, Consumer[Any]]:
    """Return the consumers of streams that a project declares, by name."""
    return {consumer.name: consumer for kind in KINDS for consumer in kind(project)}


def chosen(project: Project, names: Sequence[str]) -> dict[str, Consumer[Any]]:
    """Return some of a project's consumers of streams by name; all if no name is given.

    Raises:
        NotFound: There is none of a name, or none at all.
        Invalid: A name is given twice.
    """
    declared = consumers(project)
    if not declared:
        raise NotFound(
            "nothing in project.yaml reads a stream",
            remedy="give a feature view `stream: {every: 1m}`, or declare a data set: see "
            "docs/streams.md",
        )
    if len(set(names)) < len(names):
        raise Invalid("a name is given twice", remedy="name each consumer once")
    for name in names:
        if name not in declared:
            raise NotFound(
                f"nothing called {name} reads a stream",
                remedy=did_you_mean(name, declared, has="what reads one is"),
            )
    return {name: declared[name] for name in names or declared}
