"""Notices: one POST with an id for each transition that a person cares about.

A webhook that is down changes nothing else. A notice is of what is stored already: an entry of the
history, or of the outbox as it was read. A process that dies between a POST and noting it posts
again, with the same id.
"""

from __future__ import annotations

import http.client
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec.structs import replace

from ..errors import Invalid, IsthmusError, Unavailable
from ..storage import StateStore
from .state import documents
from .state.states import HistoryEntry, RolloutState, What

NOTABLE: tuple[What, ...] = ("started", "waiting", "held", "promoted", "aborted", "lost", "drift")
TIMEOUT = 5.0  # seconds
TRIED = timedelta(hours=1)
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
Post = Callable[[str, bytes, str], None]  # url, body, id; an IsthmusError: it did not arrive


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one try; `owing`: there are notices that will be tried again."""

    owing: bool = False
    problems: tuple[str, ...] = ()


def deliver(
    store: StateStore, state: RolloutState, now: datetime, *, post: Post | None = None
) -> Delivery:
    """Post a rollout's due notices to its webhook in order, and store how many were posted.

    The state must be stored; only the rollout's controller does this.
    """
    variable = state.plan.webhook_env
    if variable is None or state.notified >= state.seq:
        return Delivery()
    notified, problem = state.notified, ""
    for entry in _due(store, state):
        if entry.what in NOTABLE and now - entry.at < TRIED:
            try:
                (post or _post)(_url(variable), _body(state, entry), _id(state, entry))
            except IsthmusError as error:
                problem = f"notice {_id(state, entry)}: {error}"
                break
        notified = entry.seq
    if notified > state.notified:
        _write(store, state, notified)
    return Delivery(owing=bool(problem), problems=(problem,) if problem else ())


def _due(store: StateStore, state: RolloutState) -> Iterator[HistoryEntry]:
    """Yield the history entries of a rollout that were not posted to its webhook yet."""
    return (entry for entry in documents.history(store, state) if entry.seq > state.notified)


def _write(store: StateStore, state: RolloutState, notified: int) -> None:
    """Store in a rollout's present document that so many notices were posted.

    If that fails, they are posted again, with the same ids.
    """
    stored = documents.read(store, state.endpoint)
    if stored is None or stored.state.id != state.id:
        return
    try:
        documents.write(
            store,
            replace(stored.state, notified=max(notified, stored.state.notified)),
            expect=stored.token,
        )
    except IsthmusError:
        return


def _id(state: RolloutState, entry: HistoryEntry) -> str:
    """Return a webhook notice's id, `<rollout>/<entry number>`, the same at each retry."""
    return f"{state.id}/{entry.seq}"


def _body(state: RolloutState, entry: HistoryEntry) -> bytes:
    """Return the JSON body of a webhook notice about one entry of a rollout's history."""
    return msgspec.json.encode(
        {"id": _id(state, entry), "endpoint": state.endpoint, "rollout": state.id}
        | msgspec.to_builtins(entry)
    )


def _url(variable: str) -> str:
    """Return the webhook's URL, from the environment variable of this name.

    Raises Invalid if it is not set on this machine, or would send unencrypted over the network.
    """
    url = os.environ.get(variable, "")
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        parts = urllib.parse.urlsplit("")
    if not parts.hostname:
        raise Invalid(
            f"{variable} holds no URL on this machine", remedy=f"export {variable}=https://..."
        )
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise Invalid(
            f"{variable} is {parts.scheme}://{parts.hostname}: only https, or http to this "
            "machine itself",
            remedy="use https",
        )
    return url


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A handler that follows no redirect."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Refuse to follow a redirect: the webhook itself has to answer."""


def _post(url: str, body: bytes, name: str) -> None:
    """Post a notice's JSON body to the webhook's URL.

    `name` is its id.

    Raises:
        Unavailable: There was no answer in time, or its status was not 2xx.
    """
    headers = {"Content-Type": "application/json", "Idempotency-Key": name}
    handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
    if urllib.parse.urlsplit(url).hostname in _LOOPBACK:
        # a proxy has no business between this machine and itself
        handlers.append(urllib.request.ProxyHandler({}))
    try:
        request = urllib.request.Request(url, data=body, headers=headers, method="POST")  # noqa: S310  _url looked at its scheme
        with urllib.request.build_opener(*handlers).open(request, timeout=TIMEOUT):
            pass
    except (
        OSError,
        ValueError,
        http.client.HTTPException,
    ) as error:  # a URL or an answer that is none is a ValueError, an HTTPException
        raise Unavailable(f"the webhook did not take it: {error}") from error
