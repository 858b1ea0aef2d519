"""The delivery streams that the stack keeps."""

from __future__ import annotations

import threading

import msgspec

from . import delivery


class Stream(msgspec.Struct, kw_only=True):
    """A delivery stream, and the records that it has still to deliver."""

    name: str
    source: str | None  # ARN of a Kinesis stream
    active: bool = False
    pending: list[delivery.Record] = []  # put directly, or into the Kinesis stream
    size: int = 0  # their bytes
    waiting: bool = False  # a flush is on the clock
    twice: bool = False  # the next delivery is repeated (a fault)
    # shard of the Kinesis stream -> the last sequence number before this was active
    positions: dict[str, str] = {}
    delivered: int = 0
    failed: int = 0
    lock: threading.RLock = msgspec.field(default_factory=threading.RLock)


class Streams:
    """The delivery streams of one account and region."""

    def __init__(self) -> None:
        self.by_name: dict[str, Stream] = {}
