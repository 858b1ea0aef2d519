"""Write the stack's state into its home at the right moments.

A request's changes are written before it is answered, the rest once a second, and all of it at a
clean end. What background work alone changed in a large store (stores.py) waits for a request that
changes something there, or for that end.
"""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable
from datetime import datetime

from ....core.calls import is_mutating
from ....core.home.home import Home
from ....core.home.pickles import freeze, thaw
from ....core.state import Stack
from ..incoming import IncomingRequest
from ..registry import Context
from . import declarations
from .backends import NOT_NOTED, Backends
from .objects import Objects
from .stores import Stores

_PERIOD = 1.0  # seconds between two looks at what no request told of
_CLOCK = "clock"


class Keeper:
    """The link between a running stack and its home.

    Stores are written after the objects, but as they were before: what moves from a store into an
    object meanwhile, as Firehose's records do, is in one of them whenever the stack dies, or in
    both.

    Args:
        home: The folder of records.
        stack: The running stack.
        context: What makes a handler's context for an account and a region.
    """

    def __init__(self, home: Home, stack: Stack, context: Callable[[str, str], Context]) -> None:
        self._home = home
        self._stack = stack
        self._context = context
        self._objects, self._backends, self._stores = Objects(home), Backends(home), Stores(home)
        self._saving = threading.Lock()
        self._closed = threading.Event()
        self._changed = False  # since the last look
        self._moment: datetime | None = None  # the clock's, as it is written

    def restore(self) -> None:
        """Load the persisted state of all services from the data directory at a start.

        Raises:
            Changed: A class has changed since its record was written.
        """
        self._objects.restore()
        self._backends.restore()
        for owner, store in self._stores.restore():
            self._stack.state.put(owner, store)
        for name in self._home.names(_CLOCK):
            self._moment = thaw(self._home.read(name), name=name)
            self._stack.clock.catch_up(self._moment)

    def resume(self) -> None:
        """Restart the timers and jobs of the restored services, and begin to save changes."""
        for owner, _, store in self._stack.state.stores():
            declarations.resume_store(self._context(*owner), store)
        declarations.finish_restart(self._context)
        threading.Thread(target=self._save_periodically, name="home", daemon=True).start()

    def note(self, incoming: IncomingRequest) -> None:
        """Mark what a request that moto executed may have changed, so that it is saved."""
        if (
            not is_mutating(incoming.operation)
            or (incoming.service, incoming.operation) in NOT_NOTED
        ):
            return
        if incoming.service == "s3":
            self._objects.note(incoming)
        else:
            self._backends.note(incoming.service)

    def save(self) -> None:
        """Write what this thread's request has changed to disk before it is answered.

        Raises:
            OSError: It cannot be written.
        """
        with self._saving:
            self._changed = True
            stores = self._stores.of_request(self._stack.state)
            self._objects.save()
            self._backends.save(everything=False)
            self._stores.write(stores)

    def clear(self) -> None:
        """Delete all persisted state from the data directory, after a reset."""
        with self._saving:
            self._objects.clear()
            self._backends.clear()
            self._stores.clear()
            self._home.clear(_CLOCK)
            self._moment = None

    def close(self) -> None:
        """Write all state to disk for the last time, at shutdown."""
        self._closed.set()
        self._save_everything(last=True)

    def _save_periodically(self) -> None:
        """Write changed state to disk once a second until the stack ends."""
        while not self._closed.wait(_PERIOD):
            try:
                self._save_everything()
            except Exception:  # noqa: BLE001  tried again in a second; a request that changes something is told
                sys.stderr.write("the home could not be written\n")
                traceback.print_exc()

    def _save_everything(self, *, last: bool = False) -> None:
        """Write all state that may have changed to disk, with the clock.

        With `last`, stores that have not been used are written, too.
        """
        with self._saving:
            if self._closed.is_set() and not last:  # another stack may have the home by now
                return
            changed, self._changed = self._changed, False
            stores = self._stores.changed(self._stack.state, last=last)
            if changed:
                self._objects.look()
            self._objects.save()
            self._backends.save(everything=changed)
            self._stores.write(stores)
            moment = self._stack.clock.ahead()
            if moment != self._moment:
                self._home.write(f"{_CLOCK}/now", freeze(moment))
                self._moment = moment
