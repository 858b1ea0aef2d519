"""Make training sets of the rows that were logged with exposures: what the model saw, and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from ...core.runtime.project import Project
from ...errors import Invalid
from ...events.port import ColumnType
from ...events.tables.column_types import OF_ATTRIBUTE, arrow_type
from ...project.models.logged import logging_endpoints, scored_event
from ...project.specs.description import Model
from ...times import utc_milliseconds
from ..tables.relations import objective_columns
from ..views.sources import view_sources

if TYPE_CHECKING:
    import pyarrow as pa

_LEADING = ("event_id", "event_timestamp", "created_timestamp", "outcome")
_ROWS = 50_000  # that are Python's at a time
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class LoggedSet(msgspec.Struct, frozen=True, kw_only=True):
    """A training set of logged rows, and how many exposures are not in it."""

    table: Any  # pa.Table: msgspec cannot name a type that is not imported
    unlogged: int = 0  # without a row: logged before log_features, or too large
    lacking: int = 0  # whose row lacks a feature: scored before a variant read it

    @property
    def left_out(self) -> str:
        """Return text on the exposures that are not in the training set, or ""."""
        return ", ".join(
            f"{number:,} {why}"
            for number, why in (
                (self.unlogged, "without a logged row"),
                (self.lacking, "whose row lacks a feature"),
            )
            if number
        )


def logged_set(
    project: Project, model: Model, *, start: datetime, end: datetime, as_of: datetime
) -> LoggedSet:
    """Return the training set of a model of `features: logged`.

    Its rows are the exposures in [start, end) of the endpoints that log rows for the model, whose
    outcome was known at `as_of`. The values are those that were scored, to the last digit: nothing
    is joined.

    Returns:
        Columns event_id, event_timestamp, created_timestamp, outcome, the attributes of exposures
        but `features`, then the model's features. Where a feature has an attribute's name, such as
        `position`, the feature counts. Sorted by event_timestamp, event_id.

    Raises:
        Invalid: a logged value is not of its feature's type.
    """
    objective = project.spec.objectives[model.objective]
    types = _types(project, model)
    names = [
        *_LEADING,
        *(
            column.name
            for column in objective_columns(project.spec, objective)
            if column.name not in (*_LEADING, "features", *types)
        ),
    ]
    logging = [endpoint.name for endpoint in logging_endpoints(model, project.spec.endpoints)]
    start, end, as_of = (utc_milliseconds(moment) for moment in (start, end, as_of))
    named = {f"endpoint_{number}": name for number, name in enumerate(logging)}
    sql = (
        f"SELECT {', '.join(names)}, features FROM {objective.name} WHERE event_timestamp >= "
        "$start_time AND event_timestamp < $end_time AND created_timestamp <= $as_of AND "
        "dt >= $start_date AND dt <= $end_date AND "
        f"endpoint IN ({', '.join(f'${name}' for name in named)}) "
        "ORDER BY event_timestamp, event_id"
    )
    params = {
        "start_time": start,
        "end_time": end,
        "as_of": as_of,
        "start_date": f"{start:%Y-%m-%d}",
        "end_date": f"{end:%Y-%m-%d}",
        **named,
    }
    return _parsed(project.target.warehouse.query(sql, params), names, types)


def _types(project: Project, model: Model) -> dict[str, ColumnType]:
    """Return the column type of each feature of a model, by the feature's name."""
    views = tuple(dict.fromkeys(f.view for f in model.features if f.view is not None))
    sources = view_sources(project.description, views) if views else ()
    of_views: dict[tuple[str, str], ColumnType] = {
        (source.view.name, column.name): column.type
        for source in sources
        for column in source.features
    }
    event = scored_event(model, project.spec)
    attributes: dict[str, ColumnType] = (
        {a.name: OF_ATTRIBUTE[a.type] for a in event.attributes} if event else {}
    )
    types: dict[str, ColumnType] = {}
    for feature in model.features:
        kind = (
            attributes.get(feature.name)
            if feature.view is None
            else of_views.get((feature.view, feature.name))
        )
        if kind is None:
            raise Invalid(
                f"{model.path}: {feature} is no feature any more, and the logged rows have it",
                remedy="take it out of the file of models/ that lists it",
            )
        types[feature.name] = kind
    return types


def _parsed(table: pa.Table, names: Sequence[str], types: Mapping[str, ColumnType]) -> LoggedSet:
    """Return a table with the logged JSON of its column `features` as a column for each feature.

    Rows without it, and rows that lack a feature, are left out and counted.
    """
    import pyarrow as pa

    parts, unlogged, lacking = [], 0, 0
    schema = pa.schema(
        [
            *(table.schema.field(name) for name in names),
            *(pa.field(name, arrow_type(kind)) for name, kind in types.items()),
        ]
    )
    for begin in range(0, table.num_rows, _ROWS):
        part = table.slice(begin, _ROWS)
        texts = part["features"].to_pylist()
        rows = {number: _decode(text) for number, text in enumerate(texts) if text is not None}
        complete = {number: row for number, row in rows.items() if types.keys() <= row.keys()}
        unlogged += len(texts) - len(rows)
        lacking += len(rows) - len(complete)
        part = part.select(list(names)).take(pa.array(complete, pa.int64()))
        for name, kind in types.items():
            values = [row[name] for row in complete.values()]
            part = part.append_column(name, _column(name, kind, values, part))
        parts.append(part.cast(schema))
    return LoggedSet(
        table=pa.concat_tables(parts) if parts else schema.empty_table(),
        unlogged=unlogged,
        lacking=lacking,
    )


def _column(name: str, kind: ColumnType, values: list[Any], part: pa.Table) -> pa.Array[Any]:
    """Return a feature's logged values as an Arrow column, of exactly its type.

    Raises:
        Invalid: a value is of another type, such as of an earlier declaration.
    """
    import pyarrow as pa

    try:
        if kind == "timestamp":
            values = [value and msgspec.convert(value, datetime) for value in values]
            values = [value and value.replace(tzinfo=None) for value in values]
        return pa.array(values, arrow_type(kind))
    except (pa.ArrowInvalid, pa.ArrowTypeError, msgspec.ValidationError) as error:
        first = part["event_id"][0].as_py()
        raise Invalid(
            f"{name} is of type {kind}, and a logged row from {first} on has another: {error}",
            remedy="its view's SQL changed: begin the model's window after that",
        ) from error
