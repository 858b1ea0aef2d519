"""The rows that were scored, as text for the column `features` of exposures. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ..rank.ranking import Item, ShownItem

LARGEST = 16_384  # bytes of a row's JSON; a larger row is not logged

# By the names of the columns: a row has one text. Floats have the digits that give the same float
# again, which is also how the model server is sent them.
_encode = msgspec.json.Encoder(order="deterministic").encode


class ScoredRows(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of an answer's shown items, in their order."""

    texts: tuple[str | None, ...]  # None: the row was too large
    too_large: tuple[Item, ...] = ()
    largest: int = 0  # bytes, of those that were too large

    @property
    def problems(self) -> tuple[str, ...]:
        """Return a sentence on the rows that were not logged, or nothing."""
        if not self.too_large:
            return ()
        first, items = self.too_large[0], len(self.texts)
        return (
            (
                f"the features of {len(self.too_large):,} of {items:,} items are not logged, the "
                f"first {first}: up to {self.largest:,} bytes of JSON, and {LARGEST:,} are the most"
            ),
        )


def scored_rows(
    candidates: Sequence[Item], instances: Sequence[Mapping[str, Any]], places: Sequence[ShownItem]
) -> ScoredRows:
    """Return the rows that the shown items were scored by, as JSON texts.

    `instances` are the rows of all `candidates`, as the model got them: features of views, and
    attributes of the request. All of them are there, also those that another variant alone reads.
    """
    indexes = {item: index for index, item in enumerate(candidates)}
    encoded = [_encode(instances[indexes[place.item]]) for place in places]
    too_large = [len(row) > LARGEST for row in encoded]
    if not any(too_large):
        return ScoredRows(texts=tuple([row.decode() for row in encoded]))
    pairs = list(zip(places, encoded, too_large, strict=True))
    return ScoredRows(
        texts=tuple([None if large else row.decode() for _, row, large in pairs]),
        too_large=tuple([place.item for place, _, large in pairs if large]),
        largest=max(len(row) for _, row, large in pairs if large),
    )
