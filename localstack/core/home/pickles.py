"""State as bytes: pickled, without what belongs to a process (locks, events, servers).

It is refused where a class has changed since, or where this user's seal is not on it.
"""

from __future__ import annotations

import io
import pickle
import queue
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

from . import seals
from .former_modules import first_address, present_address

_PACKAGE = __name__.partition(".")[0]
_TRIES = 100  # other threads write while this one reads: a dict that grows meanwhile is read again
# Read again, such a thing is a new one.
_NEW: dict[type, Callable[[], object]] = {
    type(threading.Lock()): threading.Lock,
    type(threading.RLock()): threading.RLock,
    threading.Condition: threading.Condition,
    queue.SimpleQueue: queue.SimpleQueue,
}
# class -> attribute -> what it is read again as
Left = Mapping[type, Mapping[str, Callable[[], object]]]


class Changed(RuntimeError):
    """A record cannot be used.

    It is damaged, no stack of this user wrote it, or a class in it is not what it was when the
    record was written.
    """


class Outside:
    """Something of which the record holds the name only.

    Whoever reads the record has its content.
    """

    def __init__(self, name: str) -> None:
        self.name = name


def freeze(
    value: object, *, left: Left | None = None, reduce: Callable[[object], Any] | None = None
) -> bytes:
    """Return an object as signed pickled bytes, to be written to the data directory.

    Args:
        value: The object.
        left: Attributes that are not persisted, by class, each with a function that makes its value
            when the object is read.
        reduce: Decides how an object is pickled, as Pickler.reducer_override does; it may return an
            Outside, whose content is stored elsewhere.
    """
    tries = 0
    while True:
        stream = io.BytesIO()
        pickler = (
            _Pickler(stream, left or {})
            if reduce is None
            else _Reducing(stream, left or {}, reduce)
        )
        try:
            pickler.dump(value)
        except RuntimeError as error:
            tries += 1
            if tries == _TRIES or "during iteration" not in str(error):
                raise
        else:
            return sealed(pickle.dumps((pickler.classes, stream.getvalue())))


def sealed(pickled: bytes) -> bytes:
    """Return pickled bytes with this user's signature in front."""
    return seals.seal(pickled) + pickled


def unsealed(record: bytes) -> bytes | None:
    """Return the pickled part of signed bytes.

    None: they do not begin with this user's signature.
    """
    own, pickled = record[: seals.SIZE], record[seals.SIZE :]
    return pickled if seals.holds(own, pickled) else None


def thaw(
    record: bytes, outside: Callable[[str], object] = lambda name: name, *, name: str = "the record"
) -> Any:
    """Return the object in signed pickled bytes.

    Nothing is unpickled without this user's signature.

    Args:
        record: The bytes.
        outside: Returns the content of an Outside, which is stored elsewhere, by its name.
        name: How errors call the record.

    Raises:
        Changed: It is not signed by this user, a class has other fields by now, or it cannot be
            read.
    """
    pickled = unsealed(record)
    if pickled is None:
        raise Changed(f"{name} was not written by a stack of this user, or is damaged")
    try:
        return _thaw(pickled, outside)
    except (
        EOFError,
        pickle.UnpicklingError,
        AttributeError,
        ImportError,
        LookupError,
        TypeError,
        ValueError,
    ) as error:
        raise Changed(f"{name} cannot be read ({type(error).__name__}: {error})") from error


def _thaw(pickled: bytes, outside: Callable[[str], object]) -> Any:
    """Unpickle an object that an earlier version may have written.

    Classes that have moved are found at their new address; `outside` returns what the pickle only
    names.

    Raises:
        Changed: A class has other fields by now.
    """
    classes, payload = pickle.loads(pickled)  # noqa: S301  it carries this user's seal
    for written, fields in classes.items():
        module, name = present_address(*written)
        __import__(module)
        now = getattr(sys.modules[module], name, None)
        if now is None or _fields(now) != fields:
            raise Changed(f"{first_address(module, name)} has changed since this was written")
    unpickler = _Unpickler(io.BytesIO(payload))
    unpickler.persistent_load = lambda pid: outside(str(pid))  # type: ignore[method-assign]
    return unpickler.load()


class _Unpickler(pickle.Unpickler):
    """An unpickler that finds classes where they are today."""

    def find_class(self, module: str, name: str) -> Any:
        """Return a class by module and name, also one that has moved since it was pickled."""
        return super().find_class(*present_address(module, name))


class _Pickler(pickle.Pickler):
    """A pickler that leaves out what belongs to a process.

    It notes this package's classes, with their fields.
    """

    def __init__(self, stream: io.BytesIO, left: Left) -> None:
        super().__init__(stream, protocol=pickle.HIGHEST_PROTOCOL)
        self.classes: dict[tuple[str, str], tuple[str, ...]] = {}  # of this package, in the value
        self._left = left

    def reducer_override(self, obj: Any) -> Any:
        """Pickle locks and other objects of a process as new ones."""
        kind = type(obj)
        if kind in _NEW:
            return _NEW[kind], ()
        if kind is threading.Event:
            return _event, (obj.is_set(),)
        if kind in self._left:
            return _without(obj, self._left[kind])
        if isinstance(obj, type) and obj.__module__.startswith(f"{_PACKAGE}."):
            self.classes[obj.__module__, obj.__qualname__] = _fields(obj)
        return NotImplemented


class _Reducing(_Pickler):
    """A pickler with a reducer of its caller's.

    It is a class of its own, since a pickler calls its `persistent_id` for everything down to each
    number: that was a third of what freezing took.
    """

    def __init__(self, stream: io.BytesIO, left: Left, reduce: Callable[[object], Any]) -> None:
        super().__init__(stream, left)
        self._reduce = reduce

    def persistent_id(self, obj: object) -> str | None:
        """Return the name of an object whose content is stored outside of the pickle, else None."""
        return obj.name if type(obj) is Outside else None

    def reducer_override(self, obj: Any) -> Any:
        """Pickle an object as this stack does, or else by the rules of `freeze`'s caller."""
        reduced = super().reducer_override(obj)
        return self._reduce(obj) if reduced is NotImplemented else reduced


def _without(obj: Any, left: Mapping[str, Callable[[], object]]) -> Any:
    """Return how to pickle an object (see __reduce_ex__) with the attributes in `left` replaced.

    `left` has by an attribute's name the function that makes its value.
    """
    reduced = list(obj.__reduce_ex__(pickle.HIGHEST_PROTOCOL))
    values = {name: make() for name, make in left.items()}
    state = reduced[2]
    reduced[2] = (
        (state[0], {**state[1], **values}) if isinstance(state, tuple) else {**state, **values}
    )
    return tuple(reduced)


def _fields(kind: Any) -> tuple[str, ...]:
    """Return the field names of a class, by which a change of it since pickling is noticed."""
    if hasattr(kind, "__struct_fields__"):
        return tuple(kind.__struct_fields__)
    slots = getattr(kind, "__slots__", None)
    if slots is not None:
        return tuple(sorted(slots))
    return (
        tuple(sorted(kind.__init__.__code__.co_names)) if hasattr(kind.__init__, "__code__") else ()
    )


def _event(is_set: bool) -> threading.Event:
    """Return a new event, set or not, in place of an event that was pickled."""
    event = threading.Event()
    if is_set:
        event.set()
    return event
