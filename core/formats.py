"""The format of stored documents: `schema`, a number that is read before the rest.

A document without one is of format 0: none had a number then. A newer one is refused and never
written over.
"""

from __future__ import annotations

import threading
from typing import Any, TypeVar

import msgspec

from ..errors import Invalid, Refused


class StoredDocument(msgspec.Struct, frozen=True, kw_only=True, tag_field="schema", tag=1):
    """The base of every document that a later version may read.

    The tag is its format; who changes the layout says `tag=2`.
    """

    @classmethod
    def upgraded(cls, old: Any, _schema: int, /) -> Any:
        """Convert a stored document's JSON value `old` from format version `_schema` to this one.

        The value stays as it is where the fields' defaults say what the older version meant.
        """
        return old


class _Number(msgspec.Struct):
    """The format number of a document of any kind; decoding passes over the rest, to save time."""

    schema: int = 0


Kind = TypeVar("Kind", bound=StoredDocument)
_Struct = TypeVar("_Struct", bound=msgspec.Struct)
_decoders: dict[type[msgspec.Struct], Any] = {}
_first = threading.Lock()


def decoder(kind: type[_Struct]) -> msgspec.json.Decoder[_Struct]:
    """Return the msgspec decoder of a kind of stored document, safe to use in any thread.

    msgspec works out the fields of a struct at its first use; where two threads come first at once
    the process ends by SIGSEGV (0.22).
    """
    kind_decoder = _decoders.get(kind)
    if kind_decoder is None:
        with _first:
            kind_decoder = _decoders.setdefault(kind, msgspec.json.Decoder(kind))
    return kind_decoder  # type: ignore[no-any-return]  # a table cannot carry each kind's type


def decode(
    data: bytes, kind: type[Kind], *, what: str, remedy: str = "restore it from a copy"
) -> Kind:
    """Decode a stored JSON document of this format version, or of an older one.

    Args:
        data: The document's bytes.
        kind: The struct to decode it as.
        what: What errors call the document.
        remedy: What to do when it is damaged.

    Raises:
        Refused: A newer version wrote it.
        Invalid: The bytes are no such document.
    """
    try:
        written, newest = schema_of(data), schema(kind)
        refuse_newer(what, written, newest)
        if written == newest:
            return decoder(kind).decode(data)
        decoder(kind)
        return msgspec.convert(
            kind.upgraded(msgspec.json.decode(data), written) | {"schema": newest},
            kind,
            str_keys=True,
        )
    except (
        msgspec.DecodeError,
        TypeError,
        AttributeError,
    ) as error:  # the last two: JSON, but no object
        raise Invalid(f"{what} is damaged: {error}", remedy=remedy) from error


def schema(kind: type[msgspec.Struct]) -> int:
    """Return the format version number in which this release writes a kind of document."""
    number = kind.__struct_config__.tag
    assert isinstance(number, int)  # noqa: S101  for the type checker
    return number


def schema_of(data: bytes) -> int:
    """Return the format version number in which a stored JSON document was written.

    Raises msgspec.DecodeError where it is not JSON, or its format is not a number.
    """
    try:
        return decoder(_Number).decode(data).schema
    except msgspec.ValidationError:
        if isinstance(msgspec.json.decode(data), dict):
            raise
        return 0  # a counter was a number alone


def refuse_newer(what: str, written: int, newest: int) -> None:
    """Raise Refused if a document's format version is newer than this release knows.

    `what` names the document in the error; `written` is its version, `newest` the newest that is
    known. This release would misread it, or lose what it does not know.
    """
    if written > newest:
        raise Refused(
            f"{what} was written by a newer Isthmus (format {written}; this one reads up to "
            f"{newest})",
            remedy="update Isthmus on this machine; nothing was changed",
        )
