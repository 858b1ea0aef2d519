"""The IAM permissions of Firestore's operations that do not follow from their names.

Source: the page of each method.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

PERMISSIONS: Mapping[str, str] = {
    "Firestore.GetDocument": "entities.get",
    "Firestore.BatchGetDocuments": "entities.get",
    "FirestoreAdmin.GetDatabase": "databases.getMetadata",
    "FirestoreAdmin.GetField": "indexes.get",
    "FirestoreAdmin.UpdateField": "indexes.update",
}


def of_commit(request: Any) -> Iterator[str]:
    """Yield the IAM permissions that a commit needs, by the kinds of its writes.

    A write without a precondition needs those to create and to update a document.
    """
    for write in request.writes:
        condition = write.current_document
        exists = condition.exists if condition.WhichOneof("condition_type") == "exists" else None
        timed = condition.WhichOneof("condition_type") == "update_time"
        if write.WhichOneof("operation") == "delete":
            yield "entities.delete"
            continue
        if exists is not True and not timed:
            yield "entities.create"
        if exists is not False:
            yield "entities.update"
