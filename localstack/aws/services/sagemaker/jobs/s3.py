"""Transfers between S3 and a folder: inputs down, outputs up."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from botocore.exceptions import ClientError

from .....core.downloads import Refused, arrive


class TransferError(Exception):
    """A download or an upload that cannot be done, in SageMaker's words."""


# S3's own addresses, as SageMaker takes them beside s3://, too (the API reference's pattern:
# ^(https|s3)://([^/]+)/?(.*)$)
_ADDRESS = re.compile(
    r"https://(?:(?P<bucket>[^/]+)\.)?s3(?:[.-][a-z]{2}(?:-[a-z]+)+-\d)?\.amazonaws\.com(?:\.cn)?/(?P<path>.+)"
)


def split(uri: str) -> tuple[str, str]:
    """Split the URI of an object into its bucket and its key.

    It may be s3://bucket/key or an address such as https://bucket.s3.REGION.amazonaws.com/key, also
    with the bucket in its path.

    Raises:
        TransferError: The text is no such URI.
    """
    address = _ADDRESS.fullmatch(uri)
    if address and address["bucket"]:
        return address["bucket"], address["path"]
    scheme, _, path = ("s3", "", address["path"]) if address else uri.partition("://")
    if scheme != "s3" or not path:
        raise TransferError(f"ClientError: '{uri}' is not an S3 URI")
    bucket, _, key = path.partition("/")
    return bucket, key


def download(
    client: Any, uri: str, folder: Path, *, kind: str = "S3Prefix", required: bool = True
) -> int:
    """Download the S3 objects of an S3DataType into a folder; return the number of files.

    `kind` is S3Prefix, or ManifestFile for an object that lists the others.

    Raises:
        TransferError: Nothing is there though it is `required`, or something cannot be fetched.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if kind == "ManifestFile":
        return _manifest(client, uri, folder)
    if kind != "S3Prefix":
        raise TransferError(
            f"ClientError: the local stack reads S3Prefix and ManifestFile, not {kind}"
        )
    bucket, prefix = split(uri)
    count = 0
    for key in _keys(client, bucket, prefix):
        count += 1
        _fetch(client, bucket, key, folder, relative(key, prefix))
    if required and not count:
        raise TransferError(
            f'ClientError: Data download failed:No S3 objects found under S3 URL "{uri}" '
            "given in input data source. Please ensure that "
            "the bucket exists in the selected region, that objects exist under that S3 "
            "prefix, and that the role may list the bucket."
        )
    return count


def relative(key: str, prefix: str) -> str:
    """Return the path below a channel's folder at which an S3 object is stored.

    S3Prefix, which leads to the object, is a prefix of names, not necessarily a folder.
    """
    rest = key.removeprefix(prefix)
    if rest and (prefix.endswith("/") or not prefix or rest.startswith("/")):
        return rest.lstrip("/")
    return key[prefix.rfind("/") + 1 :]  # the prefix ends inside a name, or is the object itself


def read(client: Any, uri: str) -> bytes:
    """Return the bytes of an S3 object, for a job.

    Raises:
        TransferError: It cannot be read.
    """
    bucket, key = split(uri)
    try:
        content: bytes = client.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        raise TransferError(f"ClientError: cannot read {uri}: {_error_text(error)}") from error
    return content


def upload(client: Any, folder: Path, uri: str, *, links: bool = True) -> int:
    """Upload every file below a folder to S3, and return the number of files.

    A symbolic link is uploaded as the file or folder that it leads to, or left out without `links`.
    """
    files = sorted(
        path for path in folder.rglob("*") if path.is_file() and (links or not path.is_symlink())
    )
    for path in files:
        put(client, f"{uri.rstrip('/')}/{path.relative_to(folder).as_posix()}", path)
    return len(files)


def put(client: Any, uri: str, path: Path) -> None:
    """Upload a file to an S3 URI, for a job.

    Raises:
        TransferError: It cannot be uploaded.
    """
    bucket, key = split(uri)
    try:
        with path.open("rb") as body:
            client.put_object(Bucket=bucket, Key=key, Body=body)
    except ClientError as error:
        raise TransferError(
            f"ClientError: Failed to upload to {uri}: {_error_text(error)}"
        ) from error


def archive(folder: Path, target: Path) -> None:
    """Write a model.tar.gz, at `target`, with the folder's content at the archive's root.

    A link becomes what it leads to, as no endpoint takes links.
    """
    try:
        with tarfile.open(target, "w:gz", dereference=True) as tar:
            for path in sorted(folder.iterdir()):
                tar.add(path, arcname=path.name)
    except OSError as error:
        raise TransferError(f"ClientError: Artifact upload failed: {error}") from error


def _keys(client: Any, bucket: str, prefix: str) -> Iterator[str]:
    """Yield the keys of the S3 objects below a prefix."""
    try:
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            yield from (
                item["Key"] for item in page.get("Contents", ()) if not item["Key"].endswith("/")
            )
    except ClientError as error:
        raise TransferError(
            f"ClientError: Data download failed:{_error_text(error)}: s3://{bucket}/{prefix}"
        ) from error


def _fetch(client: Any, bucket: str, key: str, folder: Path, name: str) -> None:
    """Download an S3 object into a file of the folder, under `name`.

    Raises:
        TransferError: It cannot be fetched.
    """
    try:
        target = arrive(folder, name)
        body = client.get_object(Bucket=bucket, Key=key)["Body"]
        with target.open("wb") as file:
            for chunk in body.iter_chunks(1 << 20):
                file.write(chunk)
    except ClientError as error:
        raise TransferError(
            f"ClientError: Data download failed:{_error_text(error)}: s3://{bucket}/{key}"
        ) from error
    except (Refused, OSError) as error:  # S3 can hold `a` and `a/b`; a folder cannot
        raise TransferError(
            f"ClientError: Data download failed: the object {f's3://{bucket}/{key}'!r} "
            f"cannot be a file: {error}"
        ) from error


def _manifest(client: Any, uri: str, folder: Path) -> int:
    """Download the S3 objects that a manifest at `uri` lists; return their number."""
    try:
        first, *rest = json.loads(read(client, uri))
        bucket, prefix = split(first["prefix"])
        names = msgspec.convert(rest, list[str])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise TransferError(
            f'ClientError: the manifest {uri} must be [{{"prefix": "s3://..."}}, "name", ...]'
        ) from error
    for name in names:
        _fetch(client, bucket, prefix + name, folder, name)
    return len(names)


def _error_text(error: ClientError) -> str:
    """Return the code and message of an S3 error as text."""
    answer = error.response.get("Error", {})
    return f"{answer.get('Code')}: {answer.get('Message')}"
