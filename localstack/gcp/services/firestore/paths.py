"""Names of databases, documents and fields, and paths of fields, as Firestore writes them. Pure."""

from __future__ import annotations

import re

import msgspec

from ...core.errors import invalid
from .errors import bad_field_path

_DATABASE = re.compile(r"projects/[^/]+/databases/[^/]+")
_FIELD = re.compile(r"(projects/[^/]+/databases/[^/]+)/collectionGroups/([^/]+)/fields/(.+)")
_RESERVED = re.compile(r"__.*__", re.DOTALL)
_SEGMENT = re.compile(
    r"(?P<simple>[a-zA-Z_][a-zA-Z_0-9]*)|`(?P<quoted>(?:[^`\\]|\\.)+)`", re.DOTALL
)
# bytes, of a collection, a document and a field (firebase.google.com/docs/firestore/quotas)
_LONGEST_ID = 1500
_LONGEST_NAME = 6 * 1024  # bytes of a document's whole name
ANY_FIELD = "*"


class FieldName(msgspec.Struct, frozen=True, kw_only=True):
    """The name of a field's settings: projects/P/databases/D/collectionGroups/C/fields/F."""

    database: str
    collection: str
    path: tuple[str, ...]  # ("*",): any field


def check_database(name: str) -> str:
    """Return a database's resource name unchanged; raise an error if it is not valid."""
    if not _DATABASE.fullmatch(name):
        raise invalid(
            f'Database name "{name}" is not projects/{{project_id}}/databases/{{database_id}}.'
        )
    return name


def split(name: str) -> tuple[str, str]:
    """Split a document's name into its database and its path below `documents`.

    Raises:
        GcpError: The text is no document's name.
    """
    database, _, path = name.partition("/documents/")
    segments = path.split("/")
    if not _DATABASE.fullmatch(database) or len(segments) % 2:
        raise invalid(f'Document name "{name}" lacks "/" at index {len(name)}.')
    if len(name.encode()) > _LONGEST_NAME:
        raise invalid(f"Document name is longer than {_LONGEST_NAME} bytes.")
    for place, segment in enumerate(segments):
        _check_id(segment, kind="Resource" if place % 2 else "Collection")
    return database, path


def _check_id(segment: str, *, kind: str) -> None:
    """Raise an error if the id of a collection or document (`kind`) is not allowed."""
    if len(segment.encode()) > _LONGEST_ID:
        raise invalid(f"The key path element name is longer than {_LONGEST_ID} bytes.")
    if _RESERVED.fullmatch(segment):
        raise invalid(f'{kind} id "{segment}" is invalid because it is reserved.')
    if segment in ("", ".", ".."):
        raise invalid(f'{kind} id "{segment}" is invalid.')


def collection_of(path: str) -> str:
    """Return the id of the collection that holds the document at a path."""
    return path.split("/")[-2]


def check_field(name: str) -> None:
    """Raise INVALID_ARGUMENT for a field's name that Firestore does not accept."""
    if not name:
        raise invalid("The property name is the empty string.")
    if _RESERVED.fullmatch(name):
        raise invalid(f'The property name "{name}" is invalid because it is reserved.')
    if len(name.encode()) > _LONGEST_ID:
        raise invalid(f"The property name is longer than {_LONGEST_ID} bytes.")


def field_path(text: str) -> tuple[str, ...]:
    """Parse a field path into its names: a.`b.c` gives a and b.c."""
    names: list[str] = []
    end = 0
    while (segment := _SEGMENT.match(text, end)) is not None:
        names.append(
            segment["simple"] or re.sub(r"\\(.)", r"\1", segment["quoted"], flags=re.DOTALL)
        )
        end = segment.end() + 1
        if text[segment.end() : end] != ".":
            break
    if not names or end <= len(text):
        raise bad_field_path(text)
    for name in names:
        check_field(name)
    return tuple(names)


def field_name(name: str) -> FieldName:
    """Parse the resource name of a field's settings into its parts."""
    match = _FIELD.fullmatch(name)
    if match is None:
        raise invalid(
            f'Field name "{name}" is not projects/*/databases/*/collectionGroups/*/fields/*.'
        )
    path = (ANY_FIELD,) if match[3] == ANY_FIELD else field_path(match[3])
    return FieldName(database=match[1], collection=match[2], path=path)
