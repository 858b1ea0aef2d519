"""The state of Cloud Storage: buckets, and the versions of their objects."""

from __future__ import annotations

import base64
import re
import shutil
import tempfile
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from ...core.call import Call
from ...core.errors import GcpError
from .content import Content
from .errors import invalid, no_object
from .preconditions import NONE, Preconditions

SOFT_DELETE = 604800  # seconds: what a bucket has that says nothing
SOFT_BYTES = 1 << 30  # of a bucket's softly deleted objects: this disk is smaller than Google's
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_LONGEST = 1024  # bytes of an object's name


class Version(msgspec.Struct, kw_only=True):
    """One generation of an object.

    What users say of it is in `fields`, in the API's own words.
    """

    bucket: str
    name: str
    generation: int
    content: Content
    created: datetime
    updated: datetime
    metageneration: int = 1
    fields: dict[str, Any] = {}
    acl: list[dict[str, str]] = []
    storage_class: str = "STANDARD"
    class_changed: datetime
    components: int | None = None  # of a composed one
    key_sha256: str | None = (
        None  # of the customer's own key: without the key the bytes are not given
    )
    kms_key: str | None = None
    retained_until: datetime | None = None  # by the bucket's retention policy
    replaced: datetime | None = None  # no longer the live version since then
    soft_deleted: datetime | None = None

    @property
    def etag(self) -> str:
        """The etag of the object's version, as Google writes it."""
        return etag(self.generation, self.metageneration)

    def hold(self) -> str | None:
        """Return the kind of hold that the object is under, or None."""
        names = {"eventBasedHold": "Event-Based", "temporaryHold": "Temporary"}
        return next((words for key, words in names.items() if self.fields.get(key)), None)


class Bucket(msgspec.Struct, kw_only=True):
    name: str
    project: str
    generation: int
    created: datetime
    updated: datetime
    metageneration: int = 1
    fields: dict[str, Any] = {}
    acl: list[dict[str, str]] = []
    default_acl: list[dict[str, str]] = []
    policy: dict[str, Any] | None = None
    versions: dict[str, list[Version]] = {}  # by name; the last one is live unless it was replaced
    soft: list[Version] = []
    folders: set[str] = set()  # managed ones
    notifications: dict[str, dict[str, Any]] = {}
    soft_deleted: datetime | None = None

    @property
    def etag(self) -> str:
        """The bucket's etag."""
        return base64.b64encode(b"\x08" + _varint(self.metageneration)).decode()

    @property
    def versioned(self) -> bool:
        """Whether object versioning is on: the bucket keeps noncurrent versions."""
        return bool((self.fields.get("versioning") or {}).get("enabled"))

    @property
    def uniform(self) -> bool:
        """Whether uniform bucket-level access is on."""
        return bool(
            ((self.fields.get("iamConfiguration") or {}).get("uniformBucketLevelAccess") or {}).get(
                "enabled"
            )
        )

    @property
    def soft_delete(self) -> timedelta:
        """The time for which the bucket keeps softly deleted objects."""
        return timedelta(
            seconds=int(
                (self.fields.get("softDeletePolicy") or {}).get(
                    "retentionDurationSeconds", SOFT_DELETE
                )
            )
        )

    @property
    def retention(self) -> timedelta | None:
        """Return how long the bucket's retention policy keeps objects, or None."""
        period = (self.fields.get("retentionPolicy") or {}).get("retentionPeriod")
        return None if period is None else timedelta(seconds=int(period))

    def live(self, name: str) -> Version | None:
        """Return the object version that is live under a name, or None."""
        versions = self.versions.get(name)
        return versions[-1] if versions and versions[-1].replaced is None else None

    def version(self, name: str, generation: int | None) -> Version | None:
        """Return the version of an object with a generation, or its live one; None if absent."""
        if generation is None:
            return self.live(name)
        return next(
            (
                version
                for version in self.versions.get(name, ())
                if version.generation == generation
            ),
            None,
        )

    def delete_softly(self, version: Version, now: datetime) -> None:
        """Move a version to the softly deleted ones, which can be restored for a time.

        The oldest are dropped when their time is over, or when there are too many bytes.
        """
        version.soft_deleted = now
        self.soft.append(version)
        size = sum(buried.content.size for buried in self.soft)
        while self.soft and (size > SOFT_BYTES or self._over(self.soft[0], now)):
            oldest = self.soft.pop(0)
            size -= oldest.content.size
            oldest.content.remove()

    def restorable(self, now: datetime) -> list[Version]:
        """Return the softly deleted versions that can still be restored, sorted."""
        return sorted(
            (v for v in self.soft if not self._over(v, now)),
            key=lambda version: (version.name, version.generation),
        )

    def _over(self, version: Version, now: datetime) -> bool:
        """Return whether the time for restoring a softly deleted version is over."""
        return version.soft_deleted is not None and version.soft_deleted + self.soft_delete <= now

    def listed(self, *, all_versions: bool = False) -> Iterator[Version]:
        """Yield the live or all versions of the bucket's objects, by name and generation."""
        for name in sorted(
            self.versions
        ):  # code points are in the order of UTF-8, which is Google's
            for version in self.versions[name]:
                if all_versions or version.replaced is None:
                    yield version


