"""Draw the page of all endpoints that project.yaml names.

It shows variants, split and the owner of the traffic.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from urllib.parse import quote

import msgspec

from ....core.runtime.project import Project
from ....endpoints.operations.listing import Listing, listing
from ....endpoints.port import EndpointState
from ....endpoints.split import percent_text
from ....endpoints.traffic import owner
from ....endpoints.traffic.owner_document import Owner
from ....reports import page as kit
from ...parts.forms import Form
from ...parts.reads import ReadFailure, Reads
from ...parts.view import PageContent


class EndpointsData(msgspec.Struct, frozen=True, kw_only=True):
    endpoints: dict[str, EndpointState | None]  # as `isthmus endpoints list --json`
    urls: dict[str, str | None]
    owners: dict[str, Owner | ReadFailure | None]
    unread: tuple[ReadFailure, ...]


def page(project: Project, _query: Mapping[str, str]) -> PageContent:
    """Draw the page that lists all endpoints of project.yaml with state and traffic split."""
    reads = Reads()
    listed = reads.attempt("endpoints", lambda: listing(project))
    shown = listed if isinstance(listed, Listing) else Listing(endpoints={}, urls={})
    owners = {
        name: reads.attempt(f"the owner of {name}", partial(owner_of, project, name))
        for name in shown.endpoints
    }
    rows = [_row(name, state, owners[name]) for name, state in shown.endpoints.items()]
    deploys = [
        Form(action="", button="", command=f"isthmus deploy {name}")
        for name, state in shown.endpoints.items()
        if state is None
    ]
    empty = (
        [kit.words("project.yaml names no endpoint.", "soft")] if not project.spec.endpoints else []
    )
    return PageContent(
        title="Endpoints",
        below=f"On {project.target.name}: what answers, and who has its traffic.",
        parts=(
            *reads.box(),
            *empty,
            *([kit.table(_HEAD, rows, wordy=(2, 3))] if rows else []),
            *deploys,
        ),
        data=EndpointsData(
            endpoints=shown.endpoints, urls=shown.urls, owners=owners, unread=tuple(reads.unread)
        ),
    )


_HEAD = ("endpoint", "phase", "variants", "traffic of")


def path(endpoint: str) -> str:
    """Return the URL path of an endpoint's page."""
    return f"/endpoints/{quote(endpoint, safe='')}"


def owner_of(project: Project, endpoint: str) -> Owner | None:
    """Return the rollout, experiment or command that may change an endpoint's traffic, or None."""
    claim = owner.read(project.target.state, endpoint)
    return None if claim is None else claim.owner


def _row(
    name: str, state: EndpointState | None, holder: Owner | ReadFailure | None
) -> tuple[str, ...]:
    """Return an endpoint's cells in the table: link, phase, traffic split, owner of the traffic.

    `holder` is the owner: the rollout, experiment or command that may change the split.
    """
    if state is None:
        return (kit.link(name, path(name)), "not there", "", "")
    split = ", ".join(
        f"{v.name} {v.model}@{v.version} {percent_text(v.percent)} %" for v in state.variants
    )
    return (kit.link(name, path(name)), state.phase, split, owner_text(holder))


def owner_text(holder: Owner | ReadFailure | None) -> str:
    """Return text on who may change an endpoint's traffic (`holder`), and since when."""
    if isinstance(holder, ReadFailure):
        return "not known"
    if holder is None or holder.owner == "none":
        return "nobody: deploy and traffic may move it"
    since = f"since {holder.changed:%Y-%m-%d %H:%M} UTC"
    return (
        f"{holder.owner} {holder.name} {since}"
        if holder.lasting
        else f"isthmus {holder.owner} {since}"
    )
