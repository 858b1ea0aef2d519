"""The records of the stack's own state in a home: one for each store.

    stores/<module>.<class>/<account>.<region>

A store is the instance of a class for an account and a region. Every store is kept but those that
their service declares otherwise (declarations.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from importlib import import_module
from typing import Any, NamedTuple

from ....core.home.former_modules import first_address, present_address
from ....core.home.home import Home
from ....core.home.pickles import Changed, freeze, thaw
from ....core.state import Key, State
from ..sessions import Sessions
from .declarations import LEFT_OUT, NOT_KEPT, not_kept

not_kept(Sessions)
_FOLDER = "stores"
_PACKAGE = __name__.rsplit(".", 3)[0]  # of the stack for AWS
# bytes from which a store is not written with every request that touches it, nor compared once a
# second with what is written
_LARGE = 1 << 18

Owner = tuple[str, ...]


class StoreSnapshot(NamedTuple):
    """A store as it was at a moment, and the name of its record."""

    key: Key
    name: str
    record: bytes


class Stores:
    """The records of stores. Its caller lets one thread at a time save."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._written: dict[str, tuple[int, bytes]] = {}  # size and digest
        self._touched: set[Key] = set()  # and not written since

    def of_request(self, state: State) -> list[StoreSnapshot]:
        """Return snapshots of the stores that this thread's request has used, to be saved.

        A store has one service's state of one account and region. A store too large to be written
        with every request is left to `changed`.
        """
        touched = state.take_touched_by_request()
        self._touched |= touched
        return [
            _snapshot(owner, kind, store)
            for owner, kind, store in _persistent(state)
            if (owner, kind) in touched and not self._large(owner, kind)
        ]

    def changed(self, state: State, *, last: bool = False) -> list[StoreSnapshot]:
        """Return snapshots of the stores that may differ from what is on disk.

        They are the large ones that were used, and all small ones, which background work may have
        changed; with `last` all of them.
        """
        self._touched |= state.take_touched()
        return [
            _snapshot(owner, kind, store)
            for owner, kind, store in _persistent(state)
            if last or (owner, kind) in self._touched or not self._large(owner, kind)
        ]

    def write(self, snapshots: Iterable[StoreSnapshot]) -> None:
        """Write the snapshots of stores that differ from what is on disk."""
        for key, name, record in snapshots:
            written = len(record), blake2b(record).digest()
            if self._written.get(name) != written:
                self._home.write(name, record)
                self._written[name] = written
            self._touched.discard(key)

    def restore(self) -> Iterator[tuple[Owner, Any]]:
        """Load the stores from the data directory, and yield each with its account and region.

        Raises:
            Changed: A record's class does not exist any more, or has other fields.
        """
        for name in self._home.names(_FOLDER):
            _, kind, place = name.split("/")
            try:
                former_module, _, class_name = kind.rpartition(".")
                import_module(present_address(f"{_PACKAGE}.{former_module}", class_name)[0])
            except ModuleNotFoundError as error:
                raise Changed(f"{name} cannot be read ({error})") from error
            yield tuple(place.split(".")), thaw(self._home.read(name), name=name)

    def _large(self, owner: Owner, kind: type) -> bool:
        """Return whether a store's file is too large to be rewritten with every request.

        `owner` is the store's account and region, and `kind` its class.
        """
        size, _ = self._written.get(_name(owner, kind), (0, b""))
        return size > _LARGE

    def clear(self) -> None:
        """Delete all persisted stores from the data directory."""
        self._written, self._touched = {}, set()
        self._home.clear(_FOLDER)


def _snapshot(owner: Owner, kind: type, store: object) -> StoreSnapshot:
    """Return a snapshot of a store: its pickled bytes, with the name of its file.

    `owner` is the store's account and region, and `kind` its class.
    """
    return StoreSnapshot((owner, kind), _name(owner, kind), freeze(store, left=LEFT_OUT))


def _persistent(state: State) -> Iterator[tuple[Owner, type, Any]]:
    """Yield the stores that are persisted over restarts, each with its owner and class."""
    for owner, kind, store in state.stores():
        if kind not in NOT_KEPT and kind.__module__.startswith(_PACKAGE):
            yield owner, kind, store


def _name(owner: Owner, kind: type) -> str:
    """Return the name of the file in which a store of class `kind` is persisted for an owner.

    It has the name that the class had first, so that a renamed class finds its file.
    """
    first = first_address(kind.__module__, kind.__qualname__)
    return f"{_FOLDER}/{first.removeprefix(f'{_PACKAGE}.')}/{'.'.join(owner)}"
