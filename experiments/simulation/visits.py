"""The visits of simulated visitors: who comes when.

Pure: the same seed and hours give the same people, however often a simulation is stopped and goes
on.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from heapq import heappop, heappush
from itertools import groupby
from math import cos, pi
from random import Random

import msgspec

from ...times import utc_milliseconds
from .simulation import Simulation
from .world import SESSIONS, Fields, World

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LONGEST = timedelta(days=14)  # from a visitor's first visit to the last
_BUSIEST = 20  # o'clock, UTC
_SATURDAY, _WEEKEND, _WORKDAYS = 5, 2, 5


class Visit(msgspec.Struct, frozen=True, order=True):
    """A visit of a simulated visitor."""

    at: datetime
    unit: str
    number: int  # of the visitor's visits, from 0
    bot: bool
    visitor: dict[str, object]

    @property
    def session(self) -> str:
        """Return the name of the visit's session."""
        return f"{self.unit}-{self.number}"


def visits(
    simulation: Simulation,
    world: World,
    unit: str,
    *,
    since: datetime,
    start: datetime,
    end: datetime,
) -> Iterator[Visit]:
    """Yield simulated visits between two times, in the order of their time.

    Args:
        simulation: The simulation.
        world: The simulated visitors and items.
        unit: The attribute that names a visitor.
        since: Only visitors whose first visit is at this time or later take part.
        start: The first moment of a visit.
        end: The moment before which visits begin.
    """
    hour = max(since, start - LONGEST).replace(minute=0, second=0, microsecond=0)
    ahead: list[tuple[datetime, str, int, Visit]] = []  # a heap
    while hour < end:
        for visit in _visits_of_hour(simulation, world, unit, hour):
            if max(since, start) <= visit.at < end:
                heappush(ahead, (visit.at, visit.unit, visit.number, visit))
        hour += HOUR
        while ahead and ahead[0][0] < hour:
            yield heappop(ahead)[-1]


def by_hour(coming: Iterator[Visit], start: datetime, hours: int) -> Iterator[list[Visit]]:
    """Group visits by hour from `start` on, with an empty list for hours without visits."""
    groups = groupby(coming, lambda visit: int((visit.at - start) / HOUR))
    ahead = next(groups, None)
    for hour in range(hours):
        if ahead is None or ahead[0] != hour:
            yield []
            continue
        yield list(ahead[1])
        ahead = next(groups, None)


def _visits_of_hour(
    simulation: Simulation, world: World, unit: str, hour: datetime
) -> Iterator[Visit]:
    """Yield all visits of the visitors whose first visit is in this hour."""
    random = Random(f"{simulation.seed}:{hour:%Y%m%d%H}")  # noqa: S311  a simulation's
    count = int(_expected_visitors(simulation, hour) + random.random())
    for visitor in world.visitors(random, count, f"s{simulation.seed}-{hour:%y%m%d%H}-"):
        bot = simulation.bots is not None and random.random() < simulation.bots.share
        first_visit = hour + random.random() * HOUR
        for number, visited_at in enumerate(
            _times(simulation, random, first_visit, visitor, bot=bot)
        ):
            yield Visit(utc_milliseconds(visited_at), str(visitor[unit]), number, bot, visitor)


def _times(
    simulation: Simulation, random: Random, first_visit: datetime, visitor: Fields, *, bot: bool
) -> list[datetime]:
    """Return the times of a visitor's visits.

    A bot's are within an hour; a person comes about once a day. `random` draws them.
    """
    if bot and simulation.bots is not None:
        return sorted(first_visit + random.random() * HOUR for _ in range(simulation.bots.requests))
    times = [first_visit]
    for _ in range(min(int(visitor.get(SESSIONS, 1)), simulation.sessions) - 1):
        times.append(times[-1] + random.expovariate(1) * DAY)
    return [visited_at for visited_at in times if visited_at < first_visit + LONGEST]


def _expected_visitors(simulation: Simulation, hour: datetime) -> float:
    """Return how many new visitors are expected in an hour.

    It varies by time of day and week; the mean over a week is as the simulation's file says.
    """
    daily = 1 + simulation.daily * cos(2 * pi * (hour.hour - _BUSIEST) / 24)
    weekend = hour.weekday() >= _SATURDAY
    weekly = 1 + simulation.weekly if weekend else 1 - simulation.weekly * _WEEKEND / _WORKDAYS
    return simulation.visitors / 24 * daily * weekly
