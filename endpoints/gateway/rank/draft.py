"""Team-draft interleaving: two rankings of the same candidates as one order, each item credited to
who picked it. Pure.

After Radlinski, Kurup, Joachims (CIKM 2008), a lane of places (ranking.py) at a time, round by
round. In a round both rankings pick their best candidate that is still free. Is it the same one, it
is placed and credits nobody. Else a coin says whose pick stands first, and each
is credited with its own. So what a round places does not depend on its coin, only the order does:
each of the two stands first with probability 1/2, and whoever clicks by place alone credits both
alike. Where two picks want the last place of a group under a cap, or the last place of the lane,
the coin's winner alone stands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec

from ..decide.assignment import bucket
from .ranking import Arrangement, Lane

Coin = Callable[
    [int], bool
]  # of a round of the answer, from 0: whether the first ranking picks first
_EVEN = 5_000  # of 10,000 buckets


class Round(msgspec.Struct, frozen=True):
    """Candidates, by the first ranking and by the second. `places`: how many of them stand."""

    first: int
    second: int
    places: int

    @property
    def shared(self) -> bool:
        return self.first == self.second


class Pick(msgspec.Struct, frozen=True, kw_only=True):
    """`number`: of the place in its lane, from 0.

    `by`: 0 the first ranking, 1 the second; of what both would pick the coin's winner.
    """

    number: int
    candidate: int
    by: int
    credited: bool


class LanePair(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A lane as both rankings arrange it."""

    places: Sequence[int]
    first: Sequence[int]
    second: Sequence[int]
    groups: Sequence[tuple[Sequence[int], int]] = ()

    @property
    def lanes(self) -> tuple[Lane, Lane]:
        """As far as a draft reads them."""
        groups = tuple(self.groups)
        first, second = (
            Lane(places=self.places, arranged=of, members=len(of), groups=groups)
            for of in (self.first, self.second)
        )
        return first, second


class Arranged(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What rules made of both rankings, as `rankings` logs it: with the coins it gives the draft.

    `pins`: place -> candidate.
    """

    lanes: Sequence[LanePair]
    pins: Mapping[int, int] = {}


def paired(first: Arrangement, second: Arrangement) -> Arranged:
    pairs = [
        LanePair(
            places=list(own.places), first=own.arranged, second=other.arranged, groups=own.groups
        )
        for own, other in zip(first.lanes, second.lanes, strict=True)
    ]
    return Arranged(lanes=pairs, pins=first.pins)


def coins(salt: str, request_id: str) -> Coin:
    """Those of an answer: by the hash of assignments (assignment.py), so that whoever has the log
    can say them again.
    """
    return lambda number: bucket("coin", salt, f"{request_id}:{number}") < _EVEN


def rounds(first: Lane, second: Lane) -> Iterator[Round]:
    """Of one lane as two models arrange it: the same places, candidates and quotas.

    As many as fill its places.
    """
    closed: set[int] = set()
    group_of = {at: number for number, (members, _) in enumerate(first.groups) for at in members}
    left, room = [quota for _, quota in first.groups], len(first.places)
    for own, other in zip(
        _open(first.arranged, closed), _open(second.arranged, closed), strict=False
    ):
        if not room:
            return
        group = group_of.get(own)
        contested = group is not None and group == group_of.get(other) and left[group] == 1
        places = min(1 if own == other or contested else 2, room)
        yield Round(own, other, places)
        room -= places
        closed |= {own, other}
        for full in _count_down(
            {group} if contested else [group_of.get(at) for at in {own, other}], left
        ):
            closed.update(first.groups[full][0])


def _open(arranged: Iterable[int], closed: set[int]) -> Iterator[int]:
    return (at for at in arranged if at not in closed)


def _count_down(groups: Iterable[int | None], left: list[int]) -> Iterator[int]:
    """One of each group more; those that are full by it."""
    for group in groups:
        if group is not None:
            left[group] -= 1
            if not left[group]:
                yield group


def draft(first: Lane, second: Lane, coin: Coin, *, begins: int = 0) -> tuple[list[Pick], int]:
    """The lane's places in their order, and the number of the next round.

    `begins`: that of this lane's first.
    """
    picks: list[Pick] = []
    for of in rounds(first, second):
        pair = ((of.first, 0), (of.second, 1)) if coin(begins) else ((of.second, 1), (of.first, 0))
        picks += [
            Pick(number=len(picks) + at, candidate=candidate, by=by, credited=not of.shared)
            for at, (candidate, by) in enumerate(pair[: of.places])
        ]
        begins += 1
    return picks, begins


def chances(first: Lane, second: Lane) -> dict[tuple[int, int], float]:
    """How likely the draft has a candidate at a place of the lane: by (number of the place,
    candidate). What is not there has none.
    """
    likely: dict[tuple[int, int], float] = {}
    number = 0
    for of in rounds(first, second):
        for at in range(of.places):
            likely |= dict.fromkeys(
                [(number + at, of.first), (number + at, of.second)], 1.0 if of.shared else 0.5
            )
        number += of.places
    return likely
