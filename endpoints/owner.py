"""Who owns an endpoint's traffic, and what it intends: `traffic/<endpoint>` in the StateStore, written before the traffic moves."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Literal

import msgspec

from ..errors import Refused
from ..formats import StoredDocument, decode
from ..runtime import Project


class Owner(StoredDocument, frozen=True, kw_only=True):
    """`owner` none: whoever comes next may move it. `done` False: the intent was not yet seen in the target."""

    owner: Literal["none", "deploy", "traffic", "rollout", "experiment"]
    split: dict[str, Decimal]
    done: bool
    changed: datetime
    name: str = ""  # of the rollout or the experiment


class Held(msgspec.Struct, frozen=True, kw_only=True):
    owner: Owner
    token: str


def key(endpoint: str) -> str:
    return f"traffic/{endpoint}"


def read(project: Project, endpoint: str) -> Held | None:
    found = project.target.state.get(key(endpoint))
    return None if found is None else Held(owner=decode(found.value, Owner, what=f"state {key(endpoint)}"), token=found.token)


def intend(project: Project, endpoint: str, split: Mapping[str, Decimal], *, by: Literal["deploy", "traffic"], held: Held | None) -> Held:
    """Take the traffic and write down what it shall be. Refused: a rollout or an experiment owns it. Conflict: somebody was faster."""
    if held is not None and held.owner.owner in ("rollout", "experiment"):
        owner = held.owner
        raise Refused(
            f"{endpoint}'s traffic belongs to {owner.owner} {owner.name} since {owner.changed:%Y-%m-%d %H:%M}",
            remedy=f"isthmus {owner.owner} abort {endpoint}, or let it end: traffic has one owner at a time",
        )
    return _put(project, endpoint, Owner(owner=by, split=dict(split), done=False, changed=project.wall()), held)


def settled(project: Project, endpoint: str, held: Held) -> Held:
    """The intent was read back: the traffic is free again."""
    return _put(project, endpoint, msgspec.structs.replace(held.owner, owner="none", done=True, changed=project.wall()), held)


def _put(project: Project, endpoint: str, owner: Owner, held: Held | None) -> Held:
    token = project.target.state.put(key(endpoint), msgspec.json.encode(owner), expect=None if held is None else held.token)
    return Held(owner=owner, token=token)
