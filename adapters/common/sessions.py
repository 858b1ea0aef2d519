"""One session a Target: what the files of an adapter share for it, made at the first question,
closed and gone with the Target.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar
from weakref import WeakKeyDictionary

from ...target import Target

S = TypeVar("S")


def one_for_each(make: Callable[[Target], S]) -> Callable[[Target], S]:
    """`make`, called once for each Target, whichever thread is first."""
    sessions: WeakKeyDictionary[Target, S] = WeakKeyDictionary()
    making = threading.Lock()

    def of(target: Target) -> S:
        with making:
            session = sessions.get(target)
            if session is None:
                session = sessions[target] = make(target)
                target.shared.append(session)
            return session

    return of
