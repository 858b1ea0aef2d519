"""Give exposures their outcome in event time: wait for it, and say what came too late or astray.

Pure. An outcome counts that happened between its exposure and `within` after it, both included. A
row of a 0/1 objective is known with its first outcome; every other one when its time is over.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec

Values = list[Any]  # an exposure's columns, in the order of the event


class Waiting(msgspec.Struct, array_like=True):
    """An exposure whose outcome is not known yet, and what came for it so far."""

    shown: int  # its time, in milliseconds
    row: Values
    amounts: list[float] = []  # of its outcomes: 1.0 each, or the attribute that is added up


class LabelState(msgspec.Struct):
    """The state of a labeller: what it still needs, and counts for people."""

    waiting: dict[str, Waiting] = {}  # by the exposure's id
    # exposures that wait no more, with their times: an outcome that comes later is told from one
    # of an exposure that nobody has seen
    finished: dict[str, int] = {}
    # outcomes that came before their exposure, by its id: their times and amounts
    early: dict[str, list[tuple[int, float]]] = {}
    events: int = 0
    late: int = 0
    examples: int = 0
    outcomes: int = 0  # examples with one
    unlogged: int = 0  # exposures without the row that was scored
    after_within: int = 0
    unknown: int = 0  # outcomes of no exposure


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """An exposure with its outcome."""

    row: Values
    outcome: float  # 0 or 1, whole, unless the objective is a number
    known: int  # the end of the time in which an outcome counts, in milliseconds


class Labeller:
    """The rules of one data set; the state is its caller's. Times are in milliseconds."""

    def __init__(self, *, within: int, is_number: bool, at_most: float | None) -> None:
        """Take what an objective says: its window, whether its label is a number, and its cap."""
        self._within, self._is_number, self._at_most = within, is_number, at_most

    def add_exposure(
        self, state: LabelState, exposure: str, shown: int, row: Values, *, is_logged: bool
    ) -> None:
        """Take an exposure in, with the outcomes that came before it."""
        if exposure in state.waiting or exposure in state.finished:
            return
        early = state.early.pop(exposure, ())
        if not is_logged:
            state.unlogged += 1
            state.finished[exposure] = shown
            return
        waiting = state.waiting[exposure] = Waiting(shown=shown, row=row)
        for moment, amount in early:
            self._count(state, waiting, moment, amount)

    def add_outcome(self, state: LabelState, exposure: str, moment: int, amount: float) -> None:
        """Take an outcome in: for an exposure that waits, has waited, or has not come yet."""
        if (waiting := state.waiting.get(exposure)) is not None:
            self._count(state, waiting, moment, amount)
        elif (shown := state.finished.get(exposure)) is not None:
            state.after_within += moment > shown + self._within
        else:
            state.early.setdefault(exposure, []).append((moment, amount))

    def advance(self, state: LabelState, watermark: int) -> list[Example]:
        """Return the examples that are known at a watermark, in the order of time and id."""
        within = self._within
        is_rate = not self._is_number
        ready = sorted(
            (waiting.shown, key)
            for key, waiting in state.waiting.items()
            if waiting.shown + within < watermark or (waiting.amounts and is_rate)
        )
        examples = []
        for _, key in ready:
            waiting = state.waiting.pop(key)
            state.finished[key] = waiting.shown
            examples.append(
                Example(
                    row=waiting.row,
                    outcome=self._label(waiting.amounts),
                    known=waiting.shown + within,
                )
            )
            state.outcomes += bool(waiting.amounts)
        state.examples += len(examples)
        for key in [k for k, shown in state.finished.items() if shown + 2 * within < watermark]:
            del state.finished[key]
        for key, outcomes in list(state.early.items()):
            left = [outcome for outcome in outcomes if outcome[0] >= watermark]
            state.unknown += len(outcomes) - len(left)
            if left:
                state.early[key] = left
            else:
                del state.early[key]
        return examples

    def _count(self, state: LabelState, waiting: Waiting, moment: int, amount: float) -> None:
        """Count an outcome for an exposure that waits, unless its time is over or not begun."""
        if moment > waiting.shown + self._within:
            state.after_within += 1
        elif moment >= waiting.shown:
            waiting.amounts.append(amount)

    def _label(self, amounts: list[float]) -> float:
        """Return a row's label: 0 or 1, or the sum of its outcomes up to the cap."""
        if not self._is_number:
            return 1 if amounts else 0
        total = math.fsum(amounts)
        return total if self._at_most is None else min(total, float(self._at_most))


def amount_of(row: Mapping[str, object], attribute: str | None) -> float:
    """Return what an outcome adds to its exposure's label; a null adds nothing."""
    if attribute is None:
        return 1.0
    value = row[attribute]
    return float(value) if isinstance(value, int | float) else 0.0
