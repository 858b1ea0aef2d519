"""Reading and writing of Feature Store's records in parallel batches.

What a call leaves out is repeated.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from ....errors import Invalid, IsthmusError, NotFound, OutcomeUnknown, Throttled
from ....events.port import Column
from ..errors import translated
from ..session import AwsSession
from . import records

if TYPE_CHECKING:
    import pyarrow as pa

_WRITE, _READ = 25, 100  # entries of a call
_GROUPS = 10  # feature groups of a read
_THREADS = 8
_ATTEMPTS = 8
_PAUSE = 0.1  # seconds, doubled each time
_FINAL = frozenset(
    {"ValidationError", "AccessForbidden", "AccessDeniedException", "ResourceNotFound"}
)


def write(
    aws: AwsSession, name: str, latest: pa.Table, features: Sequence[Column], stamp: str
) -> None:
    """Write rows of feature values as records of a feature group, in parallel batches.

    `name` is the group's, `stamp` the column with their EventTime.
    """

    def some(rows: Any) -> None:
        _send(
            aws,
            name,
            [
                {"FeatureGroupName": name, "Record": records.encode(row, features, stamp)}
                for row in rows.to_pylist()
            ],
        )

    chunks = [latest.slice(start, _WRITE) for start in range(0, latest.num_rows, _WRITE)]
    with ThreadPoolExecutor(_THREADS) as pool:
        for _ in pool.map(some, chunks):
            pass


def _send(aws: AwsSession, name: str, entries: list[dict[str, Any]]) -> None:
    """Write a feature group's records by BatchWriteRecord, repeating those not processed.

    A record that is written twice with one EventTime is the same record.
    """
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


def read(
    aws: AwsSession, keys: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, list[dict[str, str]]]]:
    """Read the records of entity keys; return them by feature group and key.

    Keys without a record are left out. Up to a hundred keys, of any groups, are one call.
    """
    records: dict[str, dict[str, Any]] = {name: {} for name in keys}
    chunks = list(
        _calls(
            list(
                dict.fromkeys(
                    (name, key) for name, group_keys in keys.items() for key in group_keys
                )
            )
        )
    )
    if len(chunks) < 2:
        answers = [_fetch(aws, chunk) for chunk in chunks]
    else:
        with ThreadPoolExecutor(_THREADS) as pool:
            answers = list(pool.map(lambda chunk: _fetch(aws, chunk), chunks))
    for answer in answers:
        for (name, key), record in answer.items():
            records[name][key] = record
    return records


def _calls(pairs: Sequence[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    """Split (group, key) pairs into lists, one for each BatchGetRecord call."""
    call: list[tuple[str, str]] = []
    for pair in pairs:
        if len(call) == _READ or len({name for name, _ in call} | {pair[0]}) > _GROUPS:
            yield call
            call = []
        call.append(pair)
    if call:
        yield call


def _fetch(aws: AwsSession, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Any]:
    """Read records by one BatchGetRecord, repeating those not processed; return them by pair."""
    records: dict[tuple[str, str], Any] = {}
    failed: list[dict[str, Any]] = []
    names = sorted({name for name, _ in pairs})
    for attempt in range(_ATTEMPTS):
        identifiers = [
            {"FeatureGroupName": name, "RecordIdentifiersValueAsString": keys}
            for name in names
            if (keys := [key for group, key in pairs if group == name])
        ]
        with translated(f"reading records of {', '.join(names)}"):
            reply = aws.client("sagemaker-featurestore-runtime").batch_get_record(
                Identifiers=identifiers
            )
        records |= {
            (_group(item), item["RecordIdentifierValueAsString"]): item["Record"]
            for item in reply["Records"]
        }
        failed = reply.get("Errors", [])
        pairs = [
            (_group(part), key)
            for part in reply.get("UnprocessedIdentifiers", ())
            for key in part["RecordIdentifiersValueAsString"]
        ]
        pairs += [(_group(error), error["RecordIdentifierValueAsString"]) for error in failed]
        if not pairs:
            return records
        if any(error["ErrorCode"] in _FINAL for error in failed):
            break
        if attempt < _ATTEMPTS - 1:
            time.sleep(_PAUSE * 2**attempt)
    raise _refusal(", ".join(names), failed, len(pairs))


def _group(entry: Mapping[str, Any]) -> str:
    """Return the feature group's name in an answer's entry, which may have an ARN instead."""
    return str(entry["FeatureGroupName"]).rpartition("/")[2]


def _refusal(name: str, failed: list[dict[str, Any]], count: int) -> IsthmusError:
    """Return the error for records that Feature Store did not read or write, of `count`."""
    if not failed:
        return Throttled(
            f"feature group {name}: {count:,} records were left unprocessed",
            remedy="run this again",
        )
    first = failed[0]
    if first["ErrorCode"] == "ResourceNotFound":
        return NotFound(
            f"there is no feature group {name}",
            remedy="`isthmus apply` makes the views that the project declares",
        )
    text = (
        f"feature group {name}: {count:,} records failed: {first['ErrorCode']}: "
        f"{first.get('ErrorMessage', '')}"
    )
    return (
        Invalid(text)
        if first["ErrorCode"] == "ValidationError"
        else OutcomeUnknown(text, remedy="run this again")
    )