class Store:
    """All buckets of a stack.

    `lock` guards every change; bytes are written before it is taken.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.buckets: dict[str, Bucket] = {}
        self.deleted: list[Bucket] = []  # softly
        self.hmac_keys: dict[str, dict[str, Any]] = {}
        self._folder: Path | None = None
        self._generation = 0

    def folder(self, call: Call) -> Path:
        """Return the local folder that holds the bytes of all objects."""
        with self.lock:
            if self._folder is None:
                folder = Path(tempfile.mkdtemp(prefix="storage-", dir=call.home))
                call.on_stop(lambda: shutil.rmtree(folder, ignore_errors=True))
                self._folder = folder
            return self._folder

    def next_generation(self, now: datetime) -> int:
        """Return a new generation number, unique in the store: microseconds, or the next number."""
        with self.lock:
            self._generation = max(self._generation + 1, int(now.timestamp() * 1_000_000))
            return self._generation

    def bucket(self, name: str) -> Bucket:
        """Return the bucket of that name, with its objects.

        Raises:
            GcpError: There is no such bucket.
        """
        bucket = self.buckets.get(name)
        if bucket is None:
            raise GcpError("NOT_FOUND", "The specified bucket does not exist.", reason="notFound")
        return bucket

    def version(
        self,
        bucket: str,
        name: str,
        generation: int | None = None,
        conditions: Preconditions = NONE,
    ) -> Version:
        """Return an object's version, after a check of the preconditions of a change.

        Without a generation it is the live version. Raises GcpError 404 if there is none, 412 if a
        precondition does not hold.
        """
        version = self.bucket(bucket).version(name, generation)
        conditions.require(version)
        if version is None:
            raise no_object(bucket, name)
        return version

    def put(self, version: Version, conditions: Preconditions) -> None:
        """Store a version as its object's live one if `conditions` hold, with a new generation.

        Raises:
            GcpError: 412, a precondition does not hold; 403, the present version must stay.
        """
        with self.lock:
            bucket = self.bucket(version.bucket)
            live = bucket.live(version.name)
            conditions.require(live)
            version.generation = self.next_generation(version.created)
            if bucket.retention is not None:
                version.retained_until = version.created + bucket.retention
            if live is not None:
                self._retire(bucket, live, version.created)
            bucket.versions.setdefault(version.name, []).append(version)

    def delete(
        self,
        bucket_name: str,
        name: str,
        generation: int | None,
        conditions: Preconditions,
        now: datetime,
    ) -> Version:
        """Delete an object's version of a generation, or else its live one; return the version.

        Without a generation it is the live version, which may stay as a noncurrent one; with a
        generation that version is lost.

        Raises:
            GcpError: There is none, a precondition does not hold, or it must stay.
        """
        with self.lock:
            version = self.version(bucket_name, name, generation, conditions)
            bucket = self.buckets[bucket_name]
            if generation is None:
                self._retire(bucket, version, now)
            else:
                self._remove(bucket, version, now)
            return version

    def _retire(self, bucket: Bucket, version: Version, now: datetime) -> None:
        """Make the live version noncurrent if the bucket is versioned, else delete it."""
        if bucket.versioned:
            check_deletable(version, now)
            version.replaced = now
        else:
            self._remove(bucket, version, now)

    def _remove(self, bucket: Bucket, version: Version, now: datetime) -> None:
        """Delete a version, softly if the bucket has soft delete."""
        check_deletable(version, now)
        bucket.versions[version.name].remove(version)
        if not bucket.versions[version.name]:
            del bucket.versions[version.name]
        if bucket.soft_delete:
            bucket.delete_softly(version, now)
        else:
            version.content.remove()


def check_bucket_name(name: str) -> None:
    """Raise INVALID_ARGUMENT for a name that no bucket may have."""
    if (
        not _BUCKET.fullmatch(name)
        or max(map(len, name.split("."))) > 63
        or ".." in name
        or name.startswith("goog")
    ):
        raise invalid(f"Invalid bucket name: '{name}'")


def check_object_name(name: str) -> None:
    """Raise INVALID_ARGUMENT for a name that no object may have."""
    if not name:
        raise GcpError(
            "INVALID_ARGUMENT",
            "Required parameter: name",
            reason="required",
            locationType="parameter",
            location="name",
        )
    if len(name.encode()) > _LONGEST or "\r" in name or "\n" in name or name in {".", ".."}:
        raise invalid(f"Disallowed object name: '{name}'")


def etag(generation: int, metageneration: int) -> str:
    """Return an etag as Google makes it: both numbers in a protobuf message, as base64."""
    return base64.b64encode(
        b"\x08" + _varint(generation) + b"\x10" + _varint(metageneration)
    ).decode()


def _varint(number: int) -> bytes:
    """Encode a number as protobuf's varint."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def check_deletable(version: Version, now: datetime) -> None:
    """Raise an error if a hold or a retention forbids that the object is deleted at `now`."""
    what = f"Object '{version.bucket}/{version.name}'"
    if hold := version.hold():
        text = (
            f"{what} is under active {hold} hold and cannot be deleted, overwritten or archived "
            "until hold is removed."
        )
        raise GcpError("PERMISSION_DENIED", text, reason="objectUnderActiveHold")
    own = (version.fields.get("retention") or {}).get("retainUntilTime")
    until = max(
        filter(None, (version.retained_until, datetime.fromisoformat(own) if own else None)),
        default=None,
    )
    if until is not None and until > now:
        text = (
            f"{what} is subject to bucket's retention policy or object retention and cannot be "
            f"deleted or overwritten until {until}"
        )
        raise GcpError("PERMISSION_DENIED", text, reason="retentionPolicyNotMet")
