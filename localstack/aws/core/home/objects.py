"""The records of S3 in a home: moto's buckets, and a record for each key.

    s3/buckets/<account>.<partition>              the buckets, without what is in them
    s3/objects/<bucket>/<key>.<digest>            a key: the metadata of its versions
    s3/objects/<bucket>/<key>.<digest>.<8 digits>.body

The metadata are pickles of moto's own objects, as in backends.py; the bodies are plain files.
"""

from __future__ import annotations

import copyreg
import threading
import uuid
from collections.abc import Iterator
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from ....core.home.home import BODY, Home
from ....core.home.pickles import Left, Outside, freeze, thaw
from ..incoming import IncomingRequest
from ..moto_internals import (
    FakeBucket,
    FakeKey,
    MultipartDict,
    S3Backend,
    VersionedKeyStore,
    s3_backends,
)
from ..protocol.wire import parameters
from ..registry import AwsError

_BUCKETS, _OBJECTS = "s3/buckets", "s3/objects"
_OF_A_KEY = {
    *(
        "PutObject",
        "CopyObject",
        "DeleteObject",
        "CompleteMultipartUpload",
        "RestoreObject",
        "RenameObject",
    ),
    *(
        "PutObjectAcl",
        "PutObjectTagging",
        "DeleteObjectTagging",
        "PutObjectRetention",
        "PutObjectLegalHold",
    ),
}
# an upload under way is not kept
_OF_AN_UPLOAD = {
    "CreateMultipartUpload",
    "UploadPart",
    "UploadPartCopy",
    "AbortMultipartUpload",
}
_LEFT: Left = {FakeBucket: {"keys": VersionedKeyStore, "multiparts": MultipartDict}}
_NOT_OF_THE_BUCKETS = ("tagger", "table_buckets", "_pagination_tokens")

_MARK = "_body_in_home"  # an attribute of ours on moto's objects

Place = tuple[str, str]  # bucket, key


class _File(str):
    """The name of the file with an object's bytes.

    moto copies an object with its attributes; a copy has no file yet, so the name is not copied.
    """

    __slots__ = ()

    def __deepcopy__(self, _: object) -> str:
        return ""


class Objects:
    """The records of S3. Its caller lets one thread at a time save."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._keys: set[Place] = set()
        self._everything = False
        self._lock = threading.Lock()
        self._written: dict[Place, tuple[object, ...]] = {}  # what the versions of a key were
        self._bodies: dict[Place, set[str]] = {}
        self._buckets: dict[str, bytes] = {}

    def note(self, incoming: IncomingRequest) -> None:
        """Mark the S3 objects that a successful request has changed, for the next save."""
        if incoming.operation in _OF_AN_UPLOAD:
            return
        try:
            places = set(_places(incoming))
        except (AwsError, KeyError):
            places = set()
        with self._lock:
            if places and all(_bucket(bucket) is not None for bucket, _ in places):
                self._keys |= places
            else:
                self._everything = True

    def look(self) -> None:
        """Make the next save compare every S3 object with its file.

        It is needed after changes that came outside of requests.
        """
        self._everything = True

    def save(self) -> None:
        """Write the S3 objects marked as changed to disk where they differ from their files."""
        with self._lock:
            keys, self._keys = self._keys, set()
            everything, self._everything = self._everything, False
        try:
            if everything:
                self._save_buckets()
                now = {
                    (bucket.name, key): _fingerprint(_versions(bucket, key))
                    for bucket in _all_buckets()
                    for key in list(bucket.keys)
                }
                keys |= {
                    place
                    for place in now.keys() | self._written.keys()
                    if now.get(place) != self._written.get(place)
                }
            for place in keys:
                self._save_key(place)
        except BaseException:  # it is not written: the next save tries again
            with self._lock:
                self._keys |= keys
                self._everything = self._everything or everything
            raise

    def restore(self) -> None:
        """Load all S3 buckets and objects from the data directory at a start."""
        for name in self._home.names(_BUCKETS):
            account, _, partition = name.rpartition("/")[2].partition(".")
            state, tags = thaw(self._home.read(name), name=name)
            backend = s3_backends[account][partition]
            backend.__dict__.update(state)
            backend.tagger.tags.update(tags)
            for bucket in backend.buckets:
                s3_backends.bucket_accounts[bucket] = (partition, account)
        names = list(self._home.names(_OBJECTS))
        for name in names:
            if not name.endswith(BODY):
                self._restore_key(name)
        named = {body for bodies in self._bodies.values() for body in bodies}
        for name in names:
            if name.endswith(BODY) and name not in named:  # of a write that did not end
                self._home.drop(name)

    def clear(self) -> None:
        """Delete all persisted S3 buckets and objects from the data directory."""
        with self._lock:
            self._keys, self._everything = set(), False
            self._written, self._bodies, self._buckets = {}, {}, {}
        self._home.clear("s3")

    def _save_buckets(self) -> None:
        """Write the metadata of each account's S3 buckets to disk where they have changed."""
        for account, partition, backend in _backends():
            state = {
                name: value
                for name, value in backend.__dict__.items()
                if name not in _NOT_OF_THE_BUCKETS
            }
            # an object's are in its record
            tags = {
                arn: tags_of_arn
                for arn, tags_of_arn in backend.tagger.tags.items()
                if "/" not in arn
            }
            name = f"{_BUCKETS}/{account}.{partition}"
            record = freeze((state, tags), left=_LEFT)
            if self._buckets.get(name) != record:
                self._home.write(name, record)
                self._buckets[name] = record

    def _save_key(self, place: Place) -> None:
        """Write an S3 key to disk: first the bytes of its versions, then the record naming them.

        `place` is the key with its bucket. Files of bytes that no record names any more are deleted
        last.
        """
        bucket, name = _bucket(place[0]), _name(place)
        versions = _versions(bucket, place[1]) if bucket is not None else []
        previous_bodies = self._bodies.get(place, set())
        if bucket is None or not versions:
            self._home.remove(name)
            self._written.pop(place, None)
            self._bodies.pop(place, None)
            bodies: set[str] = set()
        else:
            # a version that comes while this is written is one for the next look
            fingerprint, bodies = (
                _fingerprint(versions),
                set(),
            )
            tagger = _backend(bucket).tagger
            tags = {
                v.arn: tagger.tags[v.arn]
                for v in versions
                if isinstance(v, FakeKey) and v.arn in tagger.tags
            }

            def reduce(obj: object) -> Any:
                if not isinstance(obj, FakeKey):
                    return NotImplemented
                state = {
                    key: value
                    for key, value in obj.__dict__.items()
                    if key not in ("_value_buffer", "lock")
                }
                if obj.disposed:  # a part of an object that is whole
                    state["value"] = b""
                else:
                    body = self._body(obj, name)
                    bodies.add(body)
                    state |= {"value": Outside(body), _MARK: body}
                return copyreg.__newobj__, (type(obj),), state  # type: ignore[attr-defined]

            self._home.write(name, freeze((place, versions, tags), reduce=reduce))
            self._written[place], self._bodies[place] = fingerprint, bodies
        for body in previous_bodies - bodies:
            self._home.drop(body)

    def _body(self, version: FakeKey, name: str) -> str:
        """Return the file that holds the bytes of an S3 object's version; write it on first use.

        `name` is the file name of the object's key, with which the file's name begins.
        """
        body: str = getattr(version, _MARK, "")
        if not body:
            body = _File(f"{name}.{uuid.uuid4().hex[:8]}{BODY}")
            self._home.write(body, version.value)
            setattr(version, _MARK, body)
        return body

    def _restore_key(self, name: str) -> None:
        """Put the versions and tags of one persisted S3 key back into moto.

        `name` is the key's file name.
        """
        bodies: set[str] = set()

        def read(body: str) -> bytes:
            bodies.add(body)
            return self._home.read(body)

        place, versions, tags = thaw(self._home.read(name), read, name=name)
        bucket = _bucket(place[0])
        if bucket is None:  # it was deleted, and the stack ended before the record was
            self._home.remove(name)
            return
        bucket.keys.setlist(place[1], versions)
        _backend(bucket).tagger.tags.update(tags)
        self._written[place], self._bodies[place] = _fingerprint(versions), bodies


