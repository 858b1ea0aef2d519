"""Access control lists of buckets, of objects, and the defaults of new objects.

They are stored and shown; nobody is refused by them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...core.environment import ACCOUNT
from ...core.errors import GcpError
from ...core.projects import number_of
from .errors import invalid, public_access_refusal
from .records import Bucket

Entries = list[dict[str, str]]
PUBLIC = frozenset({"allUsers", "allAuthenticatedUsers"})
_ROLES = ("OWNER", "WRITER", "READER")


def project_private(project: str) -> Entries:
    """Return the entries of the predefined ACL projectPrivate: rights by role in the project.

    Owners, editors and viewers of the project have them.
    """
    names = (("owners", "OWNER"), ("editors", "OWNER"), ("viewers", "READER"))
    return [new_entry(f"project-{team}-{number_of(project)}", role) for team, role in names]


def predefined_acl(name: str, project: str, *, owner: bool) -> Entries:
    """Return the entries of a predefined ACL, such as publicRead, in a project.

    `owner` is True for an object's ACL, which names the object's creator. Raises GcpError if there
    is no such ACL.
    """
    own = (
        [new_entry(f"user-{ACCOUNT}", "OWNER")]
        if owner
        else [new_entry(f"project-owners-{number_of(project)}", "OWNER")]
    )
    lists: Mapping[str, Callable[[], Entries]] = {
        "private": lambda: own,
        "projectPrivate": lambda: project_private(project) + (own if owner else []),
        "publicRead": lambda: [*own, new_entry("allUsers", "READER")],
        "publicReadWrite": lambda: [*own, new_entry("allUsers", "WRITER")],
        "authenticatedRead": lambda: [*own, new_entry("allAuthenticatedUsers", "READER")],
        "bucketOwnerRead": lambda: [
            *own,
            new_entry(f"project-owners-{number_of(project)}", "READER"),
        ],
        "bucketOwnerFullControl": lambda: [
            *own,
            new_entry(f"project-owners-{number_of(project)}", "OWNER"),
        ],
    }
    if name not in lists:
        raise invalid(f"Invalid predefined ACL: {name}", "predefinedAcl")
    return lists[name]()


def of_new_object(bucket: Bucket, name: str | None, entries: Any) -> Entries:
    """Return a new object's ACL entries: the predefined ACL `name`, `entries`, or the default.

    The default is the bucket's for its objects; `entries` are those that the request sends.
    """
    if name:
        return refuse_public(bucket, predefined_acl(name, bucket.project, owner=True))
    if entries:
        return refuse_public(bucket, checked(entries))
    return [*(dict(entry) for entry in bucket.default_acl), new_entry(f"user-{ACCOUNT}", "OWNER")]


def checked(entries: Any) -> Entries:
    """Return a request's ACL entries unchanged; raise GcpError for an unknown role."""
    if not isinstance(entries, Sequence):
        raise invalid("Invalid argument: acl is no list")
    return [
        new_entry(str(entry.get("entity", "")), str(entry.get("role", ""))) for entry in entries
    ]


def refuse_public(bucket: Bucket, entries: Entries) -> Entries:
    """Return ACL entries unchanged; raise GcpError if they give public access that is prevented."""
    access = (bucket.fields.get("iamConfiguration") or {}).get("publicAccessPrevention")
    if access == "enforced" and any(entry["entity"] in PUBLIC for entry in entries):
        raise public_access_refusal()
    return entries


def require_acls(bucket: Bucket) -> None:
    """Raise an error if uniform bucket-level access has replaced the bucket's ACLs."""
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


def new_entry(entity: str, role: str) -> dict[str, str]:
    """Return an ACL entry for an entity and a role; raise an error for an unknown role."""
    if not entity or role.upper() not in _ROLES:
        raise invalid(f"Invalid argument: access control {entity!r} {role!r}")
    return {"entity": entity, "role": role.upper()}
