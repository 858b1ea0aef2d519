"""Storage of rollouts: document, history, numbers, and the minutes that decisions rest on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from ...core.formats import StoredDocument, decode
from ...endpoints.port import Bucket
from ...errors import Conflict, Invalid, Refused
from ...storage import BlobStore, StateStore
from .states import HistoryEntry, Observation, RolloutState

LARGEST = 32 * 1024  # bytes of a document; what grows is in the history


class LastId(StoredDocument, frozen=True, kw_only=True):
    """The last number given to a rollout of an endpoint: `rollouts/<endpoint>/ids`."""

    last: int


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A state as it is stored, with its token."""

    state: RolloutState
    token: str


class KeptMinutes(msgspec.Struct, frozen=True, kw_only=True):
    """The minutes, by variant, that a decision rests on: [since, until)."""

    since: datetime
    until: datetime
    minutes: Mapping[str, Sequence[Bucket]]
    scores: Mapping[str, Sequence[tuple[datetime, int, float]]] = {}


class _WrittenMinutes(StoredDocument, frozen=True, kw_only=True):
    """The stored form of KeptMinutes: JSON has no nan, so an absent latency is null."""

    since: datetime
    until: datetime
    minutes: Mapping[str, Sequence[Mapping[str, Any]]]
    scores: Mapping[str, Sequence[tuple[datetime, int, float]]] = {}


def key(endpoint: str) -> str:
    """Return the state store's key of an endpoint's rollout."""
    return f"rollouts/{endpoint}"


def history_key(state: RolloutState, seq: int) -> str:
    """Return the state store's key of one entry of a rollout's history."""
    return f"{key(state.endpoint)}/history/{state.id}/{seq:06}"


def read(store: StateStore, endpoint: str) -> Stored | None:
    """Return the stored state of an endpoint's running or last rollout, or None.

    Raises:
        Refused: A newer version wrote it.
    """
    document = store.get(key(endpoint))
    if document is None:
        return None
    return Stored(
        state=decode(document.value, RolloutState, what=f"state {key(endpoint)}"),
        token=document.token,
    )


def write(store: StateStore, state: RolloutState, *, expect: str | None) -> Stored:
    """Store a rollout's state, if the stored one still has the token `expect`.

    Raises:
        Conflict: Somebody else wrote.
        Invalid: The state is larger than 32 KiB.
    """
    value = msgspec.json.encode(state)
    if len(value) > LARGEST:
        raise Invalid(
            f"rollout {state.id} of {state.endpoint}: {len(value):,} bytes are more than the "
            f"{LARGEST:,} that its document may have",
            remedy="fewer guardrails or steps",
        )
    return Stored(state=state, token=store.put(key(state.endpoint), value, expect=expect))


def begin(store: StateStore, endpoint: str, build: Callable[[str], RolloutState]) -> Stored:
    """Store the state of a new rollout, which `build` makes from the rollout's id.

    Raises:
        Refused: A rollout of the endpoint has not ended.
        Conflict: Somebody was faster.
    """
    last = read(store, endpoint)
    if last is not None and not last.state.released:
        state = last.state
        raise Refused(
            f"rollout {state.id} of {endpoint} is {state.phase} since "
            f"{state.started:%Y-%m-%d %H:%M} UTC",
            remedy=f"isthmus rollout status {endpoint}",
        )
    if last is not None:
        flush(store, last.state)
    return write(store, build(_next_id(store, endpoint)), expect=last.token if last else None)


def flush(store: StateStore, state: RolloutState) -> RolloutState:
    """Move entries from the state's outbox to the stored history; return the state without them.

    Each entry has a key of its own. An entry that is stored already is left as it is.
    """
    for entry in state.outbox:
        try:
            store.put(history_key(state, entry.seq), msgspec.json.encode(entry), expect=None)
        except Conflict:
            # this or another controller wrote it, before it could take it out of the outbox
            continue
    return replace(state, outbox=())


