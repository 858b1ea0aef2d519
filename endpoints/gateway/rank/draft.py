"""Team-draft interleaving: one order of two rankings, each item credited to its picker. Pure.

After Radlinski, Kurup, Joachims (CIKM 2008), a lane of places (ranking.py) at a time, round by
round. In a round both rankings pick their best candidate that is still free. If they pick the same
one, it is placed and credits nobody. Else a coin says whose pick stands first, and each is credited
with its own. So what a round places does not depend on its coin, only the order does: each of the
two stands first with probability 1/2, and a user who clicks by place alone credits both alike.
Where two picks want the last place of a group under a cap, or the last place of the lane, the
coin's winner alone stands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec

from ..decide.assignment import bucket
from .ranking import Arrangement, ReservedPlaces

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
        """Whether both variants pick the same item in this round."""
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
    def lanes(self) -> tuple[ReservedPlaces, ReservedPlaces]:
        """Return the two rankings' lanes: the same places, each with its own order of items."""
        groups = tuple(self.groups)
        first, second = (
            ReservedPlaces(
                places=self.places, arranged=arranged, members=len(arranged), groups=groups
            )
            for arranged in (self.first, self.second)
        )
        return first, second


class Arranged(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The arrangements of both rankings under the rules, as `rankings` logs them.

    Together with the coins they give the draft. `pins`: place -> candidate.
    """

    lanes: Sequence[LanePair]
    pins: Mapping[int, int] = {}


def paired(first: Arrangement, second: Arrangement) -> Arranged:
    """Combine two variants' rankings of the same candidates, so that they can be interleaved."""
    pairs = [
        LanePair(
            places=list(own.places), first=own.arranged, second=other.arranged, groups=own.groups
        )
        for own, other in zip(first.lanes, second.lanes, strict=True)
    ]
    return Arranged(lanes=pairs, pins=first.pins)


def coins(salt: str, request_id: str) -> Coin:
    """Return a function that says by a fixed coin which variant picks first in a round.

    The coin is a hash of `salt` and `request_id`, so that a reader of the log can toss it again.
    """
    return lambda number: bucket("coin", salt, f"{request_id}:{number}") < _EVEN


def rounds(first: ReservedPlaces, second: ReservedPlaces) -> Iterator[Round]:
    """Yield the rounds in which two rankings pick items in turn, until a lane's places are full.

    A lane is places that a set of candidates competes for. Both lanes have the same places,
    candidates and quotas.
    """
    closed: set[int] = set()
    group_of = {
        candidate: number
        for number, (members, _) in enumerate(first.groups)
        for candidate in members
    }
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
            {group} if contested else [group_of.get(candidate) for candidate in {own, other}], left
        ):
            closed.update(first.groups[full][0])


def _open(arranged: Iterable[int], closed: set[int]) -> Iterator[int]:
    """Yield the candidates of a ranking that are not in the set `closed`."""
    return (candidate for candidate in arranged if candidate not in closed)


def _count_down(groups: Iterable[int | None], left: list[int]) -> Iterator[int]:
    """Lower the remaining quota of each group by one; yield the groups whose quota is used up.

    `left` has the quota by group, and is changed.
    """
    for group in groups:
        if group is not None:
            left[group] -= 1
            if not left[group]:
                yield group


def draft(
    first: ReservedPlaces, second: ReservedPlaces, coin: Coin, *, begins: int = 0
) -> tuple[list[Pick], int]:
    """Interleave two rankings of the same places; return the picks and the next round's number.

    A pick says which of the two rankings chose which item for a place. `coin` says which one picks
    first in a round; `begins` is the number of the first round.
    """
    picks: list[Pick] = []
    for pair_round in rounds(first, second):
        pair = (
            ((pair_round.first, 0), (pair_round.second, 1))
            if coin(begins)
            else ((pair_round.second, 1), (pair_round.first, 0))
        )
        picks += [
            Pick(
                number=len(picks) + offset,
                candidate=candidate,
                by=picker,
                credited=not pair_round.shared,
            )
            for offset, (candidate, picker) in enumerate(pair[: pair_round.places])
        ]
        begins += 1
    return picks, begins


def chances(first: ReservedPlaces, second: ReservedPlaces) -> dict[tuple[int, int], float]:
    """Return the probability that team-draft interleaving shows a candidate at a place.

    Args:
        first: One variant's ranking of the candidates for these places.
        second: The other variant's.

    Returns:
        The probability by (number of the place, index of the candidate in the request); 0 for a
        pair that is absent.
    """
    likely: dict[tuple[int, int], float] = {}
    number = 0
    for pair_round in rounds(first, second):
        for offset in range(pair_round.places):
            likely |= dict.fromkeys(
                [(number + offset, pair_round.first), (number + offset, pair_round.second)],
                1.0 if pair_round.shared else 0.5,
            )
        number += pair_round.places
    return likely
