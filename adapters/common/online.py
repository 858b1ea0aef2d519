"""Changes of an online view's features, and SQL for the newest rows of its entities. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...errors import Invalid, NotFound
from ...events.port import Column
from .warehouse.conformance import arrow_schema
from .warehouse.relations import quoted

if TYPE_CHECKING:
    import pyarrow as pa

    from ...feature_store.port import OnlineViewSpec


def merged(view: str, old: Sequence[Column], new: Sequence[Column]) -> tuple[Column, ...]:
    """Return an online view's features after a change: the old ones, then those that are new.

    Raises Invalid if the change drops a feature of the view or gives it another type.
    """
    declared = {feature.name: feature for feature in new}
    for feature in old:
        now = declared.get(feature.name)
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
    old_names = {feature.name for feature in old}
    return (*old, *(feature for feature in new if feature.name not in old_names))


def latest_sql(history: str, own: Sequence[str], features: Sequence[Column], condition: str) -> str:
    """Return SQL for the newest row of every entity in a history table.

    Args:
        history: The table.
        own: Columns to select before the features.
        features: The features to select.
        condition: An SQL condition that rows must fulfil.
    """
    names = ", ".join([*own, *(quoted(feature.name) for feature in features)])
    return (
        f"SELECT {names} FROM (SELECT {names}, row_number() OVER (PARTITION BY entity_key "
        f"ORDER BY event_timestamp DESC, created_timestamp DESC) AS isthmus_newest FROM {history} "
        f"WHERE {condition}) AS isthmus_ranked WHERE isthmus_newest = 1"
    )


def put_rows(view: OnlineViewSpec, served: Sequence[Column], rows: pa.Table) -> pa.Table:
    """Return rows for `OnlineStore.put` with the columns of their view, in its order and types.

    Args:
        view: The view as its writer knows it.
        served: The features that the store has of it.
        rows: The rows.

    Raises:
        Invalid: The rows lack a column or have one too many, a value has another type, or the store
            has not yet a feature of the view.
    """
    import pyarrow as pa

    columns = (
        Column(name="entity_key", type="string"),
        Column(name="feature_timestamp", type="timestamp"),
        *view.features,
    )
    names = [column.name for column in columns]
    if sorted(names) != sorted(rows.column_names):
        differ = ", ".join(sorted(set(names) ^ set(rows.column_names)))
        raise Invalid(
            f"online view {view.name}: its rows have not the columns of the view ({differ})"
        )
    if absent := {feature.name for feature in view.features} - {column.name for column in served}:
        raise Invalid(
            f"online view {view.name} does not have {', '.join(sorted(absent))} yet",
            remedy="`isthmus apply` adds what a view lacks",
        )
    try:
        return rows.select(names).cast(arrow_schema(columns))
    except pa.ArrowException as error:
        raise Invalid(f"online view {view.name}: {str(error).splitlines()[0]}") from error


def not_found(view: str) -> NotFound:
    """Return the error for an online view that does not exist."""
    return NotFound(
        f"there is no online view {view}",
        remedy="`isthmus apply` makes the views that the project declares",
    )
