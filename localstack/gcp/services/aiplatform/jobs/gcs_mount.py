"""The part of Cloud Storage that a container finds at /gcs, and what it writes there.

Vertex AI mounts every bucket (Cloud Storage FUSE). Here a container has the objects that its
command, its arguments, its variables or its parameters name, as gs://bucket/... or /gcs/bucket/...,
and all of a bucket that is named alone. They are copied before it starts; what it wrote is uploaded
once it has ended.

A name that no file can have is left out, as by Cloud Storage FUSE from 3.6 on, and reported:
`a//b`, `a/../b`, a segment of more than 255 bytes (which FUSE takes and a disk does not), a file
beside a folder of its name (which FUSE shows under another name).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .....core.downloads import Refused, arrive
from ....core.call import Call
from ....core.errors import GcpError
from ...storage import in_process

MOUNT = "/gcs"
_NAMED = re.compile(r"(?:gs://|/gcs/)([a-z0-9][a-z0-9._-]+)(?:/([^\s\"'\\,;*?\[\]{}<>|&)]*))?")

State = Mapping[str, tuple[int, int]]  # path below /gcs -> size and time of its last change


def named_places(words: Iterable[str]) -> list[tuple[str, str]]:
    """Return the buckets and object prefixes that texts name as gs://... or /gcs/....

    Where one place contains another, only the containing one is returned.
    """
    places = sorted(
        {(match[1], match[2] or "") for word in words for match in _NAMED.finditer(word)}
    )
    shortest: list[tuple[str, str]] = []
    for bucket, prefix in places:
        if not any(other == bucket and prefix.startswith(start) for other, start in shortest):
            shortest.append((bucket, prefix))
    return shortest


def copy_named_objects(call: Call, folder: Path, words: Iterable[str]) -> tuple[State, list[str]]:
    """Copy the Cloud Storage objects that `words` name into the folder that stands for /gcs.

    Return the folder's state, and the URIs that were left out as no file can have their names. A
    bucket that does not exist is passed over.
    """
    left_out: list[str] = []
    for bucket, prefix in named_places(words):
        try:
            uris = in_process.uris_below(call, f"gs://{bucket}/{prefix}")
        except GcpError:
            continue
        (folder / bucket).mkdir(parents=True, exist_ok=True)
        folders = {uri[: slash.start()] for uri in uris for slash in re.finditer("/", uri)}
        for uri in uris:
            placeholder = uri.endswith("/")  # of a folder
            try:
                path = arrive(folder, uri.removeprefix("gs://").removesuffix("/"))
                if "//" in uri[5:] or uri in folders:
                    left_out.append(uri)
                elif not placeholder and not path.exists():
                    path.write_bytes(in_process.read(call, uri))
            except (Refused, OSError):
                left_out.append(uri)
    return state(folder), left_out


def state(folder: Path) -> State:
    """Return the size and modification time of each file below a folder, to detect changes."""
    return {
        str(path.relative_to(folder)): (entry.st_size, entry.st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and (entry := path.stat())
    }


def upload_changes(call: Call, folder: Path, previous_state: State) -> None:
    """Upload every file to Cloud Storage that is new or differs from `previous_state`.

    Raises:
        GcpError: A file's bucket does not exist.
    """
    for name, entry in state(folder).items():
        if previous_state.get(name) != entry:
            in_process.write(call, f"gs://{name}", (folder / name).read_bytes())


def words_of(*values: Any) -> list[str]:
    """Return every string value within JSON values, at any depth."""
    words: list[str] = []
    for value in values:
        if isinstance(value, str):
            words.append(value)
        elif isinstance(value, Mapping):
            words += words_of(*value.values())
        elif isinstance(value, (list, tuple)):
            words += words_of(*value)
    return words
