"""The streams that the project's gateways fill, and those of the examples made from them.

Which of them `apply` makes, and `plan` and `status` show.
"""

from __future__ import annotations

from ...core.runtime.project import Project
from ...endpoints.gateway.log.exposed_view import exposed_view
from ...endpoints.gateway.log.streams import STREAMS
from ...events.intake.emit import stream_of
from ...events.tables.exposures import exposures_view
from ...events.tables.relations import exactly_once_view, raw_table
from ...project.specs.description import Event
from ...project.specs.examples import examples_event
from ...project.specs.exposures import served_objectives
from ...project.specs.streams import Stream, created_by_apply, exposed_events, logged


def due(project: Project) -> tuple[Stream, ...]:
    """Return the event streams that gateways log to and that the target should have now.

    There are none before something needs them, then all, as a later version may log more.
    """
    needed = (
        created_by_apply(project.spec) or project.target.events.observe("exposures") is not None
    )
    return logged(project.spec) if needed else ()


def make(project: Project) -> None:
    """Create the event streams that gateways log to, and the SQL views over them."""
    for stream in due(project):
        project.target.events.apply(STREAMS[stream])
    for event in exposed_events(project.spec):
        project.target.warehouse.apply(exposed_view(event))
    if served_objectives(project.spec):
        project.target.warehouse.apply(exposures_view())
    for event in examples(project).values():
        project.target.warehouse.apply(raw_table(event))
        project.target.warehouse.apply(exactly_once_view(event))
        project.target.events.apply(stream_of(event))


def examples(project: Project) -> dict[str, Event]:
    """Return the examples of each data set, as events, by the data set's name."""
    spec = project.spec
    return {name: examples_event(spec, dataset) for name, dataset in spec.datasets.items()}
