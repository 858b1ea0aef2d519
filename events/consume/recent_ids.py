"""Remember the ids of recent events, so that one that comes again is told from a new one.

Memory is bounded: an id is forgotten once its event would be too late, and two checkpoints after it
was read, when the stream does not send it again.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import final

import msgspec

from ...times import epoch_milliseconds

_CHECKPOINTS = 2  # for which an id stays, however old its event is
FAR = 2**62  # the number of a checkpoint after all others: an id's event time alone decides


class StoredIds(msgspec.Struct, frozen=True, kw_only=True):
    """The recent ids of a stream, as a checkpoint holds them: three lists of one length."""

    ids: list[str]
    times: list[int]  # of the events, in milliseconds since 1970
    checkpoints: list[int]  # the number of the checkpoint after which each was read


@final
class RecentIds:
    """The ids of the recent events of one stream."""

    def __init__(self, stored: StoredIds | None = None) -> None:
        self._ids: dict[str, tuple[int, int]] = {}
        if stored is not None:
            pairs = zip(stored.times, stored.checkpoints, strict=True)
            self._ids = dict(zip(stored.ids, pairs, strict=True))

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, event_id: str, moment: datetime, *, checkpoint: int) -> bool:
        """Remember an event's id, and return whether it is new.

        Args:
            event_id: The id.
            moment: The event's own time.
            checkpoint: The number of the last checkpoint.
        """
        if event_id in self._ids:
            return False
        self._ids[event_id] = (epoch_milliseconds(moment), checkpoint)
        return True

    def forget(self, *, watermark: datetime, checkpoint: int) -> None:
        """Forget the ids that cannot matter any more.

        Args:
            watermark: An event older than this is too late, whether it is new or not.
            checkpoint: The number of the last checkpoint.
        """
        oldest, least = epoch_milliseconds(watermark), checkpoint - _CHECKPOINTS
        old = [
            event_id
            for event_id, (moment, number) in self._ids.items()
            if moment < oldest and number < least
        ]
        for event_id in old:
            del self._ids[event_id]

    def stored(self) -> StoredIds:
        """Return the ids in the form in which a checkpoint holds them."""
        values: Iterable[tuple[int, int]] = self._ids.values()
        times, checkpoints = [], []
        for moment, number in values:
            times.append(moment)
            checkpoints.append(number)
        return StoredIds(ids=list(self._ids), times=times, checkpoints=checkpoints)