def _places(incoming: IncomingRequest) -> Iterator[Place]:
    """Yield the (bucket, key) pairs of the S3 objects that a request changes.

    The next save compares these objects with their files. A request that changes more than objects
    yields nothing.

    Raises:
        KeyError: The request names no key.
        AwsError: The request cannot be read.
    """
    if incoming.operation in _OF_A_KEY:
        yield incoming.url_params["Bucket"], incoming.url_params["Key"]
    elif incoming.operation == "DeleteObjects":
        incoming.environ["wsgi.input"].seek(0)  # moto has read it
        for item in parameters(incoming)["Delete"]["Objects"]:
            yield incoming.url_params["Bucket"], item["Key"]


def _all_buckets() -> list[FakeBucket]:
    """Return every S3 bucket of every account in moto."""
    return [bucket for _, _, backend in _backends() for bucket in list(backend.buckets.values())]


def _backends() -> list[tuple[str, str, S3Backend]]:
    """Return each of moto's S3 backends with its account and its partition."""
    return [
        (account, partition, backend)
        for account, partitions in list(s3_backends.items())
        for partition, backend in list(partitions.items())
    ]


def _bucket(name: str) -> FakeBucket | None:
    """Return moto's S3 bucket of this name, of whichever account, or None."""
    partition, account = s3_backends.bucket_accounts.get(name, ("", ""))
    return s3_backends[account][partition].buckets.get(name) if account else None


def _backend(bucket: FakeBucket) -> S3Backend:
    """Return moto's S3 backend that holds a bucket."""
    return s3_backends[bucket.account_id][bucket.partition]


def _versions(bucket: FakeBucket, key: str) -> list[Any]:
    """Return all of moto's versions of the S3 object at a key."""
    return list(bucket.keys.getlist(key, []))


def _fingerprint(versions: list[Any]) -> tuple[object, ...]:
    """Return a fingerprint of an S3 object's versions, to see whether they have changed."""
    return tuple((id(v), getattr(v, "last_modified", None)) for v in versions)


def _name(place: Place) -> str:
    """Return the file name under which an S3 key is persisted.

    Any key becomes a file's name; the digest tells apart keys that differ in length or case only.
    """
    bucket, key = place
    return (
        f"{_OBJECTS}/{bucket}/{quote(key, safe='')[:120]}.{sha256(key.encode()).hexdigest()[:12]}"
    )
