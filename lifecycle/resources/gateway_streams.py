"""The streams that the project's gateways fill: which of them `apply` makes, and `plan` and
`status` show.
"""

from __future__ import annotations

from ...core.runtime.project import Project
from ...endpoints.gateway.log.exposed_view import exposed_view
from ...endpoints.gateway.log.streams import STREAMS
from ...project.specs.streams import Stream, applied, exposed_events, logged


def due(project: Project) -> tuple[Stream, ...]:
    """All of them where the project needs them before a `deploy`, and after the first one, as a
    later version may log more.
    """
    needed = applied(project.spec) or project.target.events.observe("exposures") is not None
    return logged(project.spec) if needed else ()


def make(project: Project) -> None:
    for stream in due(project):
        project.target.events.apply(STREAMS[stream])
    for event in exposed_events(project.spec):
        project.target.warehouse.apply(exposed_view(event))
