"""The model that stands in for a project's own where a rollout is rehearsed.

Its answers do not matter, as requests are made up.
"""

from __future__ import annotations

from collections.abc import Sequence


class StandIn:
    """A model that gives every row the same score."""

    def __init__(self, score: float) -> None:
        self.score = score

    def predict(self, rows: Sequence[object]) -> list[float]:
        """Return the same score for every row, in place of a real model."""
        return [self.score for _ in rows]
