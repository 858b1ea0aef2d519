"""The methods of access control lists: of buckets, of objects, and of new objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ....core.call import Call
from ....core.errors import GcpError
from ....core.http_messages import HttpAnswer, HttpRequest
from ....core.registry import route
from ..acls import Entries, new_entry, refuse_public, require_acls
from ..field_types import ENTRY
from ..field_types import checked as checked_shape
from ..preconditions import number
from ..records import Bucket, Version
from ..representations import access_control
from ..requests import conditions_of, store_of


class _List:
    """One list, and the bucket or object that it belongs to."""

    def __init__(self, call: Call, request: HttpRequest, kind: str) -> None:
        store = store_of(call)
        self.bucket = store.bucket(request.params["bucket"])
        require_acls(self.bucket)
        self.owner: Bucket | Version = self.bucket
        self.kind = (
            "storage#bucketAccessControl" if kind == "acl" else "storage#objectAccessControl"
        )
        self.name = self.bucket.name
        self._attribute = kind
        if "object" in request.params:
            generation = number(request.query, "generation")
            self.owner = store.version(
                self.bucket.name, request.params["object"], generation, conditions_of(request)
            )
            self.name = f"{self.bucket.name}/{self.owner.name}/{self.owner.generation}"
            self.kind = "storage#objectAccessControl"
        self._call = call

    @property
    def entries(self) -> Entries:
        """The ACL entries of the bucket or object that the request names."""
        entries: Entries = getattr(self.owner, self._attribute)
        return entries

    def entry(self, entity: str) -> dict[str, str]:
        """Return the ACL entry of an entity; raise NOT_FOUND if there is none."""
        for entry in self.entries:
            if entry["entity"] == entity:
                return entry
        raise GcpError("NOT_FOUND", f"No such access control: {entity}", reason="notFound")

    def replace(self, entity: str, entry: dict[str, str] | None) -> None:
        """Set or remove (None) the ACL entry of an entity, and store the bucket or object."""
        others = [other for other in self.entries if other["entity"] != entity]
        setattr(
            self.owner,
            self._attribute,
            others if entry is None else refuse_public(self.bucket, [*others, entry]),
        )
        self.owner.metageneration += 1
        self.owner.updated = self._call.clock.now()

    def shown(self, entry: Mapping[str, str]) -> dict[str, Any]:
        """Return an ACL entry as the JSON API shows it."""
        return access_control(entry, self.name, self.kind)


def _routes(kind: str, operations: str, template: str) -> None:
    """Register the list, insert, get, update, patch and delete handlers of a kind of ACL.

    `operations` is the prefix of their operations' names, `template` the path of the list.
    """

    @route(f"storage.{operations}.list", "GET", template, executes=False)
    def list_entries(call: Call, request: HttpRequest) -> dict[str, Any]:
        entries = _List(call, request, kind)
        return {
            "kind": f"{entries.kind}s",
            "items": [entries.shown(entry) for entry in entries.entries],
        }

    @route(f"storage.{operations}.insert", "POST", template, executes=False)
    def insert(call: Call, request: HttpRequest) -> dict[str, Any]:
        body = checked_shape(request.json(), ENTRY)
        with store_of(call).lock:
            entries = _List(call, request, kind)
            entry = new_entry(str(body.get("entity", "")), str(body.get("role", "")))
            entries.replace(entry["entity"], entry)
        return entries.shown(entry)

    @route(f"storage.{operations}.get", "GET", f"{template}/{{entity}}", executes=False)
    def get(call: Call, request: HttpRequest) -> dict[str, Any]:
        entries = _List(call, request, kind)
        return entries.shown(entries.entry(request.params["entity"]))

    def change(call: Call, request: HttpRequest) -> dict[str, Any]:
        with store_of(call).lock:
            entries = _List(call, request, kind)
            entry = entries.entry(request.params["entity"])
            entry = new_entry(
                entry["entity"],
                str(checked_shape(request.json(), ENTRY).get("role") or entry["role"]),
            )
            entries.replace(entry["entity"], entry)
        return entries.shown(entry)

    route(f"storage.{operations}.update", "PUT", f"{template}/{{entity}}", executes=False)(change)
    route(f"storage.{operations}.patch", "PATCH", f"{template}/{{entity}}", executes=False)(change)

    @route(f"storage.{operations}.delete", "DELETE", f"{template}/{{entity}}", executes=False)
    def delete(call: Call, request: HttpRequest) -> HttpAnswer:
        with store_of(call).lock:
            entries = _List(call, request, kind)
            entries.entry(request.params["entity"])
            entries.replace(request.params["entity"], None)
        return HttpAnswer(status=204)


_routes("acl", "bucketAccessControls", "/storage/v1/b/{bucket}/acl")
_routes("default_acl", "defaultObjectAccessControls", "/storage/v1/b/{bucket}/defaultObjectAcl")
_routes("acl", "objectAccessControls", "/storage/v1/b/{bucket}/o/{object}/acl")
