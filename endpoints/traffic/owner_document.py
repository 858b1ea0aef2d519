"""The stored record of who owns an endpoint's traffic, and what that owner intends."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

import msgspec

from ...core.formats import StoredDocument

ABANDONED = timedelta(
    minutes=15
)  # a hand's change that is not seen after so long will not come: `traffic` itself waits no longer


class StoppedVariant(msgspec.Struct, frozen=True, kw_only=True):
    """A variant that ran when its endpoint was stopped; the owner's `split` has its percent."""

    name: str
    model: str
    version: int


class Owner(StoredDocument, frozen=True, kw_only=True, tag=3):
    """The owner of an endpoint's traffic. `owner` none: whoever comes next may move it.

    `done` False: the intent was not yet seen in the target. `guard`: it stops the endpoint, or has
    stopped it, and `deploy` alone takes it over.
    """

    owner: Literal["none", "deploy", "traffic", "rollout", "experiment", "guard"]
    # percent by variant; of a rollout, an experiment or the guard: what it found
    split: dict[str, Decimal]
    done: bool
    changed: datetime
    name: str = ""  # of the rollout or the experiment
    command: str = ""  # that ends it: isthmus rollout abort ranker
    until: datetime | None = (
        # of one that has ended, and keeps the traffic until then: something may still come late
        None
    )
    stopped: tuple[StoppedVariant, ...] = ()  # of the guard: what ran, for `deploy` to bring back
    returning: bool = False  # of the guard: `deploy` has begun to bring the endpoint back

    @property
    def since(self) -> str:
        """Return the moment of the last change for people: `2026-12-03 08:30 UTC`."""
        return f"{self.changed:%Y-%m-%d %H:%M} UTC"

    @property
    def lasting(self) -> bool:
        """Return whether the owner keeps the traffic until it releases it, as a rollout does."""
        return self.owner in ("rollout", "experiment")

    def is_of(self, kind: Literal["rollout", "experiment"], name: str) -> bool:
        """Return whether the owner is the rollout or experiment of this name."""
        return (self.owner, self.name) == (kind, name)


class OwnerDocument(msgspec.Struct, frozen=True, kw_only=True):
    """An owner's document as it was read."""

    owner: Owner
    token: str
