"""Draw the running or last rollout of an endpoint in full.

The parts are those of the page that `isthmus rollout report` writes.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ....core.runtime.project import Project
from ....reports import page as kit
from ....rollouts.page import report
from ....rollouts.state import documents
from ....rollouts.state.states import HistoryEntry
from ....rollouts.verbs import rollout
from ....rollouts.verbs.status import Status
from ...parts.view import PageContent
from .endpoint import declared_endpoint
from .endpoints import path
from .rollouts import commands, standing


class RolloutData(msgspec.Struct, frozen=True, kw_only=True):
    status: Status  # as `isthmus rollout status --json`
    history: tuple[HistoryEntry, ...]


def page(project: Project, query: Mapping[str, str]) -> PageContent:
    """Draw the page of an endpoint's running or last rollout.

    Raises:
        NotFound: The endpoint never had a rollout.
    """
    name = declared_endpoint(project, query["endpoint"]).name
    status, entries = rollout.status(project, name), rollout.history(project, name)
    minutes = documents.kept_minutes(project.target.blobs, status.state)
    return PageContent(
        title=f"Rollout {status.state.id} of {name}",
        below=report.about(status.state),
        parts=(
            standing(status),
            *commands(status),
            *report.parts(status.state, entries, minutes),
            kit.links([(name, path(name))]),
        ),
        data=RolloutData(status=status, history=entries),
    )
