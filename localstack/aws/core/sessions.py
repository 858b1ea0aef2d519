"""Session keys that the stack issues itself.

They go to the jobs and model servers that it starts, and to callers who have a key already.
"""

from __future__ import annotations

import secrets
import threading
from datetime import UTC, datetime, timedelta

import msgspec

from ...core.keys import fresh
from .caller import Caller


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A session key, and whose rights it carries."""

    key: str
    secret: str
    token: str
    account: str
    owner: Caller | None = None  # who asked for it, and whose rights it has; None: a role's
    role: str = ""  # the role's ARN
    until: datetime | None = None  # None: as long as the stack runs


class Sessions:
    """The session keys of one account. They end with the stack, as their holders do."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()

    def issue(
        self,
        account: str,
        *,
        owner: Caller | None = None,
        role: str = "",
        seconds: int | None = None,
    ) -> Session:
        """Create temporary credentials for a caller or a role, and return them.

        Args:
            account: The account that the key belongs to.
            owner: The caller whose rights the key has; None: those of `role`.
            role: The role's ARN.
            seconds: How long the key is valid; None: as long as the stack runs.
        """
        until = datetime.now(UTC) + timedelta(seconds=seconds) if seconds is not None else None
        session = Session(
            key=fresh("ASIA"),
            secret=secrets.token_urlsafe(30),
            token=secrets.token_urlsafe(96),
            account=account,
            owner=owner,
            role=role,
            until=until,
        )
        with self._lock:
            self._sessions[session.key] = session
        return session

    def get(self, key: str) -> Session | None:
        """Return the session that an access key belongs to; None: no such key was issued."""
        return self._sessions.get(key)
