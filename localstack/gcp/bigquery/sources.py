"""What a statement's table names stand for: tables, views, and INFORMATION_SCHEMA."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from .catalog import Table, TableRef
from .errors import BigQueryError, invalid_query, not_run
from .place import Place
from .types import Field

_SCHEMA = "INFORMATION_SCHEMA"


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Without a `table` a view of INFORMATION_SCHEMA; then `ref` names the project and dataset that it is about."""

    ref: TableRef
    fields: tuple[Field, ...]
    table: Table | None = None


def ref_of(path: Sequence[str], project: str, dataset: tuple[str, str] | None) -> TableRef:
    """A table's name as a statement writes it: `p.d`.t, d.t or t."""
    parts = [part for segment in path for part in segment.split(".")]
    if len(parts) > 3 and all("." not in segment for segment in path[:1]):
        parts = [".".join(parts[:-2]), *parts[-2:]]  # domain-scoped projects: example.com:p
    if len(parts) == 1:
        if dataset is None:
            raise invalid_query(f'Table "{parts[0]}" must be qualified with a dataset (e.g. dataset.table).')
        return TableRef(*dataset, parts[0])
    if len(parts) == 2:
        return TableRef(project, *parts)
    if len(parts) != 3 or not all(parts):
        raise invalid_query(f'Invalid table name: "{".".join(path)}"; it needs project.dataset.table')
    return TableRef(*parts)


def table_of(here: Place, path: Sequence[str], project: str, dataset: tuple[str, str] | None) -> TableRef:
    """The same with the project's id, where the statement has its number."""
    ref = ref_of(path, project, dataset)
    return msgspec.structs.replace(ref, project=here.catalog.id_of(ref.project))


def source_of(
    here: Place,
    path: Sequence[str],
    project: str,
    *,
    dataset: tuple[str, str] | None = None,
    location: str | None = None,
    temporary: str | None = None,
) -> Source:
    """The table or view of that name. BigQueryError notFound where there is none."""
    parts = [part for segment in path for part in segment.split(".")]
    upper = [part.upper() for part in parts]
    if _SCHEMA in upper:
        return _information(here, parts, upper.index(_SCHEMA), project)
    if temporary and len(parts) == 1 and (table := here.catalog.find(TableRef(project, temporary, parts[0]))):
        return Source(ref=table.ref, fields=table.fields, table=table)
    ref = table_of(here, path, project, dataset)
    if ref.table.endswith("*"):
        raise not_run(f"wildcard tables ({ref.table})")
    if "$" in ref.table:
        raise not_run(f"partition decorators in a query ({ref.table})")
    try:
        in_location(here, ref.project, ref.dataset, location)
        table = here.catalog.table(ref)
    except BigQueryError as error:
        raise BigQueryError("notFound", f"{error.message} was not found in location {location or 'US'}") from error
    return Source(ref=ref, fields=table.fields, table=table)


def in_location(here: Place, project: str, name: str, location: str | None) -> None:
    """notFound, where the dataset is elsewhere."""
    dataset = here.catalog.dataset(project, name)
    if location and dataset.location.lower() != location.lower() and not name.startswith("_"):
        raise BigQueryError("notFound", f"Not found: Dataset {project}:{name}")


def _information(here: Place, parts: Sequence[str], place: int, project: str) -> Source:
    from . import information

    if place + 2 != len(parts):
        raise invalid_query(f'Invalid table name: "{".".join(parts)}"')
    name, before = parts[-1].upper(), list(parts[:place])
    if before and before[-1].lower().startswith("region-"):
        before.pop()
        owner, dataset = (before[0] if before else project), ""
    elif name == "SCHEMATA":
        owner, dataset = (before[0] if before else project), ""
    else:
        if not before:
            raise invalid_query(f"{_SCHEMA}.{name} must be qualified with a dataset or a region")
        owner, dataset = (before[0], before[1]) if len(before) > 1 else (project, before[0])
    owner = here.catalog.id_of(owner)
    if dataset:
        here.catalog.dataset(owner, dataset)
    return Source(ref=TableRef(owner, dataset, name), fields=information.fields(name))


def described(sources: Sequence[Source]) -> list[dict[str, Any]]:
    """ReferencedTables of a job."""
    refs = {source.ref: None for source in sources if source.table is not None}
    return [ref.rest() for ref in refs]
