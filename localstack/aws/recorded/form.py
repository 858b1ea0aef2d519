"""The form of a recording: a folder with about.json and calls.jsonl.

The latter has a line for each call, in the order in which they were answered.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

ABOUT, CALLS = "about.json", "calls.jsonl"
_LARGEST = 5_000_000  # bytes of a body that is kept; of a larger one its size is


class NewerRecording(ValueError):
    """A recording that a later version wrote."""


class About(msgspec.Struct, frozen=True, kw_only=True, tag_field="schema", tag=1):
    """The head of a recording. A change of either file's layout raises the tag, their format."""

    cloud: str
    region: str
    recorded: datetime
    isthmus: str  # the version that recorded


class Call(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A call as boto3 was given it, and its answer.

    Values that JSON has no kind for are objects with one key: `$bytes` (base64), `$text` (bytes
    that are text), `$size` (bytes that are not kept), `$time`, `$stream` (a body, which is not
    kept).
    """

    number: int
    service: str  # botocore's name
    operation: str
    params: dict[str, Any]
    status: int  # HTTP
    error: str | None = None  # the error code
    message: str | None = None
    answer: dict[str, Any] = {}


def read(folder: Path) -> tuple[About, tuple[Call, ...]]:
    """Read a recording of AWS calls from its folder: its head, and its calls in order.

    Raises:
        OSError: The folder holds no recording.
        NewerRecording: A later version wrote it.
        ValueError: It is damaged.
    """
    data = (folder / ABOUT).read_bytes()
    written = msgspec.json.decode(data, type=dict[str, Any]).get("schema", 0)
    format_here = About.__struct_config__.tag
    if written != format_here:
        raise NewerRecording(
            f"{folder / ABOUT} was written in format {written}; this version reads {format_here}"
        )
    return msgspec.json.decode(data, type=About), tuple(_calls(folder / CALLS))


def _calls(file: Path) -> Iterator[Call]:
    """Yield the recorded calls in a file of JSON lines."""
    decode = msgspec.json.Decoder(Call).decode
    for number, line in enumerate(file.read_bytes().splitlines(), start=1):
        try:
            yield decode(line)
        except msgspec.DecodeError as error:
            raise ValueError(f"{file}:{number} is damaged: {error}") from error


def body(data: bytes) -> dict[str, Any]:
    """Convert a body's bytes to the JSON object that a recording stores in their place.

    It has one key: `$text`, `$bytes` (base64), or `$size` of what is too large to keep.
    """
    if len(data) > _LARGEST:
        return {"$size": len(data)}
    try:
        return {"$text": data.decode()}
    except UnicodeDecodeError:
        return {"$bytes": base64.b64encode(data).decode()}


def plain(value: Any) -> Any:
    """Convert a recorded value back to what boto3 takes as a parameter."""
    if isinstance(value, list):
        return [plain(member) for member in value]
    if not isinstance(value, dict):
        return value
    name, content = next(iter(value.items()), ("", None))
    if (read := _READ.get(name)) is not None:
        return read(content)
    return {name: plain(member) for name, member in value.items()}


_READ: dict[str, Callable[[Any], Any]] = {
    "$bytes": base64.b64decode,
    "$text": str.encode,
    "$size": bytes,
    "$time": datetime.fromisoformat,
}
