"""Wishes of people about a running rollout, written by compare-and-swap, without the lease.

The next look does them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Literal

from msgspec.structs import replace

from ...errors import Conflict, NotFound
from ...storage import StateStore
from . import documents
from .states import RolloutState, Wish, Wishes
from .transitions import note

Verb = Literal["abort", "promote", "pause", "resume"]
_TRIES = 20  # a controller writes at most once a look


def _any(_state: RolloutState) -> None:
    """Allow a command in any state: the check that never raises an error."""


def ask(
    store: StateStore,
    endpoint: str,
    verb: Verb,
    *,
    who: str,
    wished_at: datetime,
    because: str = "",
    check: Callable[[RolloutState], None] = _any,
) -> RolloutState:
    """Record a person's command in the rollout's document, for its controller to carry out.

    `check` raises for a state in which the command is not allowed. Returns the new state.

    Raises:
        NotFound: There is no rollout.
        Conflict: Controllers write all the time.
    """
    for _ in range(_TRIES):
        stored = documents.read(store, endpoint)
        if stored is None:
            raise NotFound(
                f"{endpoint} has had no rollout", remedy=f"isthmus rollout start {endpoint}"
            )
        check(stored.state)
        state = with_wish(stored.state, verb, Wish(who=who, at=wished_at, because=because))
        if state == stored.state:
            return state
        try:
            return documents.write(store, state, expect=stored.token).state
        except Conflict:
            continue
    raise Conflict(f"the rollout of {endpoint} is written all the time", remedy="try again")


def with_wish(state: RolloutState, verb: Verb, wish: Wish) -> RolloutState:
    """Record a person's command in the state, and return it; a first abort is final.

    `verb` is the command, `wish` says who gave it, when and why.
    """
    wishes = state.wish
    if verb == "abort":
        return state if wishes.abort else replace(state, wish=replace(wishes, abort=wish))
    if verb == "promote":
        return replace(state, wish=replace(wishes, promote=wish))
    if (verb == "pause") == (wishes.pause is not None):
        return state
    changed: Wishes = replace(wishes, pause=wish if verb == "pause" else None)
    return note(
        replace(state, wish=changed),
        wish.at,
        "paused" if verb == "pause" else "resumed",
        wish.because,
        who=wish.who,
    )
