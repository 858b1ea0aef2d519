"""Say up to which event time the streams of a consumer have been read; pure functions.

A watermark is a moment before which no event will come any more, but for those that are too late.
A stream that stalls holds it back, so that what is missing is never taken for what did not happen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from ...times import from_epoch

BEGINNING = from_epoch(0)


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """The newest event time that was read of each stream, and the watermark that follows."""

    newest: Mapping[str, datetime] = {}  # by stream; one that is not in it has not been read
    watermark: datetime = BEGINNING


def after_read(
    progress: Progress,
    stream: str,
    *,
    newest: datetime | None,
    behind: timedelta | None,
    moment: datetime,
) -> Progress:
    """Return the progress after one read of a stream.

    Args:
        progress: The progress before it.
        stream: The stream that was read.
        newest: The newest event time among the events; None: there were none.
        behind: How far the reader is behind; zero: everything has been read; None: not known.
        moment: The clock's time just before the read. No stream counts as read beyond it, so that
            an event with a wrong date in the future does not make all others late.
    """
    if newest is None:  # an idle stream that is not behind has been read up to now
        if behind is None or behind > timedelta():
            return progress
        newest = moment
    newest = max(min(newest, moment), progress.newest.get(stream, BEGINNING))
    return msgspec.structs.replace(progress, newest={**progress.newest, stream: newest})


def advanced(progress: Progress, streams: Sequence[str], *, lateness: timedelta) -> Progress:
    """Return the progress with its watermark moved on as far as every stream has been read.

    It stays behind by `lateness`, and it never goes back.
    """
    if any(stream not in progress.newest for stream in streams):
        return progress
    least = min(progress.newest[stream] for stream in streams)
    return msgspec.structs.replace(progress, watermark=max(least - lateness, progress.watermark))