def history(store: StateStore, state: RolloutState) -> Iterator[HistoryEntry]:
    """Yield the entries of a rollout's history, oldest first; those in the outbox come last."""
    last_seq = 0
    for name in sorted(store.keys(f"{key(state.endpoint)}/history/{state.id}/")):
        document = store.get(name)
        if document is not None:
            entry = decode(document.value, HistoryEntry, what=f"state {name}")
            last_seq = entry.seq
            yield entry
    yield from (entry for entry in state.outbox if entry.seq > last_seq)


def minutes_uri(blobs: BlobStore, state: RolloutState) -> str:
    """Return the URI at which the metrics since the present step began are stored."""
    return f"{folder_uri(blobs, state)}/{_bake(state)}.json"


def folder_uri(blobs: BlobStore, state: RolloutState) -> str:
    """Return the URI of the folder with a rollout's stored metrics and its report."""
    return f"{blobs.root.rstrip('/')}/rollouts/{state.endpoint}/{state.id}"


def _bake(state: RolloutState) -> str:
    """Return the name under which the metrics of the state's current bake are stored.

    A bake is the time in which a step is watched. The name is <stage>-<attempt>; on the way to the
    next stage <stage>-<phase>; after the last one the phase.
    """
    if state.phase in ("baking", "waiting"):
        return f"{state.stage}-{state.attempt}"
    return (
        f"{max(state.stage - 1, 1)}-{state.phase}"
        if state.phase in ("sizing", "shifting")
        else state.phase
    )


def keep_minutes(blobs: BlobStore, state: RolloutState, observation: Observation) -> None:
    """Store the metrics by minute on which a decision is about to be based.

    It may be repeated.
    """
    if state.bake_from is None or observation.settled is None:
        return
    written = _WrittenMinutes(
        since=state.bake_from,
        until=observation.settled,
        minutes=msgspec.to_builtins(observation.minutes),
        scores={
            name: [(minute, n, mean) for minute, (n, mean) in sorted(scores.items())]
            for name, scores in observation.scores.items()
        },
    )
    blobs.put(minutes_uri(blobs, state), msgspec.json.encode(written))


def kept_minutes(blobs: BlobStore, state: RolloutState) -> dict[str, KeptMinutes]:
    """Return the stored metrics of every bake of a rollout, by the bake's name.

    A bake is the time in which a step is watched.
    """
    folder = f"{folder_uri(blobs, state)}/"
    names = [
        blob.uri.removeprefix(folder).removesuffix(".json")
        for blob in blobs.list(folder)
        if blob.uri.endswith(".json")
    ]
    return {
        name: _minutes(blobs.get(f"{folder}{name}.json"), what=f"{folder}{name}.json")
        for name in names
    }


def _minutes(data: bytes, *, what: str) -> KeptMinutes:
    """Decode stored metrics by minute from JSON; `what` names them in errors."""
    written = decode(data, _WrittenMinutes, what=what)
    try:
        minutes = {
            name: [msgspec.convert(_with_nan(row), Bucket) for row in rows]
            for name, rows in written.minutes.items()
        }
    except msgspec.ValidationError as error:
        raise Invalid(f"{what} is damaged: {error}", remedy="restore it from a copy") from error
    return KeptMinutes(
        since=written.since, until=written.until, minutes=minutes, scores=written.scores
    )


def _with_nan(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of stored metrics with NaN for each null, as JSON has no NaN."""
    return {name: math.nan if value is None else value for name, value in row.items()}


def _next_id(store: StateStore, endpoint: str) -> str:
    """Count up an endpoint's rollouts, and return the id of the next one, such as `ro3`."""
    name = f"{key(endpoint)}/ids"
    document = store.get(name)
    number = (
        1 if document is None else decode(document.value, LastId, what=f"state {name}").last + 1
    )
    store.put(
        name,
        msgspec.json.encode(LastId(last=number)),
        expect=None if document is None else document.token,
    )
    return f"ro{number}"
