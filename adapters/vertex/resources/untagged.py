"""Search for what bears a project's name at Google and not its labels: `destroy` may miss it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ....target import StrayResource, Target, Untagged
from .. import names
from ..session import VertexSession, session_of

_NOT_SEARCHED = (
    "pipeline jobs, feature views and logs, whose names do not begin with the project's; tables "
    "and files have a dataset and a place in the bucket of their own"
)


def untagged(target: Target) -> Untagged:
    """Return the Google resources whose ids begin with the project's name and lack its labels.

    What another project's labels are on is not counted.
    """
    session = session_of(target)
    start = names.dashed(session.name, "")
    place = f"projects/{session.project}"
    lists: Mapping[str, tuple[str, Callable[[], Iterable[Any]]]] = {
        "endpoint": (
            "ListEndpoints",
            lambda: session.endpoints.list_endpoints(request={"parent": session.parent}),
        ),
        "model": (
            "ListModels",
            lambda: session.models.list_models(request={"parent": session.parent}),
        ),
        "topic": (
            "ListTopics",
            lambda: session.publisher.list_topics(request={"project": place}),
        ),
        "subscription": (
            "ListSubscriptions",
            lambda: session.subscriber.list_subscriptions(request={"project": place}),
        ),
    }
    strays: list[StrayResource] = []
    for kind, (operation, listed) in lists.items():
        with session.reading(operation, start):
            items = [item for item in listed() if _last(item.name).startswith(start)]
        strays += [
            StrayResource(kind=kind, name=_last(item.name), native_id=item.name, missing=missing)
            for item in items
            if (missing := _missing(session, item.labels))
        ]
    return Untagged(resources=tuple(strays), not_searched=_NOT_SEARCHED)


def _last(name: str) -> str:
    """Return the last part of a resource's full name, after the last slash."""
    return name.rpartition("/")[2]


def _missing(session: VertexSession, labels: Mapping[str, str]) -> tuple[str, ...]:
    """Return the labels of Isthmus that a resource lacks.

    There are none if the resource is another project's.
    """
    if labels.get(names.PROJECT_LABEL, session.name) != session.name:
        return ()
    return tuple(label for label in session.labels("", "") if label not in labels)
