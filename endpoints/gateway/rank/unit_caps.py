"""Caps per unit and the store that counts for them: reading counts and adding answers.

The store may be away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import final

import msgspec

from ....core.runtime.project import Project
from ....errors import IsthmusError
from ....project.endpoints.rules import counts_units
from ....project.specs.description import Endpoint
from ....project.specs.rules import Rule, UnitCap
from ..decide import caps as capping
from ..decide.breaker import Breaker
from ..processes.tally import Tally
from .arrangement import Candidates
from .ranking import ShownItem


class CapCounts(msgspec.Struct, frozen=True, kw_only=True):
    """The counts that one request is judged by.

    Without caps that hold for it nothing is read and nothing is added.
    """

    caps: tuple[UnitCap, ...] = ()
    before: Mapping[
        UnitCap, Mapping[str, int]
    ] = {}  # by cap and value: answers that showed it; absent where nobody could tell
    gone: Sequence[str] = ()  # names in the unit's document that count no more
    problems: tuple[str, ...] = ()


_NOTHING = CapCounts()


@final
class Counting:
    """The reader and writer of an endpoint's counts per unit. Many threads may call it."""

    def __init__(self, project: Project, endpoint: Endpoint, tally: Tally) -> None:
        """Raise Unsupported if the rules count and the target cannot."""
        self._project = project
        self._endpoint = endpoint.name
        self._tally = tally
        self._counters = Breaker(project.target.counters) if counts_units(endpoint) else None
        self._every = capping.caps_of(endpoint.rules)

    @property
    def problem(self) -> str:
        """Return why frequency caps are not checked now; "" if they are."""
        error = None if self._counters is None else self._counters.away
        return (
            ""
            if error is None
            else _error_text("caps per unit are not checked, the store is away", error)
        )

    def end(self) -> None:
        """Stop the thread that probes an unreachable store of counts."""
        if self._counters is not None:
            self._counters.end()

    def read(self, rules: Sequence[Rule], unit: str, now: datetime) -> CapCounts:
        """Read how often a unit was shown each item, for the frequency caps among the rules."""
        caps = capping.caps_of(rules)
        if self._counters is None or not caps:
            return _NOTHING
        try:
            counts = self._counters.get(self._endpoint, unit)
        except IsthmusError as error:
            return CapCounts(
                caps=caps, problems=(_error_text("caps per unit were not checked", error),)
            )
        judged = capping.judge(caps, counts, now)
        return CapCounts(caps=caps, before=judged.before, gone=judged.gone)

    def add(
        self,
        counted: CapCounts,
        unit: str,
        candidates: Candidates,
        places: Sequence[ShownItem],
        moment: datetime,
    ) -> tuple[str, ...]:
        """Add an answer's items to the unit's stored counts; return problems as text.

        `counted` are the counts that were read for the request, `places` the shown items. It is
        done before the answer is sent: every answer that is received counts, and so does one that
        gets lost.
        """
        if not counted.caps:
            return ()
        read_of = dict(zip(candidates.items, candidates.features, strict=True))
        amounts = capping.entries(counted.caps, [read_of[place.item] for place in places], moment)
        problems = (*counted.problems, *self._add(counted, unit, amounts))
        if problems:
            self._tally.uncapped()
        return problems

    def _add(self, counted: CapCounts, unit: str, amounts: Mapping[str, int]) -> tuple[str, ...]:
        """Write new counts of shown items to the store; return its problems as text.

        `counted` are the counts that were read for the request, and `amounts` what is added.
        """
        if self._counters is None or not amounts:
            return ()
        # by every cap: what one that does not hold for this request has counted stands in the same
        # document
        until = capping.needed_until(self._every, self._project.wall())
        try:
            self._counters.add(self._endpoint, unit, amounts, forget=counted.gone, until=until)
        except IsthmusError as error:
            return (_error_text("caps per unit do not count this answer", error),)
        return ()


def _error_text(what: str, error: IsthmusError) -> str:
    """Return a problem as text: what failed, the error and its remedy."""
    return f"{what}: {error}" + (f"; {error.remedy}" if error.remedy else "")
