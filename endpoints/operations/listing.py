"""`isthmus endpoints list`: every endpoint as it is observed, and where its provider shows it."""

from __future__ import annotations

import msgspec

from ...core.runtime.project import Project
from ...reports.results import Shown
from ..port import EndpointState
from ..traffic.router import routed_endpoints


class Listing(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """The endpoints of project.yaml by name; None: it is not there.

    `urls`: of the provider's console.
    """

    endpoints: dict[str, EndpointState | None]
    urls: dict[str, str | None]


def listing(project: Project) -> Listing:
    """Return the observed state of every endpoint in project.yaml, by name."""
    states = {
        name: routed_endpoints(project.target).observe(name) for name in project.spec.endpoints
    }
    resources = project.target.inventory.list(project.spec.name)
    return Listing(
        endpoints=states, urls={r.name: r.console_url for r in resources if r.kind == "endpoint"}
    )
