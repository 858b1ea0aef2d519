"""One document of the StateStore as one process knows it.

The last sound copy is kept, whatever the store does.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Generic, Protocol, TypeVar, final

import msgspec

from ....errors import Invalid, IsthmusError
from ....storage import Versioned

Read = Callable[[], Versioned | None]


class _Numbered(Protocol):
    """A stored document that knows its number and age."""

    @property
    def version(self) -> int:
        """The number of the document, which grows with each change."""
        ...

    @property
    def written(self) -> datetime:
        """The time at which the document was written."""
        ...


Document = TypeVar("Document", bound=_Numbered)


class CopyState(msgspec.Struct, Generic[Document], frozen=True, kw_only=True):
    """`value` None: the store has no document, or nobody knows (`seen` None)."""

    value: Document | None = None
    seen: float | None = None  # when this was what the store had
    problem: str = ""  # of the last look


@final
class DocumentCopy(Generic[Document]):
    """`look` from one thread, `last` from many."""

    def __init__(
        self, key: str, read: Read, decoded: Callable[[bytes], Document], clock: Callable[[], float]
    ) -> None:
        """Begin without a copy. `decoded` raises Invalid or Refused for an unsound document."""
        self.key = key
        self.last: CopyState[Document] = CopyState()
        self._read, self._decoded, self._clock = read, decoded, clock
        self._token = ""  # of the document that was looked at last
        self._fault = ""  # of that document

    @property
    def age(self) -> float | None:
        """Return the seconds since the copy was last confirmed; None before the first answer."""
        seen_at = self.last.seen
        return None if seen_at is None else max(0.0, self._clock() - seen_at)

    def look(self) -> None:
        """Read the document from the store; on an error keep the last copy, and note why."""
        began = self._clock()
        try:
            self.last = self._accept(self._read(), began)
        except IsthmusError as error:
            self.note_problem(str(error))
        except Exception as error:  # noqa: BLE001  the thread must go on, whatever it was; it is told
            self.note_problem(repr(error))

    def note_problem(self, problem: str) -> None:
        """Keep the last good copy of the document; note the problem with reading a newer one."""
        self.last = msgspec.structs.replace(self.last, problem=problem)

    def _accept(self, document: Versioned | None, began: float) -> CopyState[Document]:
        """Return the new local copy, made from a document that the store returned.

        `began` is when the read began. Raises Invalid or Refused if the document is absent,
        damaged, or older than the copy.
        """
        value = self.last.value
        if document is None:
            if value is not None:
                raise Invalid(f"the store has no {self.key} any more")
            return CopyState(seen=began)
        if document.token != self._token:
            try:
                value, self._fault = self._newer(self._decoded(document.value), value), ""
            except IsthmusError as error:
                self._fault = str(error)
            self._token = document.token  # what fails in another way is decoded again
        if self._fault:
            raise Invalid(self._fault)
        return CopyState(value=value, seen=began)

    def _newer(self, value: Document, than: Document | None) -> Document:
        """Return a newly read document, unless it is older than `than`, the copy that is kept.

        A document that was deleted and begun anew has a lower version and a later time: it is
        newer.

        Raises:
            Invalid: It has a lower version, and was not written later.
        """
        if than is not None and value.version < than.version and value.written <= than.written:
            raise Invalid(
                f"the store has {self.key} of version {value.version} again, after version "
                f"{than.version}"
            )
        return value
