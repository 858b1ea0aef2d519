"""Whether what an interleaved run showed and credited follows from its log.

Every draft is made once more, of both orders and the coins. Of an answer under rules the log has
what these made of both orders, not the features that they read: the draft is made of that. Where it
has not (of a gateway of earlier versions), or nothing was drafted, the credits alone are looked at:
a place credits the variant that picked it, or nobody.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from ...core.formats import decoder
from ...core.runtime.project import Project
from ...endpoints.gateway.decide.assignment import Interleaving
from ...endpoints.gateway.log.log_rows import credit
from ...endpoints.gateway.log.streams import EXPOSURES, RANKINGS
from ...endpoints.gateway.rank.draft import Arranged, Pick, coins, draft, paired
from ...endpoints.gateway.rank.ranking import Item, plain_arrangement
from ...feature_store.joins.view_history import entity_key
from ...project.specs.experiments import INTERLEAVED
from ..design.runs import FrozenRun

PAGE = 10_000  # answers of one query
_decoder = decoder(Arranged)
EXAMPLES = 5
_ANSWERS = """
SELECT event_id, event_timestamp, assignments, candidates, model_order, rival_order, {arranged},
  slots, eligible, explored FROM rankings
WHERE endpoint = $endpoint AND dt >= $first
AND (event_timestamp > $after OR (event_timestamp = $after AND event_id > $id)) ORDER BY
  event_timestamp, event_id LIMIT {limit}
"""
_PLACES = f"""
SELECT event_id, entity_key, variant, credit FROM {EXPOSURES.name}
WHERE endpoint = $endpoint AND dt >= $first AND dt <= $last AND event_timestamp >= $since AND
  event_timestamp <= $until
"""


class LoggedPlace(msgspec.Struct, frozen=True):
    """A place as an exposure has it.

    `credit`: as `log_rows.credit` writes it, or nobody's.
    """

    item: str  # entity_key
    variant: str
    credit: str | None


class Drafts(msgspec.Struct, frozen=True, kw_only=True):
    """How many drafts were made again, and how many differ.

    Counts are answers to units of the run. Of all but `drafted` the credits alone are looked at.
    `alone`: by one variant, as the other did not answer, or rules allowed no draft.
    """

    drafted: int = 0
    ruled: int = 0
    explored: int = 0
    alone: int = 0
    differ: int = 0  # of all these: other items, or other credits
    examples: tuple[str, ...] = ()

    def __str__(self) -> str:
        ruled = f"{self.ruled:,} under rules of which the log says nothing"
        others = f"{ruled}, {self.explored:,} drawn at random, {self.alone:,} by one variant alone"
        return (
            f"{self.drafted:,} made again of both orders and the coins ({others}: only credits), "
            f"{self.differ:,} differ"
        )


def audit(project: Project, frozen: FrozenRun, first: str, *, page: int = PAGE) -> Drafts:
    """Check a run's logged interleaved rankings by interleaving them again.

    Two variants' rankings are interleaved by a draft: they pick items in turn. Rows from the date
    `first` on are read, `page` at a time.
    """
    experiment = frozen.definition.experiment
    duel = Interleaving(
        run=frozen.run, salt=frozen.salt, variants=experiment.interleave or ("", "")
    )
    return judge(_answers(project, frozen.definition.layer.endpoint, first, page), duel)


def judge(
    answers: Iterable[tuple[Mapping[str, Any], Mapping[int, LoggedPlace]]], duel: Interleaving
) -> Drafts:
    """Compare logged interleaved rankings with the interleaving computed anew.

    Args:
        answers: Rows of `rankings`, each with its logged places by position, from 1.
        duel: The run and its two variants.
    """
    counts, examples = defaultdict[str, int](int), list[str]()
    for row, places in answers:
        if not _is_of_run(row, duel.run):
            continue
        counts[_ranking_kind(row)] += 1
        wrong = _mistake(row, places, duel)
        if wrong:
            counts["differ"] += 1
            examples.append(f"{row['event_id']}: {wrong}")
            del examples[EXAMPLES:]
    return Drafts(**counts, examples=tuple(examples))


def _is_of_run(row: Mapping[str, Any], run: str) -> bool:
    """Return whether a logged ranking was interleaved by this run."""
    return bool(msgspec.json.decode(row["assignments"] or "{}").get(run) == INTERLEAVED)


def _ranking_kind(row: Mapping[str, Any]) -> str:
    """Return how a logged ranking was made: alone, explored, drafted or ruled.

    Alone is by one variant, explored at random, drafted by interleaving two variants, and ruled
    also by rules, which the log does not hold.
    """
    if row["rival_order"] is None:
        return "alone"
    is_whole = row["eligible"] is None or row["arranged"] is not None
    return "explored" if row["explored"] else "drafted" if is_whole else "ruled"


def _mistake(row: Mapping[str, Any], places: Mapping[int, LoggedPlace], duel: Interleaving) -> str:
    """Return a clause on the first logged place that contradicts the interleaving, or "".

    A place whose exposure was lost is not checked.
    """
    kind = _ranking_kind(row)
    expected = _drafted_places(row, duel) if kind == "drafted" else {}
    for position, place in sorted(places.items()):
        if kind == "drafted" and place != expected.get(position):
            return (
                f"place {position} has {_place_text(place)}; the draft has "
                f"{_place_text(expected.get(position))}"
            )
        if place.credit is not None and (
            kind in ("explored", "alone") or place.credit != credit(duel.run, place.variant)
        ):
            return f"place {position} has {_place_text(place)}"
    return ""


def _drafted_places(row: Mapping[str, Any], duel: Interleaving) -> dict[int, LoggedPlace]:
    """Return the item and its credit at each position, when a ranking is interleaved again."""
    items, begins = msgspec.json.decode(row["candidates"]), 0
    arrangement, coin = _arrangement(row), coins(duel.salt, row["event_id"])
    places = {
        place: LoggedPlace(entity_key(items[candidate]), duel.variants[0], None)
        for place, candidate in arrangement.pins.items()
    }
    for pair in arrangement.lanes:
        picks, begins = draft(*pair.lanes, coin, begins=begins)
        places |= {pair.places[pick.number]: _place(pick, items, duel) for pick in picks}
    return places


def _arrangement(row: Mapping[str, Any]) -> Arranged:
    """Return both variants' orders of the items, after the rules, from a logged ranking."""
    if row["arranged"] is not None:
        return _decoder.decode(row["arranged"])
    orders = (msgspec.json.decode(row[order]) for order in ("model_order", "rival_order"))
    return paired(*(plain_arrangement(order, row["slots"]) for order in orders))


