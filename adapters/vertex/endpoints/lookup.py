"""The endpoints of Vertex AI that stand for one of ours: one, or of a sticky one an empty one and
one for each variant.
"""

from __future__ import annotations

from typing import Any

from ....endpoints import hosting
from ....errors import NotFound
from ...common import adoption
from ..names import PROJECT_LABEL, endpoint_id
from ..session import Session
from . import deployed_models as deployed


def number(session: Session, endpoint: str, variant: str | None = None) -> str:
    """Its id at Vertex AI: by rule, or of one that was adopted, as it is there."""
    if variant is None and endpoint in session.adopted:
        return session.adopted[endpoint]
    return endpoint_id(session.name, endpoint, variant)


def path(session: Session, endpoint: str, variant: str | None = None) -> str:
    return whole(session, number(session, endpoint, variant))


def whole(session: Session, name: str) -> str:
    """A resource's name from an id, or from such a name, which may be of another project."""
    return f"{session.parent}/endpoints/{name.rpartition('/')[2]}"


def find(session: Session, endpoint: str, variant: str | None = None) -> Any | None:
    """As Vertex AI has it; None: it is absent.

    Refused: profiles.yaml names one that this project has not adopted.
    """
    there = _get(session, path(session, endpoint, variant))
    if (
        there is not None
        and endpoint in session.adopted
        and (owner := there.labels.get(PROJECT_LABEL)) != session.name
    ):
        raise adoption.not_ours(session.adopted[endpoint], owner, session.profile)
    return there


def is_given_back(session: Session, endpoint: str) -> bool:
    """Whether profiles.yaml names one that carries no project's labels (any more)."""
    there = _get(session, path(session, endpoint)) if endpoint in session.adopted else None
    return there is not None and PROJECT_LABEL not in there.labels


def _get(session: Session, name: str) -> Any | None:
    try:
        with session.reading("GetEndpoint", name):
            return session.endpoints.get_endpoint(name=name)
    except NotFound:
        return None


def serving(session: Session, endpoint: str) -> list[Any]:
    """Those to which models are deployed. NotFound: there is no such endpoint."""
    head = find(session, endpoint)
    if head is None:
        raise hosting.not_found(endpoint)
    variants = deployed.intention(head).apart
    parts = [find(session, endpoint, variant) for variant in variants]
    return [part for part in parts if part is not None] if variants else [head]


def answering(
    session: Session, endpoint: str, variant: str | None, rules: hosting.HostRules
) -> Any:
    """The one that answers a request.

    NotFound: no such endpoint, or variant. Unsupported: a request is aimed under weighted routing.
    """
    head = find(session, endpoint)
    if head is None:
        raise hosting.not_found(endpoint)
    if not deployed.intention(head).apart:
        hosting.check_aim(endpoint, variant, rules)
        return head
    wanted = [spec.name for spec in deployed.intended_variants(head).values()]
    name = variant or wanted[0]
    # else it is leaving, though its endpoint may be there
    part = find(session, endpoint, name) if name in wanted else None
    if part is None:
        raise NotFound(f"{endpoint} has no variant {name}", remedy=f"isthmus deploy {endpoint}")
    return part
