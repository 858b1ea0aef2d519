"""One session for each Target, which the files of an adapter share.

It is made when it is first needed, and is closed and forgotten with its Target.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar
from weakref import WeakKeyDictionary

from ...target import Target

S = TypeVar("S")


def one_for_each(make: Callable[[Target], S]) -> Callable[[Target], S]:
    """Return a session factory that calls `make` once for each Target, safely in threads."""
    sessions: WeakKeyDictionary[Target, S] = WeakKeyDictionary()
    making = threading.Lock()

    def session_of(target: Target) -> S:
        with making:
            session = sessions.get(target)
            if session is None:
                session = sessions[target] = make(target)
                target.shared.append(session)
            return session

    return session_of
