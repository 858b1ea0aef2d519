"""An online view, whatever keeps its rows: how its features may change, and the SQL of an entity's
latest row. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import Invalid, NotFound
from ...events.port import Column
from .warehouse.relations import quoted


def merged(view: str, old: Sequence[Column], new: Sequence[Column]) -> tuple[Column, ...]:
    """The old features, then those that are new.

    Invalid: one would be dropped, or be of another type.
    """
    wanted = {feature.name: feature for feature in new}
    for feature in old:
        now = wanted.get(feature.name)
        if now is None or now.type != feature.type:
            what = (
                "cannot be dropped"
                if now is None
                else f"is {feature.type} and cannot become {now.type}"
            )
            raise Invalid(
                f"online view {view}: feature {feature.name} {what}",
                remedy=f"make a new view, {view}_v2",
            )
    known = {feature.name for feature in old}
    return (*old, *(feature for feature in new if feature.name not in known))


def latest_sql(history: str, own: Sequence[str], features: Sequence[Column], condition: str) -> str:
    """The newest row of every entity in a history table that `condition` leaves: our `own` columns,
    then the features.
    """
    names = ", ".join([*own, *(quoted(feature.name) for feature in features)])
    return (
        f"SELECT {names} FROM (SELECT {names}, row_number() OVER (PARTITION BY entity_key "
        f"ORDER BY event_timestamp DESC, created_timestamp DESC) AS isthmus_newest FROM {history} "
        f"WHERE {condition}) AS isthmus_ranked WHERE isthmus_newest = 1"
    )


def not_found(view: str) -> NotFound:
    return NotFound(
        f"there is no online view {view}",
        remedy="`isthmus apply` makes the views that the project declares",
    )
