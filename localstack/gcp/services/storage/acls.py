"""Access control lists of buckets, of objects, and the defaults of new objects.

They are stored and shown; nobody is refused by them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...core.projects import number_of
from ...core.registry import Call, GcpError, HttpAnswer, HttpRequest, route
from ...environment import ACCOUNT
from .field_types import ENTRY
from .field_types import checked as checked_shape
from .preconditions import invalid, number
from .records import Bucket, Version
from .representations import access_control
from .requests import conditions_of, store_of

Entries = list[dict[str, str]]
PUBLIC = frozenset({"allUsers", "allAuthenticatedUsers"})
_ROLES = ("OWNER", "WRITER", "READER")


def project_private(project: str) -> Entries:
    names = (("owners", "OWNER"), ("editors", "OWNER"), ("viewers", "READER"))
    return [_entry(f"project-{team}-{number_of(project)}", role) for team, role in names]


def predefined_acl(name: str, project: str, *, owner: bool) -> Entries:
    """Return a predefined ACL.

    `owner`: whether it is an object's, whose creator owns it.

    Raises:
        GcpError: There is no such ACL.
    """
    own = (
        [_entry(f"user-{ACCOUNT}", "OWNER")]
        if owner
        else [_entry(f"project-owners-{number_of(project)}", "OWNER")]
    )
    lists: Mapping[str, Callable[[], Entries]] = {
        "private": lambda: own,
        "projectPrivate": lambda: project_private(project) + (own if owner else []),
        "publicRead": lambda: [*own, _entry("allUsers", "READER")],
        "publicReadWrite": lambda: [*own, _entry("allUsers", "WRITER")],
        "authenticatedRead": lambda: [*own, _entry("allAuthenticatedUsers", "READER")],
        "bucketOwnerRead": lambda: [*own, _entry(f"project-owners-{number_of(project)}", "READER")],
        "bucketOwnerFullControl": lambda: [
            *own,
            _entry(f"project-owners-{number_of(project)}", "OWNER"),
        ],
    }
    if name not in lists:
        raise invalid(f"Invalid predefined ACL: {name}", "predefinedAcl")
    return lists[name]()


def of_new_object(bucket: Bucket, name: str | None, entries: Any) -> Entries:
    if name:
        return private(bucket, predefined_acl(name, bucket.project, owner=True))
    if entries:
        return private(bucket, checked(entries))
    return [*(dict(entry) for entry in bucket.default_acl), _entry(f"user-{ACCOUNT}", "OWNER")]


def checked(entries: Any) -> Entries:
    """Return the entries that a request has.

    Raises:
        GcpError: An entry has an unknown role.
    """
    if not isinstance(entries, Sequence):
        raise invalid("Invalid argument: acl is no list")
    return [_entry(str(entry.get("entity", "")), str(entry.get("role", ""))) for entry in entries]


def private(bucket: Bucket, entries: Entries) -> Entries:
    """Return the entries as they are.

    Raises:
        GcpError: They would give public access, which the bucket prevents.
    """
    access = (bucket.fields.get("iamConfiguration") or {}).get("publicAccessPrevention")
    if access == "enforced" and any(entry["entity"] in PUBLIC for entry in entries):
        raise public_access_refusal()
    return entries


def public_access_refusal() -> GcpError:
    text = (
        "The member bindings allUsers and allAuthenticatedUsers are not allowed since public "
        "access prevention is enforced."
    )
    return GcpError("FAILED_PRECONDITION", text, reason="conditionNotMet", http=412)


def legacy(bucket: Bucket) -> None:
    """Raise if uniform bucket-level access has replaced the bucket's ACLs."""
    if bucket.uniform:
        text = (
            "Cannot use ACL API to update or read ACLs when uniform bucket-level access is enabled."
        )
        raise GcpError(
            "INVALID_ARGUMENT",
            f"{text} Read more at "
            "https://cloud.google.com/storage/docs/uniform-bucket-level-access",
            reason="invalid",
        )


def _entry(entity: str, role: str) -> dict[str, str]:
    if not entity or role.upper() not in _ROLES:
        raise invalid(f"Invalid argument: access control {entity!r} {role!r}")
    return {"entity": entity, "role": role.upper()}


class _List:
    """One list, and the bucket or object that it belongs to."""

    def __init__(self, call: Call, request: HttpRequest, kind: str) -> None:
        store = store_of(call)
        self.bucket = store.bucket(request.params["bucket"])
        legacy(self.bucket)
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
        entries: Entries = getattr(self.owner, self._attribute)
        return entries

    def entry(self, entity: str) -> dict[str, str]:
        for entry in self.entries:
            if entry["entity"] == entity:
                return entry
        raise GcpError("NOT_FOUND", f"No such access control: {entity}", reason="notFound")

    def replace(self, entity: str, entry: dict[str, str] | None) -> None:
        others = [other for other in self.entries if other["entity"] != entity]
        setattr(
            self.owner,
            self._attribute,
            others if entry is None else private(self.bucket, [*others, entry]),
        )
        self.owner.metageneration += 1
        self.owner.updated = self._call.clock.now()

    def shown(self, entry: Mapping[str, str]) -> dict[str, Any]:
        return access_control(entry, self.name, self.kind)


def _routes(kind: str, operations: str, template: str) -> None:
    """Register the five methods of one kind of list."""

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
            entry = _entry(str(body.get("entity", "")), str(body.get("role", "")))
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
            entry = _entry(
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
