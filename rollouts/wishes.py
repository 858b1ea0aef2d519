"""What people ask of a rollout, as changes of its document: the wishes alone. Pure; the next look does the rest."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from ..errors import Refused
from .judging import standing
from .moves import note
from .states import State, Wish


def abort(state: State, *, who: str, now: datetime, because: str = "") -> State:
    """Back, whatever else is wished. Again, or after the end: no change."""
    if state.phase in ("aborting", "ended") or state.wish.abort is not None:
        return state
    return replace(state, wish=replace(state.wish, abort=Wish(who=who, at=now, because=because)))


def promote(state: State, *, who: str, now: datetime, because: str = "") -> State:
    """A person's yes to the next step, or to the end of the grace time. Refused: nothing runs; no good data, and no reason given."""
    _must_run(state, "promote")
    if state.phase in ("baking", "waiting") and not because and (verdict := standing(state, now)) != "pass":
        raise Refused(
            f"rollout {state.id} of {state.endpoint}, step {state.stage}: the guardrails say {verdict}",
            remedy='wait, or go on anyway: --because "..." (the history keeps it)',
        )
    return replace(state, wish=replace(state.wish, promote=Wish(who=who, at=now, because=because)))


def pause(state: State, *, who: str, now: datetime, because: str = "") -> State:
    """No step goes up until `resume`. What is judged, put right and taken back goes on. Refused: nothing runs."""
    _must_run(state, "pause")
    if state.wish.pause is not None:
        return state
    wish = Wish(who=who, at=now, because=because)
    return note(replace(state, wish=replace(state.wish, pause=wish)), now, "paused", because, who=who)


def resume(state: State, *, who: str, now: datetime, because: str = "") -> State:
    """Refused: nothing runs. Not paused: no change."""
    _must_run(state, "resume")
    if state.wish.pause is None:
        return state
    return note(replace(state, wish=replace(state.wish, pause=None)), now, "resumed", because, who=who)


def _must_run(state: State, what: str) -> None:
    if state.phase in ("aborting", "ended"):
        raise Refused(
            f"there is nothing to {what}: rollout {state.id} of {state.endpoint} is {state.end or state.phase}",
            remedy=f"isthmus rollout start {state.endpoint}",
        )
