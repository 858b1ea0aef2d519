"""The answers of an endpoint's gateways as they were logged, in pages.

What was asked, what was shown, and what became of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from ...core.runtime.project import Project
from ...endpoints.gateway.log.log_rows import is_interleaved
from ...endpoints.gateway.log.streams import EXPOSURES, RANKINGS
from ...project.specs.reach import EXPOSURE_ID

PAGE = 10_000  # answers of one query
OF_RANKINGS = (
    "event_id", "event_timestamp", "unit", "variant", "entity", "candidates", "slots", "request",
    "eligible", "explore", "parameters", "rules_digest",
)  # fmt: skip
OF_EXPOSURES = ("event_id", "entity_key", "position", "propensity")
_ANSWERS = f"""
SELECT {", ".join(OF_RANKINGS)} FROM {RANKINGS.name}
WHERE endpoint = $endpoint AND dt >= $first AND event_timestamp >= $since AND event_timestamp <
  $until
AND (event_timestamp > $after OR (event_timestamp = $after AND event_id > $id)) ORDER BY
  event_timestamp, event_id LIMIT {{limit}}
"""
_SHOWN = f"""
SELECT {", ".join(OF_EXPOSURES)}, coalesce(reward, 0) AS reward FROM {EXPOSURES.name} AS
  isthmus_shown
LEFT JOIN (SELECT {EXPOSURE_ID} AS isthmus_id, {{together}}(outcome) AS reward FROM {{objective}}
  WHERE dt >= $first AND created_timestamp <= $known GROUP BY {EXPOSURE_ID}) AS isthmus_outcome
ON isthmus_outcome.isthmus_id = isthmus_shown.event_id
WHERE endpoint = $endpoint AND dt >= $first AND dt <= $last AND event_timestamp >= $since AND
  event_timestamp <= $until
"""


class Place(msgspec.Struct, frozen=True):
    """A place: what was shown there, and the objective's outcome, 0 where none is known."""

    item: str  # entity_key
    position: int
    propensity: float
    reward: float


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer of a gateway.

    `slots`, `request` None: a gateway of earlier versions did not log them.
    """

    moment: datetime
    unit: str
    interleaved: bool = False  # one order of two variants
    entity: str
    candidates: list[int | str]
    slots: int | None
    request: dict[str, Any] | None
    eligible: list[int] | None  # None: all
    explore: float
    parameters: dict[str, Any]
    rules_digest: str | None
    places: list[Place]


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """Answers in [since, until), with the outcomes that are known at `known`."""

    since: datetime
    until: datetime
    known: datetime


def answers(
    project: Project, endpoint: str, window: Window, *, page: int = PAGE
) -> Iterator[list[Answer]]:
    """Yield pages of logged rankings by time; a repeated one counts once.

    An item whose exposure was noted several times has the outcomes of all of them: of a rate 0 or
    1, of a number their sum, up to the objective's `at_most`.

    Args:
        project: The project.
        endpoint: The endpoint whose answers are read.
        window: The period of the answers.
        page: Answers of one query.
    """
    query = project.target.warehouse.query
    objective = project.spec.objectives[project.spec.endpoints[endpoint].objective]
    together = "sum" if objective.is_number else "max"
    period = {"endpoint": endpoint, "since": window.since, "until": window.until}
    after: dict[str, Any] = {"after": window.since, "id": ""}
    full = True
    while full:
        first = f"{after['after']:%Y-%m-%d}"
        rows = query(_ANSWERS.format(limit=page), {**period, **after, "first": first}).to_pylist()
        full = len(rows) >= page
        if not rows:
            return
        times = [rows[index]["event_timestamp"].replace(tzinfo=UTC) for index in (0, -1)]
        shown = query(
            _SHOWN.format(objective=objective.name, together=together),
            {
                "endpoint": endpoint,
                "since": times[0],
                "until": times[1],
                "first": f"{times[0]:%Y-%m-%d}",
                "last": f"{times[1]:%Y-%m-%d}",
                "known": window.known,
            },
        )
        places = _places(shown.to_pylist(), objective.at_most)
        yield [
            _answer(row, places[row["event_id"]])
            for row in {row["event_id"]: row for row in rows}.values()
        ]
        after = {"after": times[1], "id": rows[-1]["event_id"]}


def _places(rows: list[dict[str, Any]], at_most: float | None) -> Mapping[str, list[Place]]:
    """Group logged exposures by ranking, whose id is in theirs; `at_most` caps their rewards."""
    places: dict[str, list[Place]] = defaultdict(list)
    for row in {row["event_id"]: row for row in rows}.values():
        answer = row["event_id"].rpartition("-")[0]
        reward = float(row["reward"])
        reward = reward if at_most is None else min(reward, at_most)
        places[answer].append(Place(row["entity_key"], row["position"], row["propensity"], reward))
    return places


def _answer(row: Mapping[str, Any], places: list[Place]) -> Answer:
    """Convert a row of the log and its exposures to a logged ranking."""
    return Answer(
        moment=row["event_timestamp"].replace(tzinfo=UTC),
        unit=row["unit"],
        interleaved=is_interleaved(row["variant"]),
        entity=row["entity"],
        candidates=msgspec.json.decode(row["candidates"]),
        slots=row["slots"],
        request=_decoded(row["request"], None),
        eligible=_decoded(row["eligible"], None),
        explore=row["explore"],
        parameters=_decoded(row["parameters"], {}),
        rules_digest=row["rules_digest"],
        places=places,
    )


def _decoded(text: str | None, nothing: Any) -> Any:
    """Decode JSON text; return `nothing` if there is no text."""
    return nothing if text is None else msgspec.json.decode(text)
