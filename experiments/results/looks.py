"""The looks at a run that were taken: a plan spends its five percent over them.

They are stored as `experiments/<run>/looks`, by compare-and-swap.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

import msgspec
from msgspec.structs import replace

from ...core.formats import StoredDocument, decode
from ...errors import Conflict
from ...storage import StateStore
from ..statistics.inference import NEW, closing_look

_TRIES = 5


class Look(msgspec.Struct, frozen=True, array_like=True):
    """A look at a run.

    `until`: what happened before it was counted. `units`: of all arms, complete.
    """

    until: datetime
    units: int


class Looks(StoredDocument, frozen=True, kw_only=True, tag=2):
    """The looks at a run, and the size of its plan.

    `planned`: units of all arms that the smallest effect of the plan needs, by the first look that
    could tell. None: none yet.

    `information`: by a look's `until` and metric, one over the variance of what it compared; looks
    of earlier versions do not say it.
    """

    planned: int | None = None
    looks: tuple[Look, ...] = ()
    information: dict[datetime, dict[str, float]] = {}

    @property
    def closed(self) -> Look | None:
        """Return the look at a run's results that completed its plan, and so is final; or None."""
        number = (
            closing_look([look.units for look in self.looks], self.planned)
            if self.planned
            else None
        )
        return None if number is None else self.looks[number]

    def until(self, moment: datetime) -> Looks:
        """Return the looks recorded by a moment, with the size of the plan."""
        return replace(self, looks=tuple(look for look in self.looks if look.until <= moment))

    def earlier(self, moment: datetime) -> tuple[Look, ...]:
        """Return the looks at a run's results before a moment."""
        return tuple(look for look in self.looks if look.until < moment)

    def repeated(self, units: int) -> Look | None:
        """Return the last look if too few units have come since for another one, else None."""
        last = self.looks[-1] if self.looks else None
        return (
            last if last is not None and not _is_new_look(units, last.units, self.planned) else None
        )

    def with_look(self, look: Look, planned: int | None, information: Mapping[str, float]) -> Looks:
        """Return the looks at a run's results with one more, if it adds enough new units.

        Args:
            look: The look.
            planned: The planned number of units, if this look can tell it.
            information: The statistical information on each metric at this look.
        """
        after = replace(self, planned=self.planned or planned)
        last = self.looks[-1].units if self.looks else 0
        if not _is_new_look(look.units, last, after.planned):
            return after
        return replace(
            after,
            looks=(*self.looks, look),
            information=self.information | {look.until: dict(information)},
        )


def _is_new_look(units: int, last: int, planned: int | None) -> bool:
    """Return whether so many units have come since the last recorded look to record another.

    Args:
        units: The units of this look.
        last: The units of the last look.
        planned: The units of the plan, if it is known.
    """
    return units - last >= max(1, NEW * (planned or last))


def key(run: str) -> str:
    """Return the key, in the state store, of the recorded looks at a run's results."""
    return f"experiments/{run}/looks"


def read(state: StateStore, run: str) -> Looks:
    """Return the recorded looks at a run's results, which sequential tests account for."""
    return _load(state, run)[0]


def record(state: StateStore, run: str, change: Callable[[Looks], Looks]) -> Looks:
    """Change the stored looks at a run's results by a function, and return them.

    Raises:
        Conflict: Others looked at the same time, again and again.
    """
    for _ in range(_TRIES - 1):
        try:
            return _record(state, run, change)
        except Conflict:  # somebody else looked: on top of that one
            continue
    return _record(state, run, change)


def _record(state: StateStore, run: str, change: Callable[[Looks], Looks]) -> Looks:
    """Change the stored looks at a run's results once.

    It raises Conflict if somebody else looked meanwhile.
    """
    stored, token = _load(state, run)
    after = change(stored)
    if after != stored:
        state.put(key(run), msgspec.json.encode(after), expect=token)
    return after


def _load(state: StateStore, run: str) -> tuple[Looks, str | None]:
    """Return the stored looks at a run's results, and the token that a change must name."""
    document = state.get(key(run))
    if document is None:
        return Looks(), None
    return decode(document.value, Looks, what=f"state {key(run)}"), document.token
