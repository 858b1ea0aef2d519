"""Group refused rows by rule: how many they are, of which time, and what to change."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from ...project.specs.description import Event, ParsedProject

if TYPE_CHECKING:
    import pyarrow as pa

MOST = 20  # of a report; the quarantine has them all


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """Rows that were refused by one rule.

    The reason is in the row's own words where these are the same in all of them; `line` is set when
    it is one row.
    """

    count: int
    attribute: str
    reason: str
    line: int | None = None
    first: datetime | None = (
        None  # the earliest and latest event_timestamp, UTC, of what was refused for it
    )
    last: datetime | None = None
    remedy: str = ""
    # the first of the rows: its file, its line there, its own words
    first_source: str = ""
    first_line: int | None = None
    first_reason: str = ""
    key: str = ""  # in project.yaml, where the rule is a choice of the project's


class Tally:
    """A count of refused rows by rule.

    Tables with the columns REFUSED are added one after another.
    """

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
        self.rows = 0

    def add(self, refused: pa.Table) -> None:
        """Count a table of refused rows by attribute, rule, and the setting that has the rule."""
        self.rows += refused.num_rows
        keys = ["attribute", "rule", "key"]
        ends: Any = [
            (column, end) for column in ("reason", "event_timestamp") for end in ("min", "max")
        ]
        firsts: Any = [(column, "first") for column in ("source", "line", "reason")]
        for row in (
            refused.group_by(keys, use_threads=False)
            .aggregate([("reason", "count"), *firsts, *ends])
            .to_pylist()
        ):
            self._counts.setdefault((row["attribute"], row["rule"], row["key"]), []).append(row)

    def reasons(
        self, description: ParsedProject, event: Event, *, first_ingest: bool
    ) -> tuple[Reason, ...]:
        """Return the reasons for refusals, most frequent first; the last one sums up the rare ones.

        `first_ingest` says that the event has no stored rows yet, which changes the hints.
        """
        reasons = [
            _reason(rule, rows, _remedy(description, event, rule[2], first_ingest=first_ingest))
            for rule, rows in self._counts.items()
        ]
        reasons.sort(key=lambda reason: -reason.count)
        rest = reasons[MOST:]
        if not rest:
            return tuple(reasons)
        others = Reason(
            count=sum(reason.count for reason in rest),
            attribute="",
            reason=f"{len(rest)} other reasons",
        )
        return (*reasons[:MOST], others)


def _reason(keys: tuple[str, str, str], parts: list[dict[str, Any]], remedy: str) -> Reason:
    """Return a reason for which rows were refused: count, first row and range of times.

    `keys` are the attribute, the rule and its setting; `parts` the counts of single tables.
    """
    attribute, rule, key = keys
    count = sum(row["reason_count"] for row in parts)
    words = {row[end] for row in parts for end in ("reason_min", "reason_max")}
    timed = [
        row
        for row in parts
        if attribute == "event_timestamp" and row["event_timestamp_min"] is not None
    ]
    return Reason(
        count=count,
        attribute=attribute,
        reason=words.pop() if len(words) == 1 else rule,
        line=parts[0]["line_first"] if count == 1 else None,
        first=min((row["event_timestamp_min"] for row in timed), default=None),
        last=max((row["event_timestamp_max"] for row in timed), default=None),
        remedy=remedy,
        first_source=parts[0]["source_first"] or "",
        first_line=parts[0]["line_first"],
        first_reason=parts[0]["reason_first"],
        key=key,
    )


def _remedy(description: ParsedProject, event: Event, key: str, *, first_ingest: bool) -> str:
    """Return a hint on which setting in project.yaml would admit a refused row; "" if none.

    `key` names the setting that has the rule.
    """
    if not key:
        return ""
    path = f"events.{event.name}.{key}"
    place = next(
        (description.places[p] for p in (path, f"events.{event.name}") if p in description.places),
        None,
    )
    where = f"{path} ({place.file}, line {place.line})" if place else path
    if key == "max_ahead":
        return f"they wait and are tried again; or raise {where}"
    return (
        f"a back-fill is taken by --backfill; or raise {where}"
        if first_ingest
        else f"raise {where}"
    )
