"""Objects by their gs:// URIs, for the other services of the stack.

Every function raises GcpError if there is no such bucket or object.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from ....core import downloads
from ...core.call import Call
from ...core.errors import GcpError
from .content import parts, write_content
from .preconditions import NONE
from .records import check_object_name
from .requests import store_of
from .uploads import new_version


def read(call: Call, uri: str) -> bytes:
    """Return the bytes of the object that a gs:// URI names."""
    bucket, name = split_uri(uri)
    store = store_of(call)
    with store.lock:
        data = parts(store.version(bucket, name).content)
    return b"".join(data)


def write(
    call: Call, uri: str, data: bytes, *, content_type: str = "application/octet-stream"
) -> None:
    """Store bytes as the object that a gs:// URI names."""
    _write(call, uri, [data], content_type)


def _write(call: Call, uri: str, data: Iterable[bytes], content_type: str) -> None:
    """Store parts of bytes as the object that a gs:// URI names."""
    bucket_name, name = split_uri(uri)
    check_object_name(name)
    store = store_of(call)
    content = write_content(store.folder(call), data)
    try:
        with store.lock:
            version = new_version(
                call, store.bucket(bucket_name), name, content, fields={"contentType": content_type}
            )
            store.put(version, NONE)
    except GcpError:
        content.remove()
        raise


def uris_below(call: Call, prefix_uri: str) -> list[str]:
    """Return the gs:// URIs of the objects that begin with a prefix, sorted."""
    bucket_name, prefix = split_uri(prefix_uri)
    store = store_of(call)
    with store.lock:
        versions = store.bucket(bucket_name).listed()
        return [
            f"gs://{bucket_name}/{version.name}"
            for version in versions
            if version.name.startswith(prefix)
        ]


def download(call: Call, prefix_uri: str, folder: Path) -> None:
    """Copy the objects below a gs:// prefix, or one object, into a local folder.

    Raises:
        GcpError: There is nothing, or a name leads out of the folder.
    """
    base = prefix_uri.rstrip("/")
    uris = uris_below(call, f"{base}/")
    if not uris and base in uris_below(call, base):
        base, uris = base.rpartition("/")[0], [base]
    if not uris:
        raise GcpError("NOT_FOUND", f"There is nothing at {prefix_uri}", reason="notFound")
    store = store_of(call)
    for uri in uris:
        if uri.endswith("/"):  # the console makes "folders" of such
            continue
        bucket, name = split_uri(uri)
        with store.lock:
            data = parts(store.version(bucket, name).content)
        try:
            with downloads.arrive(folder, uri[len(base) + 1 :]).open("wb") as file:
                file.writelines(data)
        except (
            downloads.Refused,
            OSError,
        ) as error:  # Cloud Storage can hold `a` and `a/b`; a folder cannot
            raise GcpError(
                "INVALID_ARGUMENT", f"{uri!r} cannot be a file: {error}", reason="invalid"
            ) from error


def upload(call: Call, folder: Path, prefix_uri: str) -> None:
    """Upload every file below a local folder to a gs:// prefix."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            uri = f"{prefix_uri.rstrip('/')}/{path.relative_to(folder).as_posix()}"
            _write(
                call,
                uri,
                iter(partial(file.read, 1 << 20), b""),
                mimetypes.guess_type(path.name)[0] or "application/octet-stream",
            )


def split_uri(uri: str) -> tuple[str, str]:
    """Split a gs:// URI into the bucket and the object's name (or prefix)."""
    if not uri.startswith("gs://") or not uri[5:].strip("/"):
        raise GcpError(
            "INVALID_ARGUMENT",
            f"{uri!r} is no Cloud Storage URI: gs://bucket/object",
            reason="invalid",
        )
    bucket, _, name = uri[5:].partition("/")
    return bucket, name
