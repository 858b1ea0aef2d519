"""Reading and writing Feature Store's records in batches: again for what was left out, side by side."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from ...errors import Invalid, IsthmusError, OutcomeUnknown, Throttled
from ...events.port import Column
from . import records
from .errors import translated
from .session import Aws

if TYPE_CHECKING:
    import pyarrow as pa

_WRITE, _READ = 25, 100  # entries of a call
_THREADS = 8
_ATTEMPTS = 8
_PAUSE = 0.1  # seconds, doubled each time
_FINAL = frozenset({"ValidationError", "AccessForbidden", "AccessDeniedException", "ResourceNotFound"})


def write(aws: Aws, name: str, latest: pa.Table, features: Sequence[Column], stamp: str) -> None:
    def some(rows: Any) -> None:
        _send(
            aws,
            name,
            [{"FeatureGroupName": name, "Record": records.encode(row, features, stamp)} for row in rows.to_pylist()],
        )

    chunks = [latest.slice(start, _WRITE) for start in range(0, latest.num_rows, _WRITE)]
    with ThreadPoolExecutor(_THREADS) as pool:
        for _ in pool.map(some, chunks):
            pass


def _send(aws: Aws, name: str, entries: list[dict[str, Any]]) -> None:
    """Again for what was not processed or failed; a record that is written twice with one EventTime is the same record."""
    failed: list[dict[str, Any]] = []
    for attempt in range(_ATTEMPTS):
        with translated(f"writing records of {name}", effect=True):
            reply = aws.client("sagemaker-featurestore-runtime").batch_write_record(Entries=entries)
        failed = reply.get("Errors", [])
        entries = [*reply.get("UnprocessedEntries", ()), *(error["Entry"] for error in failed)]
        if not entries:
            return
        if any(error["ErrorCode"] in _FINAL for error in failed):
            break
        if attempt < _ATTEMPTS - 1:
            time.sleep(_PAUSE * 2**attempt)
    raise _refusal(name, failed, len(entries))


def read(aws: Aws, name: str, keys: Sequence[str]) -> dict[str, list[dict[str, str]]]:
    """The records of those keys that have one."""
    wanted = list(dict.fromkeys(keys))
    chunks = [wanted[start : start + _READ] for start in range(0, len(wanted), _READ)]
    found: dict[str, Any] = {}
    if len(chunks) < 2:
        for chunk in chunks:
            found |= _fetch(aws, name, chunk)
        return found
    with ThreadPoolExecutor(_THREADS) as pool:
        for part in pool.map(lambda chunk: _fetch(aws, name, chunk), chunks):
            found |= part
    return found


def _fetch(aws: Aws, name: str, keys: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    failed: list[dict[str, Any]] = []
    for attempt in range(_ATTEMPTS):
        with translated(f"reading records of {name}"):
            reply = aws.client("sagemaker-featurestore-runtime").batch_get_record(
                Identifiers=[{"FeatureGroupName": name, "RecordIdentifiersValueAsString": keys}]
            )
        found |= {one["RecordIdentifierValueAsString"]: one["Record"] for one in reply["Records"]}
        failed = reply.get("Errors", [])
        keys = [key for part in reply.get("UnprocessedIdentifiers", ()) for key in part["RecordIdentifiersValueAsString"]]
        keys += [error["RecordIdentifierValueAsString"] for error in failed]
        if not keys:
            return found
        if any(error["ErrorCode"] in _FINAL for error in failed):
            break
        if attempt < _ATTEMPTS - 1:
            time.sleep(_PAUSE * 2**attempt)
    raise _refusal(name, failed, len(keys))


def _refusal(name: str, failed: list[dict[str, Any]], count: int) -> IsthmusError:
    if not failed:
        return Throttled(f"feature group {name}: {count:,} records were left unprocessed", remedy="run this again")
    first = failed[0]
    text = f"feature group {name}: {count:,} records failed: {first['ErrorCode']}: {first.get('ErrorMessage', '')}"
    return Invalid(text) if first["ErrorCode"] == "ValidationError" else OutcomeUnknown(text, remedy="run this again")
