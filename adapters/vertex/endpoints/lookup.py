"""The endpoints of Vertex AI behind an endpoint of ours.

It is one; or, of a sticky endpoint, an empty one and one for each variant.
"""

from __future__ import annotations

from typing import Any

from ....endpoints import hosting
from ....errors import NotFound
from ...common import adoption
from ..names import PROJECT_LABEL, endpoint_id
from ..session import VertexSession
from . import deployed_models


def number(session: VertexSession, endpoint: str, variant: str | None = None) -> str:
    """Return an endpoint's id at Vertex AI: by our rule, or an adopted one's own.

    With `variant` it is that of the variant's own endpoint.
    """
    if variant is None and endpoint in session.adopted:
        return session.adopted[endpoint]
    return endpoint_id(session.name, endpoint, variant)


def path(session: VertexSession, endpoint: str, variant: str | None = None) -> str:
    """Return the full resource name at Vertex AI of an endpoint, or of a variant's own one."""
    return resource_name(session, number(session, endpoint, variant))


def resource_name(session: VertexSession, name: str) -> str:
    """Return an endpoint's full resource name in this project from an id or a resource name."""
    return f"{session.parent}/endpoints/{name.rpartition('/')[2]}"


def find(session: VertexSession, endpoint: str, variant: str | None = None) -> Any | None:
    """Return Vertex AI's description of a project's endpoint, or of a variant's own one, or None.

    Raises:
        Refused: profiles.yaml names an endpoint that this project has not adopted.
    """
    described = _get(session, path(session, endpoint, variant))
    if (
        described is not None
        and endpoint in session.adopted
        and (owner := described.labels.get(PROJECT_LABEL)) != session.name
    ):
        raise adoption.not_ours(session.adopted[endpoint], owner, session.profile)
    return described


def is_given_back(session: VertexSession, endpoint: str) -> bool:
    """Return whether an adopted endpoint of profiles.yaml no longer has a project's label."""
    standing = _get(session, path(session, endpoint)) if endpoint in session.adopted else None
    return standing is not None and PROJECT_LABEL not in standing.labels


def _get(session: VertexSession, name: str) -> Any | None:
    """Return Vertex AI's description of an endpoint by its resource name, or None."""
    try:
        with session.reading("GetEndpoint", name):
            return session.endpoints.get_endpoint(name=name)
    except NotFound:
        return None


def serving(session: VertexSession, endpoint: str) -> list[Any]:
    """Return the Vertex AI endpoints to which an endpoint's models are deployed.

    A sticky endpoint has one for each variant; any other is one endpoint itself. Raises NotFound if
    there is none.
    """
    head = find(session, endpoint)
    if head is None:
        raise hosting.not_found(endpoint)
    variants = deployed_models.intention(head).apart
    parts = [find(session, endpoint, variant) for variant in variants]
    return [part for part in parts if part is not None] if variants else [head]


def answering(
    session: VertexSession, endpoint: str, variant: str | None, rules: hosting.HostRules
) -> Any:
    """Return the Vertex AI endpoint to which a prediction request for a variant is sent.

    Raises:
        NotFound: There is no such endpoint, or variant.
        Unsupported: The request is aimed at a variant of a weighted endpoint.
    """
    head = find(session, endpoint)
    if head is None:
        raise hosting.not_found(endpoint)
    if not deployed_models.intention(head).apart:
        hosting.check_aim(endpoint, variant, rules)
        return head
    requested_names = [spec.name for spec in deployed_models.intended_variants(head).values()]
    name = variant or requested_names[0]
    # else it is leaving, though its endpoint may be there
    part = find(session, endpoint, name) if name in requested_names else None
    if part is None:
        raise NotFound(f"{endpoint} has no variant {name}", remedy=f"isthmus deploy {endpoint}")
    return part
