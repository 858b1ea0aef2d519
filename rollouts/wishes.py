"""What a person asks of a rollout: its wishes, by compare-and-swap and without the lease. The next look does the rest."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Literal

from msgspec.structs import replace

from ..errors import Conflict, NotFound, Refused
from ..storage import StateStore
from . import documents
from .judging import standing
from .moves import note
from .states import State, Wish

Verb = Literal["abort", "promote", "pause", "resume"]
_TRIES = 20  # a controller writes at most once a look


def ask(store: StateStore, endpoint: str, verb: Verb, *, who: str, at: datetime, because: str = "") -> State:
    """NotFound: there is no rollout. Refused: it cannot be asked for now. Conflict: somebody writes all the time."""
    for _ in range(_TRIES):
        stored = documents.read(store, endpoint)
        if stored is None:
            raise NotFound(f"{endpoint} has no rollout", remedy=f"isthmus rollout start {endpoint}")
        state = _VERBS[verb](stored.state, Wish(who=who, at=at, because=because))
        if state == stored.state:
            return state
        try:
            return documents.write(store, state, expect=stored.token).state
        except Conflict:
            continue
    raise Conflict(f"the rollout of {endpoint} is written all the time", remedy="try again")


def abort(state: State, wish: Wish) -> State:
    """Back, whatever else is wished. The first one stands; after the end: no change."""
    if state.phase in ("aborting", "ended") or state.wish.abort is not None:
        return state
    return replace(state, wish=replace(state.wish, abort=wish))


def promote(state: State, wish: Wish) -> State:
    """A yes to the next step, or to the end of the grace time. Refused: nothing runs; no good data, and no reason given."""
    _must_run(state, "promote")
    if state.phase in ("baking", "waiting") and not wish.because and (verdict := standing(state, wish.at)) != "pass":
        raise Refused(
            f"rollout {state.id} of {state.endpoint}, step {state.stage}: the guardrails say {verdict}",
            remedy='wait, or go on anyway: --because "..." (the history keeps it)',
        )
    return replace(state, wish=replace(state.wish, promote=wish))


def pause(state: State, wish: Wish) -> State:
    """No step goes up until `resume`. What is judged, put right and taken back goes on. Refused: nothing runs."""
    _must_run(state, "pause")
    if state.wish.pause is not None:
        return state
    return note(replace(state, wish=replace(state.wish, pause=wish)), wish.at, "paused", wish.because, who=wish.who)


def resume(state: State, wish: Wish) -> State:
    """Refused: nothing runs. Not paused: no change."""
    _must_run(state, "resume")
    if state.wish.pause is None:
        return state
    return note(replace(state, wish=replace(state.wish, pause=None)), wish.at, "resumed", wish.because, who=wish.who)


def _must_run(state: State, what: str) -> None:
    if state.phase in ("aborting", "ended"):
        raise Refused(
            f"there is nothing to {what}: rollout {state.id} of {state.endpoint} is {state.end or state.phase}",
            remedy=f"isthmus rollout start {state.endpoint}",
        )


_VERBS: dict[Verb, Callable[[State, Wish], State]] = {"abort": abort, "promote": promote, "pause": pause, "resume": resume}
