"""How a call is kept: a folder with about.json and a line of calls.jsonl for each call, in the
order in which they were answered.
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
    """A later version wrote it."""


class About(msgspec.Struct, frozen=True, kw_only=True, tag_field="schema", tag=1):
    """Whose calls these are. Who changes the layout of either file raises the tag, their format."""

    cloud: str
    region: str
    recorded: datetime
    isthmus: str  # the version that recorded


class Call(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was asked, as boto3 was given it, and what was answered.

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
    """A recording's head and its calls, in their order.

    OSError: there is none. NewerRecording. ValueError: damaged.
    """
    data = (folder / ABOUT).read_bytes()
    written = msgspec.json.decode(data, type=dict[str, Any]).get("schema", 0)
    known = About.__struct_config__.tag
    if written != known:
        raise NewerRecording(
            f"{folder / ABOUT} was written in format {written}; this version reads {known}"
        )
    return msgspec.json.decode(data, type=About), tuple(_calls(folder / CALLS))


def _calls(file: Path) -> Iterator[Call]:
    decode = msgspec.json.Decoder(Call).decode
    for number, line in enumerate(file.read_bytes().splitlines(), start=1):
        try:
            yield decode(line)
        except msgspec.DecodeError as error:
            raise ValueError(f"{file}:{number} is damaged: {error}") from error


def body(data: bytes) -> dict[str, Any]:
    """Bytes of a request."""
    if len(data) > _LARGEST:
        return {"$size": len(data)}
    try:
        return {"$text": data.decode()}
    except UnicodeDecodeError:
        return {"$bytes": base64.b64encode(data).decode()}


def plain(value: Any) -> Any:
    """A kept value as boto3 takes it."""
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
