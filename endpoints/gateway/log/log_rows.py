"""Rows that an answer leaves in the streams (streams.py). Pure."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from ....events.port import Row
from ....feature_store.joins.view_history import entity_key
from ..decide.assignment import Assignment, UnitDecision
from ..rank.draft import Arranged
from ..rank.ranking import ShownItem
from ..request.request import RankRequest
from .scored_rows import ScoredRows

_encode = msgspec.json.Encoder().encode
_AND = "+"  # in no variant's name


class LoggedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One answer, with the values that its rows share."""

    request_id: str  # <gateway's process>-<number>
    moment: datetime  # the project's clock
    endpoint: str
    unit: str
    by: tuple[
        tuple[str, str], ...
    ]  # variant and model@version that ranked it; of an interleaved answer both
    entity: str
    explored: bool
    decision: UnitDecision
    config: int | None  # version of the live document; None: nobody knew it

    @property
    def variant(self) -> str:
        """Return the variant that scored the answer, or both variants of an interleaved one."""
        return _AND.join([variant for variant, _ in self.by])

    @property
    def version(self) -> str:
        """Return the model version that scored the answer, or both of an interleaved one."""
        return _AND.join([version for _, version in self.by])

    def shared(self) -> dict[str, object]:
        """Return the columns that an answer's rows in `exposures` and `rankings` have in common."""
        return {
            "event_timestamp": self.moment,
            "endpoint": self.endpoint,
            "unit": self.unit,
            "variant": self.variant,
            "version": self.version,
            "entity": self.entity,
            "explored": self.explored,
            "assignments": self.decision.logged_arms,
            "parameters": self.decision.logged,
            "config": self.config,
        }


def exposure_id(request_id: str, position: int) -> str:
    """Return the event id of one shown item: the request's id and the item's position."""
    return f"{request_id}-{position}"


def exposures(
    answered: LoggedAnswer, places: Sequence[ShownItem], scored: ScoredRows | None = None
) -> list[Row]:
    """Return the rows of `exposures` for an answer: one for each shown item.

    `scored` are the rows that the items were scored by, where the endpoint logs them.
    """
    shared = answered.shared()
    rows: list[Row] = [
        {
            "event_id": exposure_id(answered.request_id, place.position),
            **shared,
            "entity_key": entity_key(place.item),
            "position": place.position,
            "score": place.score,
            "propensity": place.propensity,
            **_pick_columns(answered, place),
        }
        for place in places
    ]
    if scored is not None:
        rows = [
            {**row, "features": text, "scored_by": answered.by[place.by][1]}
            for row, text, place in zip(rows, scored.texts, places, strict=True)
        ]
    return rows


def _pick_columns(answered: LoggedAnswer, place: ShownItem) -> dict[str, object]:
    """Return the columns that name the variant that picked an interleaved item, and its credit.

    They are empty for an answer of a single variant.
    """
    duel = answered.decision.duel
    if len(answered.by) == 1 or duel is None:
        return {}
    variant, version = answered.by[place.by]
    return {
        "variant": variant,
        "version": version,
        "credit": credit(duel.run, variant) if place.credited else None,
    }


def is_interleaved(variant: str) -> bool:
    """Return whether a `variant` column of `rankings` names two interleaved variants."""
    return _AND in variant


def credit(run: str, variant: str) -> str:
    """Return, as JSON text, which variant an item of a run's interleaving is credited to.

    It is the column `credit` of `exposures`: an outcome such as a click counts for the variant.
    """
    return _encode({run: variant}).decode()


class RuleEffects(msgspec.Struct, frozen=True):
    """The effects of an endpoint's rules on an answer; by default none."""

    digest: str | None = None  # of the rules as they are written; None: there are none
    eligible: Sequence[int] | None = None  # places among the candidates; None: all
    texts: tuple[str, ...] = ()
    arranged: Arranged | None = None  # of two variants that were drafted under rules


def attributes_of(context: Mapping[str, Any], names: Iterable[str]) -> str | None:
    """Return a request's values of these attributes as JSON text, or None if it has none."""
    values = {name: context[name] for name in names if context.get(name) is not None}
    return _encode(values).decode() if values else None


def ranking(
    answered: LoggedAnswer,
    request: RankRequest,
    orders: Sequence[Sequence[int]],
    overruled: RuleEffects,
    attributes: str | None,
    *,
    explore: float,
    milliseconds: float,
) -> Row:
    """Return the row of the log stream `rankings` for one answer.

    `orders` are the candidates in the model's order (for an interleaved answer, in that of both),
    `overruled` which rules changed it, and `explore` the probability of a random order.
    """
    gateway, _, number = answered.request_id.rpartition("-")
    return {
        "event_id": answered.request_id,
        **answered.shared(),
        "gateway": gateway,
        "sequence": int(number),
        "candidates": _encode(request.candidates).decode(),
        "model_order": _encode(orders[0]).decode(),
        "explore": explore,
        "milliseconds": milliseconds,
        "eligible": None if overruled.eligible is None else _encode(overruled.eligible).decode(),
        "rules": _encode(overruled.texts).decode() if overruled.texts else None,
        "rules_digest": overruled.digest,
        "attributes": attributes,
        "slots": request.slots,
        "request": _encode({**request.keys, **request.context}).decode(),
        **({"rival_order": _encode(orders[1]).decode()} if len(orders) > 1 else {}),
        **({"arranged": _encode(overruled.arranged).decode()} if overruled.arranged else {}),
    }


def assignment(
    assigned: Assignment,
    unit: str,
    endpoint: str,
    *,
    config: int,
    moment: datetime,
    segments: Sequence[str],
    context: Mapping[str, Any],
) -> list[Row]:
    """Return the rows of the log stream `assignments` for a unit's arm in one run.

    There is one row, and one more for each of the `segments` (attributes of a request) that
    `context` has. `config` is the live document's version.
    """
    row = {
        "event_timestamp": moment,
        "run": assigned.run,
        "endpoint": endpoint,
        "layer": assigned.layer,
        "unit": unit,
        "arm": assigned.arm,
        "reason": assigned.reason,
        "config": config,
    }
    segment_texts = [
        "",
        *(f"{name}={_text(context[name])}" for name in segments if context.get(name) is not None),
    ]
    return [
        {"event_id": f"a-{secrets.token_hex(12)}", **row, "segment": segment}
        for segment in segment_texts
    ]


def _text(value: object) -> str:
    """Return a value as JSON text; a string is returned as it is, without quotes."""
    return value if isinstance(value, str) else _encode(value).decode().strip('"')