def _place(pick: Pick, items: Sequence[Item], duel: Interleaving) -> LoggedPlace:
    """Return the item, the variant and the credit of one pick of an interleaving."""
    variant = duel.variants[pick.by]
    return LoggedPlace(
        entity_key(items[pick.candidate]),
        variant,
        credit(duel.run, variant) if pick.credited else None,
    )


def _place_text(place: LoggedPlace | None) -> str:
    """Return a position's item, variant and credit as text."""
    if place is None:
        return "nothing"
    return f"{place.item} of {place.variant}, which credits {place.credit or 'nobody'}"


def _answers(
    project: Project, endpoint: str, first: str, page: int
) -> Iterator[tuple[Mapping[str, Any], Mapping[int, LoggedPlace]]]:
    """Yield logged rankings by time, each with its positions; a repeated one counts once.

    Rows from the date `first` on are read, `page` at a time.
    """
    query, full = project.target.warehouse.query, True
    answers = _ANSWERS.format(limit=page, arranged=_arranged_column(project))
    after: dict[str, Any] = {"after": datetime.fromisoformat(first).replace(tzinfo=UTC), "id": ""}
    while full:
        day = f"{after['after']:%Y-%m-%d}"
        rows = query(answers, {"endpoint": endpoint, "first": day, **after}).to_pylist()
        full = len(rows) >= page
        if not rows:
            return
        since, until = (rows[index]["event_timestamp"].replace(tzinfo=UTC) for index in (0, -1))
        window = {
            "since": since,
            "until": until,
            "first": f"{since:%Y-%m-%d}",
            "last": f"{until:%Y-%m-%d}",
        }
        places = _places(query(_PLACES, {"endpoint": endpoint, **window}).to_pylist())
        yield from (
            (row, places[row["event_id"]])
            for row in {row["event_id"]: row for row in rows}.values()
        )
        after = {"after": until, "id": rows[-1]["event_id"]}


def _arranged_column(project: Project) -> str:
    """Return the SQL that selects `arranged` of the logged rankings.

    The column has the order of items that each of two interleaved variants had after the rules
    (blocks, boosts, pins) were applied. A table of an older version lacks it until `isthmus apply`
    adds it; NULL is selected then.
    """
    table = project.target.warehouse.observe(RANKINGS.name)
    has = table is not None and any(column.name == "arranged" for column in table.columns)
    return "arranged" if has else "CAST(NULL AS VARCHAR) AS arranged"


def _places(rows: Iterable[Mapping[str, Any]]) -> Mapping[str, Mapping[int, LoggedPlace]]:
    """Group logged exposures by ranking and position, which their ids contain."""
    places: dict[str, dict[int, LoggedPlace]] = defaultdict(dict)
    for row in rows:
        answer, _, position = row["event_id"].rpartition("-")
        places[answer][int(position)] = LoggedPlace(
            row["entity_key"], row["variant"], row["credit"]
        )
    return places
