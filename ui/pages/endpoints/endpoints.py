"""Endpoints: every one that project.yaml names, with its variants, its split and who has its
traffic.
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
from ....reports import page as kit
from ...parts.reads import Reads, Unread
from ...parts.view import View


class EndpointsData(msgspec.Struct, frozen=True, kw_only=True):
    endpoints: dict[str, EndpointState | None]  # as `isthmus endpoints list --json`
    urls: dict[str, str | None]
    owners: dict[str, owner.Owner | Unread | None]
    unread: tuple[Unread, ...]


def page(project: Project, _query: Mapping[str, str]) -> View:
    reads = Reads()
    listed = reads.of("endpoints", lambda: listing(project))
    known = listed if isinstance(listed, Listing) else Listing(endpoints={}, urls={})
    owners = {
        name: reads.of(f"the owner of {name}", partial(owner_of, project, name))
        for name in known.endpoints
    }
    rows = [_row(name, state, owners[name]) for name, state in known.endpoints.items()]
    empty = (
        [kit.words("project.yaml names no endpoint.", "soft")] if not project.spec.endpoints else []
    )
    return View(
        title="Endpoints",
        below=f"On {project.target.name}: what answers, and who has its traffic.",
        parts=(*reads.box(), *empty, *([kit.table(_HEAD, rows, wordy=3)] if rows else [])),
        data=EndpointsData(
            endpoints=known.endpoints, urls=known.urls, owners=owners, unread=tuple(reads.unread)
        ),
    )


_HEAD = ("endpoint", "phase", "variants", "traffic of")


def path(endpoint: str) -> str:
    return f"/endpoints/{quote(endpoint, safe='')}"


def owner_of(project: Project, endpoint: str) -> owner.Owner | None:
    claim = owner.read(project.target.state, endpoint)
    return None if claim is None else claim.owner


def _row(
    name: str, state: EndpointState | None, of: owner.Owner | Unread | None
) -> tuple[str, ...]:
    if state is None:
        return (kit.link(name, path(name)), "not there", f"isthmus deploy {name}", "")
    split = ", ".join(
        f"{v.name} {v.model}@{v.version} {percent_text(v.percent)} %" for v in state.variants
    )
    return (kit.link(name, path(name)), state.phase, split, owner_text(of))


def owner_text(of: owner.Owner | Unread | None) -> str:
    """Who has the traffic, in a few words."""
    if isinstance(of, Unread):
        return "not known"
    if of is None or of.owner == "none":
        return "nobody: deploy and traffic may move it"
    since = f"since {of.changed:%Y-%m-%d %H:%M} UTC"
    return (
        f"{of.owner} {of.name} {since}; {of.command} ends it"
        if of.lasting
        else f"isthmus {of.owner} {since}"
    )
