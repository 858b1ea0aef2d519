"""Feature views of content: the vectors of an extractor, and profiles that are made of them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec

MOST_DIMENSIONS = 64  # a vector is so many columns at most: no list type exists on all stores
DIMENSIONS = 16  # where `parameters` does not say how many


class Extract(msgspec.Struct, frozen=True, kw_only=True):
    """How an extractor makes a view's vectors from the attributes of an event."""

    event: str  # `from`
    reads: tuple[str, ...]
    extractor: str  # `with`: isthmus.text, or module.function beside project.yaml
    parameters: dict[str, Any] = {}

    @property
    def dimensions(self) -> int:
        """The number of columns of a vector."""
        return int(self.parameters.get("dimensions", DIMENSIONS))


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """The mean vector of what an entity did within a window, and how often it did it."""

    view: str  # `of`: a view with `extract`
    event: str  # `by`
    window: timedelta


def vector_columns(view: str, dimensions: int) -> tuple[str, ...]:
    """Return the names of the columns of a view's vectors: item_text_00, item_text_01, ..."""
    return tuple(f"{view}_{position:02d}" for position in range(dimensions))


def extracted_name(view: str) -> str:
    """Return the name of the warehouse table with the vector of each event of a view."""
    return f"{view}_extracted"
