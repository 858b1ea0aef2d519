"""The sources of feature views: tables or views of BigQuery, directly or by feature groups."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from ....core.call import Call
from ....core.errors import GcpError
from ....core.projects import with_project_id
from ....core.resources.store import Resources
from . import values
from .kinds import FEATURE, GROUP

if TYPE_CHECKING:
    import pyarrow as pa

_URI = re.compile(r"bq://([^./`]+)\.([^./`]+)\.([^./`]+)")
_LOCATION = re.compile(r"projects/[^/]+/locations/[^/]+")
_TIMESTAMP = "feature_timestamp"


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """One table or view of BigQuery."""

    uri: str
    table: str  # project.dataset.table
    columns: Collection[str]
    id_columns: Sequence[str]
    features: Mapping[str, str] | None = None  # name -> column; None: every column that is no ID
    timestamp: str | None = None  # a time series: the latest rows are served
    dense: bool = False


def group_source(call: Call, group: Any, features: Sequence[Any] = ()) -> Source:
    """Return a feature group's BigQuery table, ID columns and time column.

    Raises:
        GcpError: The source does not exist, or lacks a column that the group names.
    """
    big_query = group.big_query
    uri = big_query.big_query_source.input_uri
    timestamp = (
        None
        if big_query.static_data_source
        else big_query.time_series.timestamp_column or _TIMESTAMP
    )
    table, columns = _table(call, uri)
    _check_columns(
        uri, columns, [*big_query.entity_id_columns, *([timestamp] if timestamp else [])]
    )
    return Source(
        uri=uri,
        table=table,
        columns=columns,
        id_columns=list(big_query.entity_id_columns),
        features={
            feature.name.rpartition("/")[2]: feature.version_column_name for feature in features
        },
        timestamp=timestamp,
        dense=big_query.dense,
    )


def view_sources(call: Call, view: Any, name: str) -> list[Source]:
    """Return the BigQuery tables and columns from which a feature view is synced.

    Raises:
        GcpError: A source does not exist, or is of a kind that is not supported.
    """
    kind = view.WhichOneof("source")
    if kind == "big_query_source":
        source = view.big_query_source
        if not source.entity_id_columns:
            raise GcpError("INVALID_ARGUMENT", "big_query_source.entity_id_columns is required.")
        table, columns = _table(call, source.uri)
        _check_columns(source.uri, columns, source.entity_id_columns)
        return [
            Source(
                uri=source.uri,
                table=table,
                columns=columns,
                id_columns=list(source.entity_id_columns),
            )
        ]
    if kind != "feature_registry_source":
        if kind is None:
            raise GcpError(
                "INVALID_ARGUMENT",
                "A FeatureView needs a source: big_query_source or feature_registry_source.",
            )
        raise GcpError(
            "UNIMPLEMENTED", f"a FeatureView with a {kind} is not supported by the offline GCP yet"
        )
    registry = view.feature_registry_source
    location = _LOCATION.match(name)
    parent = location[0] if location else name
    if registry.HasField("project_number"):
        parent = re.sub("projects/[^/]+", f"projects/{registry.project_number}", parent)
    if not registry.feature_groups:
        raise GcpError("INVALID_ARGUMENT", "feature_registry_source.feature_groups is required.")
    resources = call.store(Resources)
    sources = []
    for item in registry.feature_groups:
        group = resources.get(GROUP.word, f"{parent}/{GROUP.collection}/{item.feature_group_id}")
        features = [
            resources.get(FEATURE.word, f"{group.name}/{FEATURE.collection}/{feature_id}")
            for feature_id in item.feature_ids
        ]
        if not features:
            raise GcpError(
                "INVALID_ARGUMENT",
                f"The feature group {item.feature_group_id} of the FeatureView has no feature_ids.",
            )
        sources.append(group_source(call, group, features))
    return sources


def feature_names(call: Call, view: Any, name: str) -> tuple[str, ...]:
    """Return the names of a feature view's features, in the order in which they are served.

    Raises:
        GcpError: A source does not exist, or is of a kind that is not supported.
    """
    sources = view_sources(call, view, name)
    names: list[str] = []
    for source in sources:
        if source.features is not None:
            names += source.features
        else:
            names += [column for column in source.columns if column not in source.id_columns]
    if any(source.timestamp for source in sources):
        names.append(_TIMESTAMP)
    return tuple(names)


def read(call: Call, view: Any) -> dict[values.Key, bytes]:
    """Read a feature view's sources; return each entity's serialized current values, by its key.

    Raises:
        SourceError: The rows cannot be served.
        GcpError: BigQuery's own error.
    """
    from ...bigquery.operations import in_process

    sources = view_sources(call, view, view.name)
    project = with_project_id(call, view.name).split("/")[1]
    if sources[0].features is None:
        return values.rows(
            in_process.query(call, project, f"SELECT * FROM `{sources[0].table}`"),
            sources[0].id_columns,
        )
    parts = [_part(call, project, source, place) for place, source in enumerate(sources)]
    table = values.joined(
        [(part, source.id_columns) for part, source in zip(parts, sources, strict=True)]
    )
    names = [name for source in sources for name in source.features or {}]
    times = [name for name in table.column_names if name.startswith(f"{_TIMESTAMP}/")]
    if times:
        table, names = _with_timestamp(table, times), [*names, _TIMESTAMP]
    return values.rows(table, sources[0].id_columns, {name: name for name in names})


def _part(call: Call, project: str, source: Source, place: int) -> pa.Table:
    """Return the rows of one source as an Arrow table, one row for each entity.

    Its columns are the entity's IDs, the features, and last `_TIMESTAMP/<place>` if the source has
    a time. Raises GcpError if the query fails, SourceError if the rows cannot be served.
    """
    import pyarrow as pa

    from ...bigquery.operations import in_process

    features = source.features or {}
    selected = list(
        dict.fromkeys(
            [
                *source.id_columns,
                *features.values(),
                *([source.timestamp] if source.timestamp else []),
            ]
        )
    )
    table = in_process.query(
        call, project, f"SELECT {', '.join(f'`{name}`' for name in selected)} FROM `{source.table}`"
    )
    if source.timestamp:
        table = values.latest(table, source.id_columns, source.timestamp, dense=source.dense)
    columns: dict[str, Any] = {name: table.column(name) for name in source.id_columns}
    columns |= {name: table.column(column) for name, column in features.items()}
    if source.timestamp:
        columns[f"{_TIMESTAMP}/{place}"] = table.column(source.timestamp)
    return pa.table(columns)


def _with_timestamp(table: pa.Table, times: Sequence[str]) -> pa.Table:
    """Replace the time columns `times` of a table by one, the latest time of each row."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = table.schema.field(times[0]).type
    latest: Any = pc.max_element_wise(
        *(table.column(name).cast(kind).cast(pa.int64()) for name in times)
    )  # it takes no timestamps
    return table.drop_columns(list(times)).append_column(_TIMESTAMP, latest.cast(kind))


def _table(call: Call, uri: str) -> tuple[str, Collection[str]]:
    """Return the project.dataset.table that a bq:// URI names, and the table's columns."""
    from ...bigquery.operations import in_process

    match = _URI.fullmatch(uri)
    if match is None:
        raise GcpError(
            "INVALID_ARGUMENT", f"The BigQuery source {uri!r} is not bq://project.dataset.table."
        )
    table = ".".join(match.groups())
    return table, [field.name for field in in_process.table_schema(call, table)]


def _check_columns(uri: str, columns: Collection[str], needed: Sequence[str]) -> None:
    """Raise INVALID_ARGUMENT if the BigQuery source `uri` lacks one of the needed columns."""
    for name in needed:
        if name not in columns:
            raise GcpError(
                "INVALID_ARGUMENT",
                f"The data source {uri} has an invalid schema: it has no column {name}.",
            )
