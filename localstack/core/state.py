"""The state of a running stack, whatever its cloud.

It is what requests share, and what a reset drops.
"""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from .clock import Clock
from .faults import Faults
from .home.home import Home
from .keys import Keys

T = TypeVar("T")
Key = tuple[tuple[str, ...], type]  # of a store: owner and kind


class State:
    """Everything that a reset drops.

    A handler's thread that outlives a reset goes on writing into the old one, which nobody reads.
    """

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self._stores: dict[Key, Any] = {}
        self._touched: set[Key] = set()
        self._touching = threading.Lock()
        self._of_request = (
            threading.local()
        )  # `touched`: by the request that this thread is at; it is in nobody else's list
        self._on_stop: list[Callable[[], object]] = []
        self._lock = threading.RLock()

    def store(self, owner: tuple[str, ...], kind: type[T]) -> T:
        """Return the one instance of a store class for an owner, such as an account and a region.

        It is made by `kind()`, the class, when it is first asked for.
        """
        key = (owner, kind)
        touched: set[Key] | None = getattr(self._of_request, "touched", None)
        if touched is not None:
            touched.add(key)
        elif key not in self._touched:
            with self._touching:
                self._touched.add(key)
        store: T | None = self._stores.get(key)
        if store is not None:
            return store
        with self._lock:
            if key not in self._stores:
                self._stores[key] = kind()
            first: T = self._stores[key]
            return first

    def put(self, owner: tuple[str, ...], store: object) -> None:
        """Put a store that was loaded from the data directory into the state."""
        self._stores[owner, type(store)] = store

    def stores(self) -> list[tuple[tuple[str, ...], type, Any]]:
        """Return the owner, class and instance of each store."""
        with self._lock:
            return [(owner, kind, store) for (owner, kind), store in self._stores.items()]

    def take_touched(self) -> set[Key]:
        """Return the keys of the stores that may have changed since the last call.

        They are the stores that background work, and changing requests that have ended, have used.
        """
        with self._touching:
            touched, self._touched = self._touched, set()
        return touched

    def take_touched_by_request(self) -> set[Key]:
        """Return the keys of stores that this thread's request has used since the last call.

        Outside of a request there are none.
        """
        touched = self._touched_by_request()
        if touched is None:
            return set()
        self._of_request.touched = set()
        return touched

    @contextmanager
    def request(self, *, mutating: bool) -> Iterator[None]:
        """Wrap the answering of a request, so that the stores that it changes are saved together.

        Without `mutating` the request only reads, and nothing that it has used counts as changed.
        """
        outer, self._of_request.touched = self._touched_by_request(), set()
        try:
            yield
        finally:
            if mutating and self._of_request.touched:
                with self._touching:
                    self._touched |= self._of_request.touched
            self._of_request.touched = outer

    def _touched_by_request(self) -> set[Key] | None:
        """Return the keys of stores that this thread's request has used; None without a request."""
        touched: set[Key] | None = getattr(self._of_request, "touched", None)
        return touched

    def spawn(self, function: Callable[..., object], *arguments: object) -> threading.Thread:
        """Run a function as background work of the stack, in a thread, and return the thread.

        The work watches `stopping`; its errors are written to the stack's stderr.
        """
        thread = threading.Thread(
            target=_logged,
            args=(function, *arguments),
            name=getattr(function, "__name__", "work"),
            daemon=True,
        )
        thread.start()
        return thread

    def on_stop(self, function: Callable[[], object]) -> None:
        """Register a function for the next reset or shutdown; call it at once if one has begun."""
        with self._lock:
            if not self.stopping.is_set():
                self._on_stop.append(function)
                return
        _logged(function)

    def stop(self) -> None:
        """Signal a reset or shutdown, and call the functions registered by `on_stop`."""
        with self._lock:
            self.stopping.set()
            functions, self._on_stop = self._on_stop, []
        for function in functions:
            _logged(function)


class Stack(msgspec.Struct, kw_only=True):
    """A running stack: what all its requests share."""

    clock: Clock
    faults: Faults
    images: Mapping[str, str]  # image name -> the command that it is
    home: Path  # the stack's scratch folder: it goes with the stack
    persistent: Home | None = None  # where it keeps what it holds over a restart
    query_memory: int  # bytes that one query may use
    url: str = ""  # once it listens
    state: State
    keys: Keys | None = None  # once it listens
    any_key: bool = False  # whoever asks is taken to be who they say
    moto_answers: bool = False  # where nothing here executes, what moto makes up is answered
    allow_hosts: frozenset[str] = frozenset()  # its door lets through to these genuine ones


def _logged(function: Callable[..., object], *arguments: object) -> None:
    """Call a function with these arguments, and write an error that it raises to stderr."""
    try:
        function(*arguments)
    except Exception:  # noqa: BLE001  background work has nobody else to tell
        sys.stderr.write(f"background work {function!r} failed\n")
        traceback.print_exc()
