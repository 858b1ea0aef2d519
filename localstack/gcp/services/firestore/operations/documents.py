"""Firestore's documents by their names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.cloud.firestore_v1 import types

from ....core.call import Call
from ....core.errors import GcpError, invalid
from ....core.projects import with_project_id
from ....core.registry import handles
from .. import paths, values, writes
from ..records import Database, Firestore

_SERVICE = "google.firestore.v1.Firestore"
_MOST_BYTES = 11_534_336  # of a request


@handles(f"{_SERVICE}.GetDocument")
def get_document(call: Call, request: Any) -> Any:
    """Answer Firestore's API call GetDocument: return a document."""
    _refuse(request, "transaction", "read_time")
    name = with_project_id(call, request.name)
    database, path = paths.split(name)
    document = call.store(Firestore).database(call, database).get(path, call.clock.now())
    if document is None:
        raise GcpError("NOT_FOUND", f'Document "{name}" not found.')
    return _masked(document, _mask(request))


@handles(f"{_SERVICE}.BatchGetDocuments")
def batch_get_documents(call: Call, request: Any) -> Any:
    """Answer BatchGetDocuments: return the requested documents as of one moment."""
    _refuse(request, "transaction", "new_transaction", "read_time")
    database = call.store(Firestore).database(call, request.database)
    mask = _mask(request)
    return [
        _answer(call, database, name, mask)
        for name in dict.fromkeys(with_project_id(call, name) for name in request.documents)
    ]


def _answer(call: Call, database: Database, name: str, mask: Sequence[Sequence[str]] | None) -> Any:
    """Return the answer for the document `name`, with only the fields that a mask names.

    A document that does not exist is answered as missing.
    """
    document = database.get(_path_in(call, database, name), call.clock.now())
    answer = types.BatchGetDocumentsResponse.pb()(read_time=call.now_pb())
    if document is None:
        answer.missing = name
    else:
        answer.found.CopyFrom(_masked(document, mask))
    return answer


@handles(f"{_SERVICE}.Commit")
def commit(call: Call, request: Any) -> Any:
    """Answer Firestore's API call Commit: write or delete documents atomically."""
    _refuse(request, "transaction")
    if request.ByteSize() > _MOST_BYTES:
        raise invalid(f"Request payload size exceeds the limit: {_MOST_BYTES} bytes.")
    database = call.store(Firestore).database(call, request.database)
    for write in request.writes:
        _name_by_id(call, write)
        _path_in(call, database, writes.name_of(write))
    results = database.commit(request.writes, call.clock.now())
    return types.CommitResponse.pb()(write_results=results, commit_time=call.now_pb())


def _name_by_id(call: Call, write: Any) -> None:
    """Replace the project's number by its id in a write's document name, in place."""
    match write.WhichOneof("operation"):
        case "update":
            write.update.name = with_project_id(call, write.update.name)
        case "delete":
            write.delete = with_project_id(call, write.delete)
        case "transform":
            write.transform.document = with_project_id(call, write.transform.document)
        case _:
            raise invalid("A write needs an update, a delete or a transform.")


def _path_in(call: Call, database: Database, name: str) -> str:
    """Return the path of a document below its database, from its full name.

    Raises:
        GcpError: The document is in another database.
    """
    its_database, path = paths.split(with_project_id(call, name))
    if its_database != database.message.name:
        raise invalid(f'Document name "{name}" is not in the database "{database.message.name}".')
    return path


def _mask(request: Any) -> list[tuple[str, ...]] | None:
    """Return the field paths of a request's mask, or None if it has none."""
    return (
        [paths.field_path(path) for path in request.mask.field_paths]
        if request.HasField("mask")
        else None
    )


def _masked(document: Any, mask: Sequence[Sequence[str]] | None) -> Any:
    """Return a copy of a document with only the fields that a mask names."""
    if mask is None:
        return document
    part = writes.Document(
        name=document.name, create_time=document.create_time, update_time=document.update_time
    )
    values.copy_masked(document.fields, mask, part.fields)
    return part


def _refuse(request: Any, *fields: str) -> None:
    """Raise UNIMPLEMENTED if a request sets one of these fields, which are not supported.

    They ask for a transaction or for a former state.
    """
    for field, _ in request.ListFields():
        if field.name in fields:
            raise GcpError(
                "UNIMPLEMENTED",
                f"{field.name} of a request to Firestore is not supported by the offline GCP yet",
            )
