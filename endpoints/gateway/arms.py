"""The arms that a gateway gives one endpoint's units under the present live document.

Each assignment is logged once a day.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, final

from ...events.port import Row
from ...project.specs.description import Endpoint
from ...project.specs.streams import Stream
from .decide.assignment import Assigner, Assignment, UnitDecision
from .decide.live_reader import LiveReader
from .log import log_rows
from .processes.forks import renewed_when_forked

REMEMBERED = 100_000  # units and runs of which a process knows that they are logged; some 25 MB


@final
class Arms:
    """Many threads may ask."""

    def __init__(self, endpoint: Endpoint, reader: LiveReader) -> None:
        self.reader = reader
        self._endpoint = endpoint
        self._defaults = {
            name: parameter.default for name, parameter in endpoint.parameters.items()
        }
        self._assigner = Assigner(None, endpoint.name, self._defaults)
        self._logged = Logged(REMEMBERED)

    def now(self) -> Assigner:
        """Return the assigner, which maps units to arms, for the experiments known at present.

        One answer uses one assigner throughout, so that it cannot mix two states.
        """
        live, split = self.reader.current().value, self.reader.split(self._endpoint.name)
        ranges = split.ranges if split else None
        assigner = self._assigner
        if assigner.live is not live or assigner.split is not ranges:
            assigner = self._assigner = Assigner(live, self._endpoint.name, self._defaults, ranges)
        return assigner

    def unlogged(
        self,
        assigner: Assigner,
        decision: UnitDecision,
        unit: str,
        moment: datetime,
        context: Mapping[str, Any],
    ) -> list[Row]:
        """Return log rows for a unit's experiment arms that were not logged today, and mark them.

        `decision` has the unit's arms, and `context` the request's attributes.
        """
        if not decision.assignments or assigner.version is None:
            return []
        fresh = self._logged.new(decision.assignments, unit, moment.date())
        return [
            row
            for assigned in fresh
            for row in log_rows.assignment(
                assigned,
                unit,
                self._endpoint.name,
                config=assigner.version,
                moment=moment,
                segments=assigner.segments.get(assigned.run, ()),
                context=context,
            )
        ]

    def lost(self, stream: Stream, rows: Sequence[Row]) -> None:
        """Forget that these assignments were logged, as their rows were lost.

        The unit's next request logs them again; without that, it would be missing from the day's
        results.
        """
        if stream == "assignments":
            self._logged.forget((str(row["unit"]), str(row["run"])) for row in rows)


@final
class Logged:
    """The last `most` units and runs, with the day on which each was logged.

    The longest unused is forgotten, and logged again.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._days: OrderedDict[tuple[str, str], date] = OrderedDict()
        self.renew()
        renewed_when_forked(self)

    def renew(self) -> None:
        """Replace the lock in a forked process, where a thread of the parent may have held it."""
        self._lock = threading.Lock()

    def new(self, assignments: tuple[Assignment, ...], unit: str, day: date) -> list[Assignment]:
        """Return a unit's assignments not yet logged on this day, and mark them as logged."""
        with self._lock:
            fresh = [
                assigned for assigned in assignments if self._days.get((unit, assigned.run)) != day
            ]
            for assigned in assignments:
                self._days[unit, assigned.run] = day
                self._days.move_to_end((unit, assigned.run))
            while len(self._days) > self._most:
                self._days.popitem(last=False)
        return fresh

    def forget(self, units: Iterable[tuple[str, str]]) -> None:
        """Forget that these units, given as pairs (unit, run), were logged today."""
        with self._lock:
            for unit in units:
                self._days.pop(unit, None)
