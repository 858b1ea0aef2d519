"""Events of the catalogue that a product sends to the gateway.

They are judged as `emit` judges them, and stored when the answer says so.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence

import msgspec

from ....core.runtime.project import Project
from ....errors import IsthmusError
from ....events.intake.emit import emit
from ....events.port import Row
from ....project.reading.names import did_you_mean

MOST = 1_000  # events of a request
_SCALARS = (str, int, float, type(None))


class Rejection(msgspec.Struct, frozen=True, kw_only=True):
    index: int  # of the event in the request, from 0
    reason: str


class Tracked(msgspec.Struct, frozen=True, kw_only=True):
    """The result of storing tracked events.

    `error`: of the target; the events that it did not take are among the rejected, and may be sent
    again under their event_id.
    """

    accepted: int
    rejected: tuple[Rejection, ...]
    error: IsthmusError | None = None


def track(project: Project, events: Sequence[object]) -> Tracked:
    """Check and store events that a client sent; return which were accepted.

    An event without event_id or event_timestamp gets a new id and the present time.
    """
    reasons: dict[int, str] = {}
    rows: dict[str, dict[int, Row]] = {}
    for index, event in enumerate(events):
        row = _event_row(project, event)
        if isinstance(row, str):
            reasons[index] = row
        else:
            rows.setdefault(str(row["event"]), {})[index] = {
                name: value for name, value in row.items() if name != "event"
            }
    error = None
    for name, some in rows.items():
        try:
            refused = emit(project, name, list(some.values()))
            reasons |= {list(some)[rejection.index]: rejection.reason for rejection in refused}
        except IsthmusError as failure:
            error = failure
            reasons |= dict.fromkeys(some, f"not stored: {failure}")
    rejected = tuple(Rejection(index=index, reason=reasons[index]) for index in sorted(reasons))
    return Tracked(accepted=len(events) - len(rejected), rejected=rejected, error=error)


def _event_row(project: Project, event: object) -> Row | str:
    """Return a client's event as a row with an id and a time, or a text on why it is invalid."""
    if not isinstance(event, Mapping):
        return "is not an object"
    name = event.get("event")
    if not isinstance(name, str) or name not in project.spec.events:
        hint = (
            did_you_mean(name, project.spec.events, has="there is")
            if isinstance(name, str) and len(name) <= 100
            else None
        )
        return f"has no event of the catalogue{f' ({hint})' if hint else ''}"
    if nested := next(
        (key for key, value in event.items() if not isinstance(value, _SCALARS)), None
    ):
        return f"{nested[:100]} is not a scalar"
    return {"event_id": f"t-{secrets.token_hex(12)}", "event_timestamp": project.now(), **event}
